//! λ planner and λ worker: find what is due, collect it.

pub mod planner;
pub mod worker;

use serde::de::DeserializeOwned;

/// Reads a queue's message. What is wrong is said by its place, never by its value: what lies in a queue by mistake may be anybody's data.
fn message<M: DeserializeOwned>(body: &str) -> Result<M, String> {
    serde_json::from_str(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("not a message of the planner's: {:?} error at line {line}, column {column}", error.classify())
    })
}
