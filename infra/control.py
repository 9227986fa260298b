"""What an operator does to a deployed stack in a hurry: `make stop`, `make resume` and `make secret`, by the boto3 that `infra/venv sam` brings.

Credentials come from where boto3 looks for them. The region is AWS_REGION, or else the one that samconfig.toml deploys the stack to: the shell's
own default region has no say, for what is to be stopped may lie elsewhere.
"""

import getpass
import os
import sys
import time
from pathlib import Path

import boto3
import tomlkit
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

# What a person puts into Secrets Manager, of what the template calls STACK/…
SECRETS = ("portone-api-secret", "portone-webhook-secret", "checkout-secret")


def wanted(name, such_as):
    value = os.environ.get(name, "").strip()
    return value or sys.exit(f"{name} is not set: {such_as}")


def region_of(stack):
    """Where samconfig.toml deploys a stack to; where it deploys the default to, if it does not know the stack."""
    file = tomlkit.parse((Path(__file__).parents[1] / "samconfig.toml").read_text()).unwrap()

    def settings(stage):
        parts = [file[stage].get(part, {}).get("parameters", {}) for part in ("global", "deploy")]
        return parts[0] | parts[1]

    try:
        stages = [stage for stage in file if stage != "version" and settings(stage).get("stack_name") == stack]
        return settings(stages[0] if stages else "default")["region"]
    except (AttributeError, KeyError):
        sys.exit(f"NOTHING WAS DONE to {stack}: samconfig.toml has no region for it; set AWS_REGION")


def order(stack, region, row):
    """Writes the row that everything looks at before it plans or charges."""
    item = {"name": {"S": "collecting"}, "at": {"N": str(int(time.time() * 1000))}} | row
    boto3.client("dynamodb", region_name=region).put_item(TableName=f"{stack}-Controls", Item=item)


def stop(stack, region):
    reason = wanted("REASON", "say why, and name nobody")
    order(stack, region, {"value": {"S": "stopped"}, "reason": {"S": reason}})
    print(f"{stack} in {region} collects nothing any more, until: make resume STACK={stack}")


def resume(stack, region):
    order(stack, region, {"value": {"S": "running"}})
    print(f"{stack} in {region} goes on: its next run collects what stayed due")


def secret(stack, region):
    name = wanted("NAME", f"one of {', '.join(SECRETS)}")
    if name not in SECRETS:
        sys.exit(f"NAME is one of {', '.join(SECRETS)}, not {name!r}")
    asked = f"The text of {stack}/{name} (it is not shown): "
    text = (getpass.getpass(asked) if sys.stdin.isatty() else sys.stdin.read()).strip()
    if not text:
        sys.exit("nothing was typed, so nothing was stored")
    client = boto3.client("secretsmanager", region_name=region)
    client.put_secret_value(SecretId=f"{stack}/{name}", SecretString=text)
    print(f"{stack}/{name} in {region} is stored; functions use it within five minutes")


def main():
    do = {"stop": stop, "resume": resume, "secret": secret}[sys.argv[1]]
    stack = wanted("STACK", "the deployed stack, such as billing-prod")
    region = os.environ.get("AWS_REGION") or region_of(stack)
    failed = f"NOTHING WAS DONE to {stack} in {region}"
    try:
        do(stack, region)
    except ClientError as error:
        # AWS's name of what is not there is the same for tables and secrets.
        missing = error.response["Error"]["Code"] == "ResourceNotFoundException"
        why = "there is no such stack: are STACK, the account and the region (AWS_REGION) right?" if missing else error
        sys.exit(f"{failed}: {why}")
    except NoCredentialsError:
        sys.exit(f"{failed}: no credentials were found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    except BotoCoreError as error:
        sys.exit(f"{failed}: {error}")


if __name__ == "__main__":
    main()
