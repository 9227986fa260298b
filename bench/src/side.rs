//! The two sides, the two functions that each has, and how they are started and packed.

use crate::share::Share;
use lambda_tests::function::Program;
use lambda_tests::sandbox::root;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// Whose functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Rust,
    Node,
}

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Webhook,
    Worker,
}

/// What a side's function is to Lambda: `template.yaml` gives this to the Rust ones. A JavaScript function that may have this takes most of 128
/// MB or more (see the peaks); whether it would do with 128 was not measured. So this is the same for both.
pub(crate) const MEMORY: u32 = 256;

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Rust, Self::Node];
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Webhook, Self::Worker];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Worker => "worker",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::Node => "Node",
        })
    }
}

/// Where the JavaScript functions are.
fn javascript() -> PathBuf {
    root().join("bench/node")
}

/// The program of that name.
#[expect(clippy::disallowed_methods, reason = "where Node is depends on the machine")]
pub(crate) fn node() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join("node")).find(|file| file.is_file())
}

/// Where the functions' output goes.
pub(crate) fn logs() -> PathBuf {
    let logs = root().join("target/bench");
    std::fs::create_dir_all(&logs).unwrap();
    logs
}

/// What bounds Node's heap so that it fits a memory in MB: by itself Node fits it to the machine's, of which it would have that much.
fn heap_of(memory: u32) -> [String; 2] {
    [format!("--max-semi-space-size={}", memory / 20), format!("--max-old-space-size={}", memory * 9 / 10)]
}

/// A function of a side, with a share of a processor or a whole one. Its memory is the share's.
pub(crate) fn program(side: Side, kind: Kind, environment: &[(String, String)], share: Option<&Share>) -> Program {
    let memory = share.map_or(MEMORY, Share::memory);
    let built = Program::built(kind.name());
    let mut environment = environment.to_vec();
    let mut command = match side {
        Side::Rust => built.command.clone(),
        Side::Node => {
            environment.push(("_HANDLER".to_owned(), "index.handler".to_owned()));
            let dist = javascript().join("dist").join(kind.name());
            environment.push(("LAMBDA_TASK_ROOT".to_owned(), dist.to_str().unwrap().to_owned()));
            let node = node().expect("node is on the PATH").into_os_string();
            let bootstrap = javascript().join("src/bootstrap.mjs").into_os_string();
            [node].into_iter().chain(heap_of(memory).map(OsString::from)).chain([bootstrap]).collect()
        }
    };
    if let Some(share) = share {
        command = share.holds(command);
    }
    Program { command, environment, memory, logs: logs(), ..built }
}

/// How large what is deployed is, and what it comes to when it runs: with Node itself, where that is of the platform. In bytes.
pub(crate) fn size(side: Side, kind: Kind) -> (u64, u64) {
    let bytes = |file: PathBuf| std::fs::metadata(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).len();
    match side {
        Side::Rust => {
            let directory = root().join("target/lambda").join(kind.name());
            (bytes(directory.join("bootstrap.zip")), bytes(directory.join("bootstrap")))
        }
        Side::Node => {
            let dist = javascript().join("dist");
            let zip = bytes(dist.join(kind.name()).with_extension("zip"));
            (zip, bytes(dist.join(kind.name()).join("index.mjs")) + bytes(node().unwrap().canonicalize().unwrap()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_heap_fits_the_memory_whose_share_it_has() {
        assert_eq!(heap_of(128), ["--max-semi-space-size=6", "--max-old-space-size=115"]);
        assert_eq!(heap_of(256), ["--max-semi-space-size=12", "--max-old-space-size=230"]);
        assert_eq!(heap_of(512), ["--max-semi-space-size=25", "--max-old-space-size=460"]);
    }
}
