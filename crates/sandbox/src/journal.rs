//! An append-only file of JSON lines from which a state is rebuilt.
//!
//! A record is one `write`: once [`append`](Journal::append) has returned, it survives the death of the process.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An append-only file of records, or, without a file, nothing that is kept.
#[derive(Debug)]
pub struct Journal<T> {
    tail: Option<Mutex<Tail>>,
    record: PhantomData<fn(&T) -> T>,
}

/// The file, and how much of it is whole records.
#[derive(Debug)]
struct Tail {
    file: File,
    length: u64,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens the journal and reads what it holds. `None`: in memory only, nothing is kept.
    ///
    /// A last line without its end is what a crash leaves of a record: it is cut off. The file is locked until the journal is dropped.
    pub fn open(path: Option<&Path>) -> anyhow::Result<(Self, Vec<T>)> {
        let Some(path) = path else {
            return Ok((Self { tail: None, record: PhantomData }, Vec::new()));
        };
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("cannot open the journal {}", path.display()))?;
        file.try_lock().with_context(|| format!("the journal {} is in use", path.display()))?;
        let (records, length) = read(&file).with_context(|| format!("in the journal {}", path.display()))?;
        file.set_len(length)?;
        let tail = Some(Mutex::new(Tail { file, length }));
        Ok((Self { tail, record: PhantomData }, records))
    }

    /// Appends one record. If that fails, the file is as it was.
    pub fn append(&self, record: &T) -> anyhow::Result<()> {
        let Some(tail) = &self.tail else { return Ok(()) };
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        match tail.file.write(&line) {
            Ok(written) if written == line.len() => {
                tail.length = tail.length.saturating_add(written as u64);
                Ok(())
            }
            outcome => {
                tail.file.set_len(tail.length)?;
                outcome?;
                bail!("the journal took only a part of a record")
            }
        }
    }
}

/// The whole records, and how many bytes they take.
fn read<T: DeserializeOwned>(file: &File) -> anyhow::Result<(Vec<T>, u64)> {
    let mut reader = BufReader::new(file);
    let (mut records, mut length, mut line) = (Vec::new(), 0_u64, Vec::new());
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok((records, length));
        }
        ensure!(read == line.len(), "a line was read in part");
        let record = serde_json::from_slice(&line)
            .with_context(|| format!("line {} is not a record", records.len().saturating_add(1)))?;
        records.push(record);
        length = length.saturating_add(read as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("sandbox-journal-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    #[test]
    fn what_was_appended_is_read_again() {
        let path = scratch("again");
        let (journal, old) = Journal::<String>::open(Some(&path)).unwrap();
        assert!(old.is_empty());
        journal.append(&"one\ntwo".to_owned()).unwrap();
        journal.append(&"three".to_owned()).unwrap();
        drop(journal);
        let (_, records) = Journal::<String>::open(Some(&path)).unwrap();
        assert_eq!(records, ["one\ntwo", "three"]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_next_record_follows_the_last_whole_one() {
        let path = scratch("torn");
        std::fs::write(&path, b"\"one\"\n\"tw").unwrap();
        let (journal, records) = Journal::<String>::open(Some(&path)).unwrap();
        assert_eq!(records, ["one"]);
        journal.append(&"three".to_owned()).unwrap();
        drop(journal);
        assert_eq!(std::fs::read(&path).unwrap(), b"\"one\"\n\"three\"\n");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_and_not_a_loss() {
        let path = scratch("broken");
        std::fs::write(&path, b"\"one\"\n\"tw\n\"three\"\n").unwrap();
        assert!(Journal::<String>::open(Some(&path)).is_err());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_journal_without_a_file_keeps_nothing() {
        let (journal, records) = Journal::<String>::open(None).unwrap();
        assert!(records.is_empty());
        journal.append(&"one".to_owned()).unwrap();
    }

    #[test]
    fn two_cannot_write_one_journal() {
        let path = scratch("locked");
        let (_first, _) = Journal::<String>::open(Some(&path)).unwrap();
        assert!(Journal::<String>::open(Some(&path)).is_err());
        std::fs::remove_file(path).unwrap();
    }
}
