//! What each function's code does to the outside world, found by walking its source.
//!
//! From a function's handler the walk follows every call it can see into the use cases, and notes the requests on the way: methods of `store`,
//! `queue` and `mailer`, and what a transaction writes. It goes by names and knows no types, so it may follow too much, never too little: a
//! request in a function that no walk reaches fails a test of its own. What a request asks of IAM is read from the store's own source.

use crate::yaml::{root, text};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Expr, ExprCall, ExprMethodCall, ExprPath, ExprStruct, Macro, Member, Token};

/// The functions, with the file that handles their events, the one that wires them, and other files of theirs.
pub(crate) const FUNCTIONS: [Function; 6] = [
    Function { name: "Webhook", main: "crates/webhook/src/main.rs", handler: "crates/webhook/src/lib.rs" },
    Function { name: "Api", main: "crates/api/src/main.rs", handler: "crates/api/src" },
    Function { name: "Planner", main: "crates/charger/src/bin/planner.rs", handler: "crates/charger/src/planner.rs" },
    Function { name: "Worker", main: "crates/charger/src/bin/worker.rs", handler: "crates/charger/src/worker.rs" },
    Function { name: "Reconciler", main: "crates/reconciler/src/main.rs", handler: "crates/reconciler/src/lib.rs" },
    Function { name: "Notifier", main: "crates/notifier/src/main.rs", handler: "crates/notifier/src/lib.rs" },
];

/// A deployed function.
pub(crate) struct Function {
    /// As the template calls it.
    pub(crate) name: &'static str,
    /// Its wiring.
    pub(crate) main: &'static str,
    /// The file or folder of its handler.
    pub(crate) handler: &'static str,
}

/// A request: the port and its method, or `transaction` and what it does.
pub(crate) type Request = (&'static str, String);

/// What the functions of some files do and call, by name.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    calls: BTreeMap<String, BTreeSet<String>>,
    requests: BTreeMap<String, BTreeSet<Request>>,
    inside: Vec<String>,
}

const PORTS: [&str; 3] = ["store", "queue", "mailer"];

/// Whose methods are use cases, or parts of a handler.
const OURS: [&str; 3] = ["self", "billing", "desk"];

/// The enums that say what a transaction does, and their variants' request.
const CHANGES: [&str; 3] = ["SubscriptionChange", "KeyChange", "SessionChange"];

/// The methods of the port to the tables.
static STORE: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let source = text("crates/billing-aws/src/dynamo.rs");
    let (_, source) = source.split_once("impl Store for DynamoStore").expect("the store");
    source.split("    async fn ").skip(1).filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())).collect()
});

impl Walk {
    /// The walk of a function: its handler's files, and the use cases.
    pub(crate) fn of(function: &Function) -> Self {
        let mut walk = Self::default();
        walk.take(&root().join(function.handler));
        walk.take(&root().join("crates/billing-flows/src"));
        walk
    }

    fn take(&mut self, path: &Path) {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).expect("a folder") {
                let entry = entry.expect("an entry").path();
                let is_left_out = ["fake", "contract", "fake.rs", "contract.rs", "ports.rs", "main.rs"];
                if !is_left_out.iter().any(|name| entry.ends_with(name)) {
                    self.take(&entry);
                }
            }
        } else if path.extension().is_some_and(|it| it == "rs") {
            let source = std::fs::read_to_string(path).expect("a source");
            self.visit_file(&syn::parse_file(&source).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        }
    }

    /// The requests that can be made from here on.
    pub(crate) fn requests_from(&self, entries: &[&str]) -> BTreeSet<Request> {
        let reached = self.reached(entries);
        self.requests.iter().filter(|(name, _)| reached.contains(*name)).flat_map(|(_, made)| made.clone()).collect()
    }

    /// The functions that can be reached from here on.
    pub(crate) fn reached(&self, entries: &[&str]) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<String> = entries.iter().map(|&name| name.to_owned()).collect();
        while let Some(name) = open.pop() {
            if reached.insert(name.clone()) {
                open.extend(self.calls.get(&name).into_iter().flatten().cloned());
            }
        }
        reached
    }

    /// The functions that make a request.
    pub(crate) fn requesting(&self) -> BTreeSet<String> {
        self.requests.keys().cloned().collect()
    }

    fn enter(&mut self, name: &syn::Ident, visit: impl FnOnce(&mut Self)) {
        self.inside.push(name.to_string());
        self.calls.entry(name.to_string()).or_default();
        visit(self);
        self.inside.pop();
    }

    fn called(&mut self, name: &syn::Ident) {
        if let Some(caller) = self.inside.last() {
            self.calls.entry(caller.clone()).or_default().insert(name.to_string());
        }
    }

    fn requested(&mut self, port: &'static str, what: &str) {
        if let Some(caller) = self.inside.last() {
            self.requests.entry(caller.clone()).or_default().insert((port, what.to_owned()));
        }
    }
}

/// The last name of what a method is called on: `store` of `self.billing.store`.
fn last_name(receiver: &Expr) -> Option<String> {
    match receiver {
        Expr::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        Expr::Field(field) => match &field.member {
            Member::Named(name) => Some(name.to_string()),
            Member::Unnamed(_) => None,
        },
        Expr::Reference(inner) => last_name(&inner.expr),
        Expr::Paren(inner) => last_name(&inner.expr),
        _ => None,
    }
}

/// Whether a field of `Changes` is given nothing.
fn is_nothing(value: &Expr) -> bool {
    match value {
        Expr::Path(path) => path.path.is_ident("None"),
        Expr::Macro(call) => call.mac.path.is_ident("vec") && call.mac.tokens.is_empty(),
        Expr::Call(call) => {
            matches!(&*call.func, Expr::Path(path) if path.path.segments.last().is_some_and(|it| it.ident == "new"))
        }
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Walk {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        // Tests are no part of what is deployed.
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.enter(&function.sig.ident, |walk| visit::visit_item_fn(walk, function));
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.enter(&function.sig.ident, |walk| visit::visit_impl_item_fn(walk, function));
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let on = last_name(&call.receiver);
        match on.as_deref() {
            // A store is a shop of PortOne's elsewhere: of the tables, only what the port has counts.
            Some("store") if !STORE.contains(&call.method.to_string()) => {}
            Some(port) if PORTS.contains(&port) => {
                let port = PORTS.into_iter().find(|it| *it == port).expect("found a moment ago");
                self.requested(port, &call.method.to_string());
            }
            Some(ours) if OURS.contains(&ours) => self.called(&call.method),
            // `changes.events.push(…)`
            Some(field @ ("invoices" | "events"))
                if call.method == "push" && matches!(&*call.receiver, Expr::Field(_)) =>
            {
                self.requested("transaction", field);
            }
            _ => {}
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_path(&mut self, path: &'ast ExprPath) {
        let names: Vec<String> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let [.., change, variant] = names.as_slice()
            && CHANGES.contains(&change.as_str())
        {
            self.requested("transaction", &format!("{change}::{variant}"));
        }
        // `module::function`, called or handed on. A single name is as likely a variable: it counts where it is called.
        if let (true, Some(last)) = (names.len() > 1, path.path.segments.last()) {
            self.called(&last.ident);
        }
        visit::visit_expr_path(self, path);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(path) = &*call.func
            && let Some(name) = path.path.get_ident()
        {
            self.called(name);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_struct(&mut self, made: &'ast ExprStruct) {
        let names: Vec<String> = made.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        match names.as_slice() {
            [.., change, variant] if CHANGES.contains(&change.as_str()) => {
                self.requested("transaction", &format!("{change}::{variant}"));
            }
            [.., name] if name == "Changes" => {
                for field in made.fields.iter().filter(|field| !is_nothing(&field.expr)) {
                    if let Member::Named(field) = &field.member
                        && (field == "invoices" || field == "events")
                    {
                        self.requested("transaction", &field.to_string());
                    }
                }
            }
            _ => {}
        }
        visit::visit_expr_struct(self, made);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        // `join!(a, b)`; what is no list of expressions calls nothing.
        if let Ok(parts) = call.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) {
            let parts: Vec<Expr> = parts.into_iter().collect();
            for part in &parts {
                self.visit_kept(part);
            }
        }
    }
}

impl Walk {
    /// Visits an expression that was made here, and so does not live as long as the file.
    fn visit_kept(&mut self, part: &Expr) {
        let mut inner = Walk {
            calls: std::mem::take(&mut self.calls),
            requests: std::mem::take(&mut self.requests),
            inside: std::mem::take(&mut self.inside),
        };
        Visit::visit_expr(&mut inner, part);
        *self = inner;
    }
}

/// One permission: an action on a table (`Invoices`), or on an index of it (`Invoices/index/month-index`).
pub(crate) type Permission = (String, String);

/// What a request of the store asks of IAM, read from the store's source.
pub(crate) fn permissions(request: &Request) -> BTreeSet<Permission> {
    let (port, what) = request;
    let may = |action: &str, on: &str| BTreeSet::from([(format!("dynamodb:{action}"), on.to_owned())]);
    match (*port, what.as_str()) {
        ("transaction", "invoices") => may("UpdateItem", "Invoices"),
        ("transaction", "events") => may("PutItem", "Events"),
        ("transaction", "SubscriptionChange::Check") => may("ConditionCheckItem", "Subscriptions"),
        ("transaction", change) => match change.split("::").next() {
            Some("SubscriptionChange") => may("UpdateItem", "Subscriptions"),
            Some("KeyChange") => may("UpdateItem", "BillingKeys"),
            Some("SessionChange") => may("UpdateItem", "Sessions"),
            _ => panic!("a change that this test does not know: {change}"),
        },
        ("store", "commit") => BTreeSet::new(),
        ("store", "claim_notices") => may("UpdateItem", "Events"),
        ("store", method) => stored(method),
        (port, what) => panic!("not a request of the store: {port}.{what}"),
    }
}

/// What a method of the store asks for: its body names the operation, the table and the index.
fn stored(method: &str) -> BTreeSet<Permission> {
    let source = text("crates/billing-aws/src/dynamo.rs");
    let (_, source) = source.split_once("impl Store for DynamoStore").expect("the store");
    let (_, body) =
        source.split_once(&format!("async fn {method}(")).unwrap_or_else(|| panic!("the store has no {method}"));
    let body = body.split("    async fn ").next().unwrap_or(body);
    let between = |from: &str, to: &str| Some(body.split_once(from)?.1.split_once(to)?.0.to_owned());
    let (action, on) = if let Some(row) = between("self.get::<", "Row>") {
        let table = match row.as_str() {
            "BillingKey" | "Subscription" | "Invoice" | "Event" | "Session" | "Control" => format!("{row}s"),
            other => panic!("a row that this test does not know: {other}"),
        };
        ("GetItem", table)
    } else if let Some(table) = between("Listing::of(Table::", ",") {
        let index = between(".index(", ")").map(|index| match index.as_str() {
            "DUE_INDEX" => billing_aws::tables::DUE_INDEX,
            "BILLING_KEY_INDEX" => billing_aws::tables::BILLING_KEY_INDEX,
            "USER_INDEX" => billing_aws::tables::USER_INDEX,
            "MONTH_INDEX" => billing_aws::tables::MONTH_INDEX,
            other => panic!("an index that this test does not know: {other}"),
        });
        ("Query", index.map_or_else(|| table.clone(), |index| format!("{table}/index/{index}")))
    } else if body.contains(".batch_get_item()") {
        let row = between("decode::<", "Row>");
        assert_eq!(row.as_deref(), Some("Subscription"), "rows that this test does not know");
        assert!(body.contains("request_items(&self.tables.subscriptions,"), "which table does {method} read?");
        ("BatchGetItem", "Subscriptions".to_owned())
    } else if body.contains(".get_item()") {
        ("GetItem", between("decode_as::<ControlRow>(Table::", ",").expect("a row that this test does not know"))
    } else {
        let action = if body.contains(".put_item()") { "PutItem" } else { "UpdateItem" };
        assert!(body.contains(".put_item()") || body.contains(".update_item()"), "what does {method} do?");
        assert!(body.contains("&self.tables.events"), "which table does {method} write?");
        (action, "Events".to_owned())
    };
    BTreeSet::from([(format!("dynamodb:{action}"), on)])
}
