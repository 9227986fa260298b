//! The comparison, from the beginning to the files.

use crate::case::Case;
use crate::prices::Prices;
use crate::results::{Cold, Package, Results, Warm};
use crate::share::Share;
use crate::side::{Kind, MEMORY, Side, logs, node, size};
use crate::{clock, cold, machine, plot, table, warm};
use billing_core::calendar;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The memories, in MB, at whose share of a processor starts are measured, too.
pub(crate) const SHARES: [u32; 3] = [512, 256, 128];

/// How much is measured.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Cold starts of each function
    #[arg(long, default_value_t = 40)]
    cold: usize,
    /// Cold starts of each function at each share of a processor; 0 for nothing at a share
    #[arg(long, default_value_t = 10)]
    shared: usize,
    /// Rounds of warm invocations
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Invocations in a round; of what takes little time, five times as many
    #[arg(long, default_value_t = 100)]
    invocations: usize,
    /// Measures this alone, and leaves the other figures of the file as they are
    #[arg(long)]
    only: Option<Part>,
    #[command(flatten)]
    files: Files,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Cold,
    Warm,
}

/// Where figures and plots are.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// The raw figures
    #[arg(long, default_value = "bench/results/compare.json")]
    results: PathBuf,
    /// The directory of the plots
    #[arg(long, default_value = "docs/performance")]
    plots: PathBuf,
}

impl Files {
    fn read(&self) -> Results {
        let name = self.results.display();
        let text = std::fs::read_to_string(&self.results).unwrap_or_else(|error| panic!("{name}: {error}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

/// Why nothing can be measured here and now.
fn hindrance() -> Option<&'static str> {
    let now = clock::now();
    // It takes a quarter of an hour.
    if calendar::banks_are_down(now) || calendar::banks_are_down(now + jiff::SignedDuration::from_mins(30)) {
        return Some("banks are down in Seoul, or soon will be, and nothing is charged then");
    }
    node().is_none().then_some("there is no node on the PATH")
}

fn packages() -> Vec<Package> {
    let mut packages = Vec::new();
    for side in Side::BOTH {
        for kind in Kind::BOTH {
            let (zip_bytes, loaded_bytes) = size(side, kind);
            packages.push(Package { side, kind, zip_bytes, loaded_bytes });
        }
    }
    packages
}

async fn starts(settings: &Settings, shares: &[u32]) -> Vec<Cold> {
    let mut all = Vec::new();
    for kind in Kind::BOTH {
        eprintln!("cold starts of the {}", kind.name());
        all.append(&mut cold::measure(kind, None, settings.cold).await);
        for share in shares {
            eprintln!("cold starts of the {} at the share of {share} MB", kind.name());
            all.append(&mut cold::measure(kind, Some(*share), settings.shared).await);
        }
    }
    all
}

async fn invocations(settings: &Settings, shares: &[u32]) -> Vec<Warm> {
    let mut all = Vec::new();
    for case in Case::ALL {
        let count = settings.invocations * case.weight();
        eprintln!("{}: {} invocations", case.name(), settings.rounds * count);
        all.append(&mut warm::measure(case, None, settings.rounds, count).await);
        if shares.contains(&MEMORY) {
            eprintln!("{} at the share of {MEMORY} MB", case.name());
            all.append(&mut warm::measure(case, Some(MEMORY), 2, settings.invocations).await);
        }
    }
    all
}

/// Measures both sides.
pub(crate) async fn run(settings: &Settings) {
    if let Some(why) = hindrance() {
        println!("SKIPPED: the comparison with Node; {why}");
        return;
    }
    let _ = std::fs::remove_dir_all(logs());
    let shares: &[u32] = match Share::of(MEMORY) {
        Ok(_) if settings.shared > 0 => &SHARES,
        Ok(_) => &[],
        Err(error) => {
            println!("SKIPPED: all at Lambda's share of a processor; a control group cannot be made: {error}");
            &[]
        }
    };
    let mut results = match settings.only {
        Some(_) => settings.files.read(),
        None => Results { machine: machine::this(), packages: packages(), cold: Vec::new(), warm: Vec::new() },
    };
    if settings.only != Some(Part::Warm) {
        results.cold = starts(settings, shares).await;
    }
    if settings.only != Some(Part::Cold) {
        results.warm = invocations(settings, shares).await;
    }
    let file = &settings.files.results;
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, serde_json::to_string(&results).unwrap() + "\n").unwrap();
    show(&settings.files);
}

/// Shows what was measured.
pub(crate) fn show(files: &Files) {
    let results = files.read();
    let prices = Prices::read();
    println!("{}", table::text(&results, &prices));
    std::fs::create_dir_all(&files.plots).unwrap();
    plot::ratios(&table::rows(&results, &prices), &files.plots.join("ratios.svg"));
    plot::cold_starts(&results, &files.plots.join("cold-starts.svg"));
}
