//! The comparison, from the beginning to the files.

use crate::case::Case;
use crate::prices::Prices;
use crate::results::{Package, Results};
use crate::share::Share;
use crate::side::{Kind, MEMORY, Side, logs, node, size};
use crate::{clock, cold, machine, plot, table, warm};
use billing_core::calendar;
use clap::Args;
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
    #[command(flatten)]
    files: Files,
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

/// Why nothing can be measured here and now.
fn hindrance() -> Option<&'static str> {
    let now = clock::now();
    // It takes a quarter of an hour.
    if calendar::banks_are_down(now) || calendar::banks_are_down(now + jiff::SignedDuration::from_mins(30)) {
        return Some("banks are down in Seoul, or soon will be, and nothing is charged then");
    }
    node().is_none().then_some("there is no node on the PATH")
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
    let mut results = Results { machine: machine::this(), packages: Vec::new(), cold: Vec::new(), warm: Vec::new() };
    for side in Side::BOTH {
        for kind in Kind::BOTH {
            let (zip_bytes, loaded_bytes) = size(side, kind);
            results.packages.push(Package { side, kind, zip_bytes, loaded_bytes });
        }
    }
    for kind in Kind::BOTH {
        eprintln!("cold starts of the {}", kind.name());
        results.cold.append(&mut cold::measure(kind, None, settings.cold).await);
        for share in shares {
            eprintln!("cold starts of the {} at the share of {share} MB", kind.name());
            results.cold.append(&mut cold::measure(kind, Some(*share), settings.shared).await);
        }
    }
    for case in Case::ALL {
        let count = settings.invocations * case.weight();
        eprintln!("{}: {} invocations", case.name(), settings.rounds * count);
        results.warm.append(&mut warm::measure(case, None, settings.rounds, count).await);
        if shares.contains(&MEMORY) {
            eprintln!("{} at the share of {MEMORY} MB", case.name());
            results.warm.append(&mut warm::measure(case, Some(MEMORY), 2, settings.invocations).await);
        }
    }
    let file = &settings.files.results;
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, serde_json::to_string(&results).unwrap() + "\n").unwrap();
    show(&settings.files);
}

/// Shows what was measured.
pub(crate) fn show(files: &Files) {
    let name = files.results.display();
    let text = std::fs::read_to_string(&files.results).unwrap_or_else(|error| panic!("{name}: {error}"));
    let results = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let prices = Prices::read();
    println!("{}", table::text(&results, &prices));
    std::fs::create_dir_all(&files.plots).unwrap();
    plot::ratios(&table::rows(&results, &prices), &files.plots.join("ratios.svg"));
    plot::cold_starts(&results, &files.plots.join("cold-starts.svg"));
}
