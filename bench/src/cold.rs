//! Cold starts: a new process, and its first event.

use crate::case::Case;
use crate::clock::micros;
use crate::events::Event;
use crate::results::Cold;
use crate::share::Share;
use crate::side::{Kind, Side, program};
use crate::world::World;
use lambda_tests::function::Function;

/// What a process is given first.
fn first_asked(kind: Kind) -> Case {
    match kind {
        Kind::Webhook => Case::Paid,
        Kind::Worker => Case::Batch,
    }
}

/// Starts so many processes of each side, in turn.
pub(crate) async fn measure(kind: Kind, share_of_mb: Option<u32>, count: usize) -> Vec<Cold> {
    let share = share_of_mb.map(|memory| Share::of(memory).unwrap());
    let mut sides = Vec::new();
    for side in Side::BOTH {
        let mut world = World::open().await;
        // The first start of all reads the program from the disk, and is left out.
        let events = world.events(first_asked(kind), count + 1).await;
        let none = Cold {
            side,
            kind,
            share_of_mb,
            init_us: Vec::new(),
            first_us: Vec::new(),
            peak_kib: Vec::new(),
            processor_us: Vec::new(),
            first_processor_us: Vec::new(),
        };
        sides.push((world, events, none));
    }
    for number in 0..=count {
        for (world, events, cold) in &mut sides {
            let program = program(cold.side, kind, &world.environment, share.as_ref());
            let Event { event, right } = events.pop().unwrap();
            let mut function = Function::launch(&program).await;
            let started = function.processor_time();
            let (answer, first) = function.timed(event).await;
            assert!(right.is(&answer), "{} {kind:?}: {answer}", cold.side);
            if number > 0 {
                cold.init_us.push(micros(function.init));
                cold.first_us.push(micros(first));
                cold.peak_kib.push(function.memory().1);
                let processor = function.processor_time();
                cold.processor_us.push(micros(processor));
                cold.first_processor_us.push(micros(processor.saturating_sub(started)));
            }
        }
    }
    for (world, ..) in &sides {
        world.check().await;
    }
    sides.into_iter().map(|(_, _, cold)| cold).collect()
}
