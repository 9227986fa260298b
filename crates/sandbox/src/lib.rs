//! The local stack: what stands in for `PortOne` and for AWS on a developer's machine and in tests.

pub mod apigw;
pub mod aws;
pub mod books;
pub mod clock;
pub mod console;
pub mod cost;
pub mod customers;
pub mod dynamodb;
pub mod engine;
pub mod environment;
pub mod event;
pub mod journal;
pub mod lambda;
pub mod mailbox;
pub mod portone;
pub mod queue;
pub mod run;
pub mod rush;
pub mod sent;
pub mod serve;
pub mod stack;
pub mod tally;
pub mod usage;
pub mod world;
