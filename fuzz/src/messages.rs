//! The bodies of SQS messages, a line each: to the worker, or to the planner.

use crate::input::{Input, block_on};
use crate::world::{World, customer};
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use billing_flows::ports::{CollectMessage, PlanMessage};
use charger::planner::PlannerEvent;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

pub(crate) fn feed(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let to_worker = input.choose(&[true, false]);
    let bodies: Vec<String> =
        input.rest().split(|byte| *byte == b'\n').take(10).map(|body| String::from_utf8_lossy(body).into()).collect();
    block_on(async {
        let world = World::new();
        let before = world.tables();
        let batch = batch(&bodies);
        let (answer, can_be_read): (_, Vec<bool>) = if to_worker {
            let answer = charger::worker::handle(&world.billing, &world.queue, batch).await;
            (answer, bodies.iter().map(|body| is_one_of::<CollectMessage>(body)).collect())
        } else {
            let event = PlannerEvent::Continue(batch);
            let planned = charger::planner::handle(&world.store, &world.queue, &world.telemetry, event, || false);
            (
                planned.await.unwrap().batch,
                bodies.iter().map(|body| is_one_of::<PlanMessage>(body) && is_from_the_start(body)).collect(),
            )
        };

        // All ports work, so a message fails if and only if it cannot be read; a panic in the worker would be a failure, too.
        for (number, can_be_read) in can_be_read.iter().enumerate() {
            assert_ne!(failed(&answer, number), *can_be_read, "message {number}: {}", bodies[number]);
        }
        let names_the_customer =
            bodies.iter().any(|body| body.contains(customer().key.id.as_str()) || body.contains('\\'));
        let charges = world.gateway.charges().len();
        assert!(charges <= usize::from(to_worker && names_the_customer), "{charges} charges");
        assert!(charges == 1 || world.tables() == before, "nothing was charged, and the books have changed");
        assert_eq!(world.gateway.violations(), [""; 0]);
    });
}

/// Whether it is such a message; and then it is the same one once it was sent on.
fn is_one_of<M: Serialize + DeserializeOwned + PartialEq + Debug>(body: &str) -> bool {
    let Ok(message) = serde_json::from_str::<M>(body) else { return false };
    let sent = serde_json::to_string(&message).unwrap();
    assert_eq!(serde_json::from_str::<M>(&sent).unwrap(), message);
    true
}

/// A cursor that no table gave is refused by the table.
fn is_from_the_start(body: &str) -> bool {
    serde_json::from_str::<PlanMessage>(body).is_ok_and(|message| message.after.is_none())
}

fn batch(bodies: &[String]) -> SqsEvent {
    let mut batch = SqsEvent::default();
    for (number, body) in bodies.iter().enumerate() {
        let mut message = SqsMessage::default();
        message.message_id = Some(number.to_string());
        message.body = Some(body.clone());
        batch.records.push(message);
    }
    batch
}

fn failed(answer: &SqsBatchResponse, number: usize) -> bool {
    answer.batch_item_failures.iter().any(|failure| failure.item_identifier == number.to_string())
}
