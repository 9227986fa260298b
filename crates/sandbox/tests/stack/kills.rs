//! A month of billing under `kill -9`, with `PortOne` at its worst: `make kills KILLS=200 CUSTOMERS=2000 SEED=1`.

use crate::attack::{Attack, Folder, say};
use crate::ledger;

#[expect(clippy::disallowed_methods, reason = "how hard the attack is, is for whoever starts it to say")]
fn asked(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

#[tokio::test]
async fn nobody_is_charged_twice_or_forgotten_however_often_the_process_is_killed() {
    let attack =
        Attack { kills: asked("KILLS", 20), customers: asked("CUSTOMERS", 200), seed: u64::from(asked("SEED", 1)) };
    let mut folder = Folder::new("kills");
    let month = attack.run(&folder).await;
    let verdict = ledger::audit(&month).await;
    say(&format!("{}{}", month.table(), verdict.table()));
    assert!(
        verdict.is_clean(),
        "{}what the processes left and logged is in {}",
        verdict.account(),
        folder.keep().display()
    );
}
