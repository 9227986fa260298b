//! `sandbox serve --world`: whom there is when it opens. `events/world.json` has those whom the files beside it are about.

use crate::customers::{self, CreateError, NewCustomers};
use crate::stack::Stack;
use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// What is there when the sandbox opens.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// Customers, as the control API takes them.
    customers: Vec<NewCustomers>,
    /// Rows of `Events`, in plain JSON.
    events: Vec<Value>,
}

impl World {
    /// Reads a world.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let name = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        serde_json::from_str(&text).with_context(|| format!("{name} is not a world: customers and events"))
    }

    /// Makes it so.
    pub async fn make(&self, stack: &Stack) -> anyhow::Result<()> {
        for wish in &self.customers {
            customers::create(stack, wish).await.map_err(|error| match error {
                CreateError::Wrong(message) => anyhow::anyhow!("a customer of the world cannot be made: {message}"),
                CreateError::Broken(error) => error,
            })?;
        }
        for row in &self.events {
            let put = stack.dynamodb.put_item().table_name(&stack.tables.events);
            put.set_item(Some(serde_dynamo::to_item(row)?)).send().await?;
        }
        stack.engine.come_to_rest().await
    }
}
