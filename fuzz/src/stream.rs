//! A batch of records of the events' stream, as Lambda hands it to the notifier.

use crate::input::block_on;
use crate::mails::assert_sound;
use crate::world::{World, sender};
use aws_lambda_events::event::dynamodb::Event as Batch;
use billing_flows::fake::MemoryMailer;
use std::collections::BTreeSet;

pub(crate) fn feed(bytes: &[u8]) {
    let Ok(batch) = serde_json::from_slice::<Batch>(bytes) else { return };
    block_on(async {
        let (world, mailer) = (World::new(), MemoryMailer::default());
        let mut readable = 0;
        for record in &batch.records {
            // What is in the stream was in the table before.
            if let Ok(event) = billing_aws::item::event_from_image(record.change.new_image.clone()) {
                let image = billing_aws::item::image_of_event(&event).unwrap();
                assert_eq!(billing_aws::item::event_from_image(image).as_ref(), Ok(&event), "written and read again");
                world.store.put_event(&event);
                readable += 1;
            }
        }
        for _ in 0..2 {
            let (store, clock, telemetry) = (&world.store, &world.clock, &world.telemetry);
            let answer = notifier::handle(store, &mailer, clock, telemetry, &sender(), batch.clone()).await;
            let failures = answer.batch_item_failures.len();
            assert!(failures <= batch.records.len() - readable, "{failures} failures, with {readable} to read");
        }
        let sent = mailer.sent();
        let events: BTreeSet<_> = sent.iter().map(|mail| mail.event.clone()).collect();
        assert_eq!(events.len(), sent.len(), "an event was mailed twice");
        for sent in sent {
            assert_sound(&sent.mail);
        }
    });
}
