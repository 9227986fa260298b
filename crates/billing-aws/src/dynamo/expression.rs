//! Update expressions, made from a row's attributes.

use crate::item::Attributes;
use crate::tables::Table;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::{BTreeMap, HashMap};

/// What a row must be like for a write to happen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Guard {
    /// Not there.
    Absent,
    /// Of this version.
    Version(u64),
}

/// An `UpdateItem`'s or `ConditionCheck`'s parts. Every name is aliased, so none can be a reserved word.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Expression {
    pub(super) key: Attributes,
    pub(super) update: String,
    pub(super) condition: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

/// Sets every attribute of a row and removes those that are `NULL`; attributes it does not mention stay as they are.
pub(super) fn upsert(table: Table, attributes: Attributes, guard: Guard) -> Expression {
    let mut expression = Expression::default();
    let (mut set, mut remove) = (Vec::new(), Vec::new());
    // In order of names, so that the same row makes the same request.
    for (i, (name, value)) in attributes.into_iter().collect::<BTreeMap<_, _>>().into_iter().enumerate() {
        if table.is_key(&name) {
            expression.key.insert(name, value);
            continue;
        }
        expression.names.insert(format!("#a{i}"), name);
        if value.is_null() {
            remove.push(format!("#a{i}"));
        } else {
            set.push(format!("#a{i} = :a{i}"));
            expression.values.insert(format!(":a{i}"), value);
        }
    }
    let clauses = [("SET", set), ("REMOVE", remove)];
    let clauses: Vec<String> = clauses
        .into_iter()
        .filter(|(_, parts)| !parts.is_empty())
        .map(|(verb, parts)| format!("{verb} {}", parts.join(", ")))
        .collect();
    expression.update = clauses.join(" ");
    expression.guarded(table, guard)
}

/// Only checks a row.
pub(super) fn check(table: Table, key: Attributes, guard: Guard) -> Expression {
    Expression { key, ..Expression::default() }.guarded(table, guard)
}

impl Expression {
    fn guarded(mut self, table: Table, guard: Guard) -> Self {
        match guard {
            Guard::Absent => {
                self.names.insert("#key".to_owned(), table.hash().0.to_owned());
                "attribute_not_exists(#key)".clone_into(&mut self.condition);
            }
            Guard::Version(version) => {
                self.names.insert("#version".to_owned(), "version".to_owned());
                self.values.insert(":version".to_owned(), AttributeValue::N(version.to_string()));
                "#version = :version".clone_into(&mut self.condition);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_set_and_what_is_absent_is_removed() {
        let attributes = HashMap::from([
            ("paymentId".to_owned(), AttributeValue::S("inv1".to_owned())),
            ("status".to_owned(), AttributeValue::S("open".to_owned())),
            ("leaseUntil".to_owned(), AttributeValue::Null(true)),
        ]);
        let made = upsert(Table::Invoices, attributes, Guard::Version(3));
        assert_eq!(made.update, "SET #a2 = :a2 REMOVE #a0");
        assert_eq!(made.condition, "#version = :version");
        assert_eq!(made.key, HashMap::from([("paymentId".to_owned(), AttributeValue::S("inv1".to_owned()))]));
        assert_eq!((made.names["#a2"].as_str(), made.names["#a0"].as_str()), ("status", "leaseUntil"));
        assert_eq!(made.values[":version"], AttributeValue::N("3".to_owned()));
    }
}
