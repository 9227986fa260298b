//! The schedules' input, to the planner or the reconciler: also what a person types to have a task done.

use crate::input::{Input, block_on};
use crate::world::World;
use billing_flows::fake::Behaviour;
use charger::planner::PlannerEvent;
use reconciler::{Answer, ReconcilerEvent};

pub(crate) fn feed(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let to_planner = input.choose(&[true, false]);
    let charge = input
        .choose(&[Behaviour::UnknownButPaid, Behaviour::UnknownNotReceived, Behaviour::UnknownButPending].each_ref());
    let json = input.rest();
    block_on(async {
        if to_planner {
            let world = World::new();
            let Ok(event) = serde_json::from_slice::<PlannerEvent>(json) else { return };
            let before = world.tables();
            drop(
                charger::planner::handle(&world.store, &world.queue, &world.telemetry, event, || false).await.unwrap(),
            );
            assert!(world.queue.messages().len() <= 1, "one customer was handed over more than once");
            assert_eq!(world.tables(), before, "the planner has changed the books");
            return;
        }
        let world = World::after(charge.clone()).await;
        let Ok(event) = serde_json::from_slice::<ReconcilerEvent>(json) else { return };
        let before = world.tables();
        let answer = reconciler::handle(&world.billing, &event, || false).await.unwrap();
        serde_json::to_string(&answer).unwrap();
        if matches!(answer, Answer::Books { .. }) {
            assert_eq!(world.tables(), before, "closing has changed the books");
        }
        assert!(
            *charge == Behaviour::UnknownButPaid || world.status() != Some("paid"),
            "paid, and PortOne does not say so"
        );
        assert_eq!(world.gateway.violations(), [""; 0]);
    });
}
