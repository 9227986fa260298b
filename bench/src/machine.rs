//! What the bench runs on: its kind, not its name.

use crate::results::Machine;
use crate::side::node;
use std::process::Command;

fn first_line_of(command: &mut Command) -> String {
    let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    output.unwrap_or_default().lines().next().unwrap_or("unknown").to_owned()
}

/// This machine.
pub(crate) fn this() -> Machine {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Machine {
        load: load.split(' ').next().unwrap_or_default().to_owned(),
        processor: model.map_or("unknown", |(_, model)| model).to_owned(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        // Its version alone: what follows may name whose it is.
        kernel: kernel.split('-').next().unwrap_or_default().trim().to_owned(),
        rustc: first_line_of(Command::new("rustc").arg("--version")),
        node: node().map_or_else(String::new, |node| first_line_of(Command::new(node).arg("--version"))),
    }
}
