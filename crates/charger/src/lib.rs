//! λ planner and λ worker: find what is due, collect it.

pub mod planner;
pub mod worker;
