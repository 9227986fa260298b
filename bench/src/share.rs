//! The share of a processor that Lambda gives a function by its memory: 1,769 MB are a whole one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// So often the share is given anew, in microseconds; the kernel's own 100 ms would give a small share in few, large pieces.
const PERIOD: u32 = 20_000;

/// The memory that a whole processor comes with, in MB.
const WHOLE: u32 = 1769;

/// The kernel gives no less than this in a period.
const LEAST: u32 = 1_000;

/// The part of a processor that comes with a memory in MB.
pub(crate) fn part(memory: u32) -> f64 {
    (f64::from(memory) / f64::from(WHOLE)).min(1.0)
}

/// A control group which processes can be put into. Taken away when it is dropped; they must have ended.
#[derive(Debug)]
pub(crate) struct Share {
    directory: PathBuf,
    memory: u32,
}

impl Drop for Share {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.directory);
    }
}

impl Share {
    /// The share of a memory in MB. It takes root, and a kernel whose control groups are not kept from us.
    pub(crate) fn of(memory: u32) -> std::io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("bench-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let quota = (PERIOD * memory / WHOLE).max(LEAST);
        let all = Path::new("/sys/fs/cgroup");
        let is_second_version = all.join("cgroup.controllers").exists();
        if is_second_version {
            std::fs::write(all.join("cgroup.subtree_control"), "+cpu")?;
        }
        let parent = if is_second_version { all.to_path_buf() } else { all.join("cpu") };
        std::fs::create_dir(parent.join(&name))?;
        let share = Self { directory: parent.join(name), memory };
        if is_second_version {
            std::fs::write(share.directory.join("cpu.max"), format!("{quota} {PERIOD}"))?;
        } else {
            std::fs::write(share.directory.join("cpu.cfs_period_us"), PERIOD.to_string())?;
            std::fs::write(share.directory.join("cpu.cfs_quota_us"), quota.to_string())?;
        }
        Ok(share)
    }

    /// The memory that comes with it, in MB.
    pub(crate) fn memory(&self) -> u32 {
        self.memory
    }

    /// A command that has no more than this share. A shell takes it there, which takes about a millisecond, on either side.
    pub(crate) fn holds(&self, command: Vec<OsString>) -> Vec<OsString> {
        let enter = "echo $$ > \"$0\" && exec \"$@\"";
        let processes = self.directory.join("cgroup.procs").into_os_string();
        ["/bin/sh".into(), "-c".into(), enter.into(), processes].into_iter().chain(command).collect()
    }
}
