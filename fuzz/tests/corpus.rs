//! The corpus, fed once: what was found stays found, on any machine and without the engine.
#![expect(clippy::unwrap_used, reason = "this file is a test to its last line")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_input_of_the_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in fuzz::TARGETS {
        let inputs = entries(&corpus.join(name));
        assert!(!inputs.is_empty(), "{name} begins from nothing");
        for input in inputs {
            println!("{}", input.display());
            target(&fs::read(input).unwrap());
        }
    }
}

#[test]
fn every_directory_of_the_corpus_is_a_targets() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let names: BTreeSet<_> =
        entries(&corpus).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let targets: BTreeSet<_> = fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, targets);
}
