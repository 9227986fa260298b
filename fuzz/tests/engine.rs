//! The engine: libFuzzer over the target that `FUZZ_TARGET` names. Its arguments are libFuzzer's. `make fuzz` runs it.
#![no_main]
#![expect(
    clippy::disallowed_methods,
    reason = "a composition root: which target is asked for stands in the environment"
)]
#![expect(clippy::expect_used, reason = "without a target there is nothing to do")]

use std::sync::OnceLock;

static TARGET: OnceLock<fuzz::Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names the target");
        let target = fuzz::target(&name).expect("FUZZ_TARGET is one of the directories of fuzz/corpus");
        TARGET.set(target).expect("it is set once");
    },
    |bytes: &[u8]| {
        TARGET.get().expect("it was set")(bytes);
    }
);
