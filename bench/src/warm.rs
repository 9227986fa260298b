//! Warm invocations: one process of each side, round by round in turn.

use crate::case::Case;
use crate::clock::micros;
use crate::events::Event;
use crate::results::Warm;
use crate::share::Share;
use crate::side::{Side, program};
use crate::world::World;
use lambda_tests::function::Function;

struct Running {
    world: World,
    function: Function,
    warm: Warm,
}

impl Running {
    async fn start(side: Side, case: Case, share_of_mb: Option<u32>, share: Option<&Share>) -> Self {
        let world = World::open().await;
        let function = Function::launch(&program(side, case.kind(), &world.environment, share)).await;
        let warm = Warm { side, case, share_of_mb, rounds_us: Vec::new(), processor_us: Vec::new(), peak_kib: 0 };
        Self { world, function, warm }
    }

    /// Has it work on new events, and answers with how long each took and with the processor time of all.
    async fn round(&mut self, count: usize) -> (Vec<u64>, u64) {
        let events = self.world.events(self.warm.case, count).await;
        let before = self.function.processor_time();
        let mut times = Vec::with_capacity(count);
        for Event { event, right } in events {
            let (answer, took) = self.function.timed(event).await;
            assert!(right.is(&answer), "{} {:?}: {answer}", self.warm.side, self.warm.case);
            times.push(micros(took));
        }
        (times, micros(self.function.processor_time().saturating_sub(before)))
    }
}

/// Rounds of so many invocations each, one more at the beginning than is told of, for it opens connections. A runtime that compiles as it goes
/// has not done so by then: see [`Warm::steady`].
pub(crate) async fn measure(case: Case, share_of_mb: Option<u32>, rounds: usize, count: usize) -> Vec<Warm> {
    let share = share_of_mb.map(|memory| Share::of(memory).unwrap());
    let mut sides = Vec::new();
    for side in Side::BOTH {
        sides.push(Running::start(side, case, share_of_mb, share.as_ref()).await);
    }
    for number in 0..=rounds {
        // Who is first in one round is last in the next.
        sides.reverse();
        for side in &mut sides {
            let (times, processor) = side.round(count).await;
            if number > 0 {
                side.warm.rounds_us.push(times);
                side.warm.processor_us.push(processor);
            }
        }
    }
    for side in &mut sides {
        side.world.check().await;
        side.warm.peak_kib = side.function.memory().1;
    }
    sides.into_iter().map(|side| side.warm).collect()
}
