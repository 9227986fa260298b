//! Takes one hot path so many times, and does nothing else: what `guard` has valgrind run. Without arguments: their names.
#![expect(clippy::print_stdout, reason = "what is asked for is printed")]

use function_benches::path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(wanted) = arguments.next() else {
        for (name, _) in path::ALL {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    let times: Option<u32> = arguments.next().and_then(|times| times.parse().ok());
    let known = path::ALL.into_iter().find(|(name, _)| *name == wanted);
    let (Some((_, ready)), Some(times)) = (known, times) else {
        println!("usage: hot-path [NAME TIMES]");
        return ExitCode::FAILURE;
    };
    let path = ready();
    for _ in 0..times {
        path();
    }
    ExitCode::SUCCESS
}
