//! The hot paths by name.

use crate::billing::{self, Bill};
use crate::charge::{self, Charge};
use crate::delivery::{self, Delivery};
use crate::morning;
use billing_core::settlement::Fact;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::Value;
use standardwebhooks::Webhook;
use std::hint::black_box;

/// A path that is ready to be taken, any number of times.
pub type Ready = Box<dyn Fn()>;

/// A path's name, and what makes it ready.
pub type Path = (&'static str, fn() -> Ready);

/// All of them. `guard` holds each against its baseline, and each `webhook_…` against its `standardwebhooks_…`: the same webhook, verified and
/// read by the Standard Webhooks project's own crate.
pub const ALL: [Path; 16] = [
    ("webhook_accepted", || {
        let (now, secrets) = (morning(), delivery::secrets());
        let delivery = Delivery::of(delivery::PAID, now);
        Box::new(move || {
            black_box(black_box(&delivery).receive(&secrets, now).unwrap());
        })
    }),
    ("webhook_forged", || refused(Delivery::of(delivery::PAID, morning()).forged())),
    ("webhook_unsigned", || refused(Delivery::of(delivery::PAID, morning()).unsigned())),
    ("webhook_too_old", || refused(Delivery::of(delivery::PAID, delivery::long_before(morning())))),
    ("standardwebhooks_accepted", || {
        let delivery = Delivery::of(delivery::PAID, present());
        let webhook = Webhook::new(delivery::SECRET).unwrap();
        Box::new(move || {
            black_box(black_box(&delivery).receive_by_standardwebhooks::<Value>(&webhook).unwrap());
        })
    }),
    ("standardwebhooks_forged", || refused_by_standardwebhooks(Delivery::of(delivery::PAID, present()).forged())),
    ("standardwebhooks_unsigned", || refused_by_standardwebhooks(Delivery::of(delivery::PAID, present()).unsigned())),
    ("standardwebhooks_too_old", || {
        refused_by_standardwebhooks(Delivery::of(delivery::PAID, delivery::long_before(present())))
    }),
    ("payment_id", || {
        let bill = Bill::default();
        Box::new(move || {
            black_box(black_box(&bill).payment_id());
        })
    }),
    ("calendar", || {
        let bill = Bill::default();
        Box::new(move || {
            black_box(black_box(&bill).dates());
        })
    }),
    ("claim", || {
        let bill = Bill::default();
        Box::new(move || {
            black_box(black_box(&bill).claimed());
        })
    }),
    ("settle_paid", || settled(Bill::default().paid())),
    ("settle_declined", || settled(billing::declined())),
    ("charge_request", || {
        let charge = Charge::default();
        Box::new(move || {
            black_box(black_box(&charge).request());
        })
    }),
    ("charge_paid", || {
        let charge = Charge::default();
        Box::new(move || {
            black_box(black_box(&charge).answer(200, charge::PAID).unwrap());
        })
    }),
    ("charge_declined", || {
        let charge = Charge::default();
        Box::new(move || {
            black_box(black_box(&charge).answer(502, charge::DECLINED).unwrap_err());
        })
    }),
];

fn refused(delivery: Delivery) -> Ready {
    let (now, secrets) = (morning(), delivery::secrets());
    Box::new(move || {
        black_box(black_box(&delivery).receive(&secrets, now).unwrap_err());
    })
}

/// The other crate reads the system's clock, and so its webhooks are of now.
#[expect(clippy::disallowed_methods, reason = "the other crate reads the system's clock")]
fn present() -> Timestamp {
    Timestamp::now()
}

fn refused_by_standardwebhooks(delivery: Delivery) -> Ready {
    let webhook = Webhook::new(delivery::SECRET).unwrap();
    Box::new(move || {
        black_box(black_box(&delivery).receive_by_standardwebhooks::<IgnoredAny>(&webhook).unwrap_err());
    })
}

fn settled(fact: Fact) -> Ready {
    let bill = Bill::default();
    let claimed = bill.claimed();
    Box::new(move || {
        black_box(bill.settled(black_box(&claimed), &fact));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hot_path_can_be_taken_again_and_again() {
        for (_, ready) in ALL {
            let path = ready();
            path();
            path();
        }
    }
}
