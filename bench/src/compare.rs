//! The comparison, from the beginning to the files.

use crate::case::Case;
use crate::prices::Prices;
use crate::results::{Cold, Floor, Machine, Package, Results, Warm};
use crate::share::Share;
use crate::side::{Kind, MEMORY, Side, logs, node, size};
use crate::{clock, cold, floor, machine, plot, table, warm};
use billing_core::calendar;
use clap::{Args, ValueEnum};
use scale::page::{Table, written};
use std::path::PathBuf;

/// The memories, in MB, at whose share of a processor starts are measured, too.
pub(crate) const SHARES: [u32; 3] = [512, 256, 128];

/// Rounds of the floors: nothing compiles there.
const FLOOR_ROUNDS: usize = 10;

/// How much is measured.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Cold starts of each function
    #[arg(long, default_value_t = 40)]
    cold: usize,
    /// Cold starts of each function at each share of a processor; 0 for nothing at a share
    #[arg(long, default_value_t = 10)]
    shared: usize,
    /// Rounds of warm invocations, of which the later half is told as warm; twice as many of webhooks with news, half as many of batches
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Invocations in a round; of what takes little time, five times as many
    #[arg(long, default_value_t = 100)]
    invocations: usize,
    /// Measures this alone, and leaves the other figures of the file as they are, if they are of this machine and these packages
    #[arg(long)]
    only: Option<Part>,
    #[command(flatten)]
    files: Files,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Cold,
    Warm,
    Floors,
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
    /// The page that the table is written into
    #[arg(long, default_value = "docs/PERFORMANCE.md")]
    page: PathBuf,
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
    // It takes twenty minutes.
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
        let (rounds, count) = (case.rounds(settings.rounds), settings.invocations * case.weight());
        eprintln!("{}: {} invocations", case.name(), rounds * count);
        all.append(&mut warm::measure(case, None, rounds, count).await);
        if shares.contains(&MEMORY) {
            eprintln!("{} at the share of {MEMORY} MB", case.name());
            all.append(&mut warm::measure(case, Some(MEMORY), 2, settings.invocations).await);
        }
    }
    all
}

async fn floors(settings: &Settings) -> Vec<Floor> {
    let mut all = Vec::new();
    for case in Case::ALL {
        eprintln!("{}: its floor", case.name());
        all.push(floor::measure(case, FLOOR_ROUNDS.min(settings.rounds), settings.invocations * case.weight()).await);
    }
    all
}

/// Why new figures cannot stand beside those that were measured before: they would be of something else. The load may be another.
fn difference(old: &Results, machine: &Machine, packages: &[Package]) -> Option<&'static str> {
    let of = |it: &Machine| (it.processor.clone(), it.cores, it.kernel.clone(), it.rustc.clone(), it.node.clone());
    if of(&old.machine) != of(machine) {
        return Some("on another machine, or with another rustc or Node");
    }
    (old.packages != packages).then_some("of packages of other sizes, so of other functions")
}

/// Measures both sides. `false` if a goal is missed that was met before, or if what was to be measured alone cannot stand beside the rest.
pub(crate) async fn run(settings: &Settings) -> bool {
    if let Some(why) = hindrance() {
        println!("SKIPPED: the comparison with Node; {why}");
        return true;
    }
    let (machine, packages) = (machine::this(), packages());
    let mut results = match settings.only {
        Some(_) => {
            let old = settings.files.read();
            if let Some(why) = difference(&old, &machine, &packages) {
                println!("the other figures of the file were measured {why}: measure all, without --only");
                return false;
            }
            Results { machine, packages, ..old }
        }
        None => Results { machine, packages, cold: Vec::new(), warm: Vec::new(), floors: Vec::new() },
    };
    let _ = std::fs::remove_dir_all(logs());
    let shares: &[u32] = match Share::of(MEMORY) {
        Ok(_) if settings.shared > 0 => &SHARES,
        Ok(_) => &[],
        Err(error) => {
            println!("SKIPPED: all at Lambda's share of a processor; a control group cannot be made: {error}");
            &[]
        }
    };
    let wanted = |part| settings.only.is_none_or(|only| only == part);
    if wanted(Part::Cold) {
        results.cold = starts(settings, shares).await;
    }
    if wanted(Part::Warm) {
        results.warm = invocations(settings, shares).await;
    }
    if wanted(Part::Floors) {
        results.floors = floors(settings).await;
    }
    let file = &settings.files.results;
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, serde_json::to_string(&results).unwrap() + "\n").unwrap();
    show(&settings.files)
}

fn of_page(results: &Results, prices: &Prices) -> [Table; 2] {
    [
        Table { name: "compare", text: table::text(results, prices) },
        Table { name: "floors", text: floor::text(results) },
    ]
}

/// Shows what was measured. `false` if a goal is missed that was met before.
pub(crate) fn show(files: &Files) -> bool {
    let results = files.read();
    let prices = Prices::read();
    let tables = of_page(&results, &prices);
    for table in &tables {
        println!("{}", table.text);
    }
    let page = std::fs::read_to_string(&files.page).unwrap();
    std::fs::write(&files.page, written(&page, &tables).unwrap()).unwrap();
    std::fs::create_dir_all(&files.plots).unwrap();
    plot::ratios(&table::rows(&results, &prices), &files.plots.join("ratios.svg"));
    plot::cold_starts(&results, &files.plots.join("cold-starts.svg"));
    table::missed(&results, &prices).new.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_tests::sandbox::root;

    fn package(zip_bytes: u64) -> Vec<Package> {
        vec![Package { side: Side::Rust, kind: Kind::Worker, zip_bytes, loaded_bytes: 1 }]
    }

    #[test]
    fn figures_of_another_machine_or_other_packages_are_not_mixed() {
        let old = Results {
            machine: machine::this(),
            packages: package(1),
            cold: Vec::new(),
            warm: Vec::new(),
            floors: Vec::new(),
        };
        let busier = Machine { load: "9.99".to_owned(), ..machine::this() };
        assert_eq!(difference(&old, &busier, &package(1)), None);
        assert!(difference(&old, &busier, &package(2)).is_some());
        let newer = Machine { rustc: "rustc 9.99.0".to_owned(), ..machine::this() };
        assert!(difference(&old, &newer, &package(1)).is_some());
    }

    fn committed() -> (Results, Prices) {
        let text = std::fs::read_to_string(root().join("bench/results/compare.json")).unwrap();
        (serde_json::from_str(&text).unwrap(), Prices::read())
    }

    #[test]
    fn the_page_has_the_committed_figures() {
        let (results, prices) = committed();
        let page = std::fs::read_to_string(root().join("docs/PERFORMANCE.md")).unwrap();
        let now = written(&page, &of_page(&results, &prices)).unwrap();
        assert!(page == now, "docs/PERFORMANCE.md is not what `cargo run --package bench -- show` writes");
    }

    #[test]
    fn the_packages_alone_take_more_for_a_webhook_than_an_eighth_of_what_node_takes() {
        let (results, _) = committed();
        for case in [Case::Paid, Case::Known, Case::Forged] {
            let node = results.warm(Side::Node, case, None).unwrap();
            let eighth = node.processor_ms(node.steady()) / 8.0;
            let floor = results.floor(case).processor_ms();
            assert!(floor > eighth, "{}: docs/PERFORMANCE.md says so", case.name());
        }
    }

    #[test]
    fn a_goal_that_was_met_and_is_missed_is_told_and_those_that_are_known_as_missed_are_not() {
        let (mut results, prices) = committed();
        assert_eq!(table::missed(&results, &prices).new, [""; 0]);
        for cold in results.cold.iter_mut().filter(|cold| cold.side == Side::Rust && cold.kind == Kind::Worker) {
            cold.init_us.fill(60_000_000);
        }
        let new = table::missed(&results, &prices).new;
        assert!(new.iter().any(|goal| goal.starts_with("worker, cold start, median")), "{new:?}");
        assert!(new.iter().any(|goal| goal.starts_with("worker, init")), "{new:?}");
    }
}
