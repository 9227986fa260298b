//! λ notifier: the DynamoDB stream of events → SES.

use aws_lambda_events::event::dynamodb::{Event as StreamEvent, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use billing_core::event::Event;
use billing_flows::mail::Sender;
use billing_flows::notify::{Notified, notify};
use billing_flows::ports::{Clock, Mailer, Signal, Store, Telemetry};

/// Mails what a batch of stream records tells.
///
/// The answer names the first record that has to be delivered again; Lambda then repeats from there (`ReportBatchItemFailures`), and those
/// after it that were mailed find their mark. A record that cannot be read is not reported, for it would hold up all that comes after it until the
/// stream forgets them: it is counted as a mail that is refused, under an alarm, and its row stays without a mark.
pub async fn handle<S: Store, M: Mailer, C: Clock, T: Telemetry>(
    store: &S,
    mailer: &M,
    clock: &C,
    telemetry: &T,
    sender: &Sender,
    batch: StreamEvent,
) -> DynamoDbEventResponse {
    let mut events: Vec<Event> = Vec::new();
    let mut numbers: Vec<Option<String>> = Vec::new();
    let mut answer = DynamoDbEventResponse::default();
    for record in batch.records {
        let number = record.change.sequence_number.clone();
        let keys = record.change.keys.clone();
        match read(record) {
            Ok(Some(event)) => {
                events.push(event);
                numbers.push(number);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(?keys, error, "a stream record cannot be read; its mail is not sent");
                telemetry.signal(Signal::Mail { kind: "unreadable", result: "refused" });
            }
        }
    }
    let outcomes = notify(store, mailer, clock, telemetry, sender, &events).await;
    for ((outcome, event), number) in outcomes.into_iter().zip(&events).zip(numbers) {
        match outcome {
            Notified::Sent | Notified::Nothing | Notified::Before => {}
            Notified::Refused(why) => {
                tracing::error!(event.subject, event.id, why, "a mail was refused for good; it is not sent again");
            }
            Notified::Later(error) => {
                tracing::warn!(sequence_number = number, %error, "a mail was not sent; its event will be delivered again");
                answer.batch_item_failures.push(failure(number));
            }
        }
    }
    answer
}

fn failure(number: Option<String>) -> DynamoDbBatchItemFailure {
    let mut failure = DynamoDbBatchItemFailure::default();
    failure.item_identifier = number;
    failure
}

/// The event of a record: only new rows tell anything; marks and deletions are changes of rows that told already.
fn read(record: EventRecord) -> Result<Option<Event>, String> {
    if record.event_name != "INSERT" {
        return Ok(None);
    }
    billing_aws::item::event_from_image(record.change.new_image).map(Some).map_err(|error| error.to_string())
}
