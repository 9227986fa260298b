//! Prints what was measured and what the model says, writes both into `docs/SCALE.md`, and draws `docs/scale`: `make scale`.
#![expect(clippy::print_stdout, reason = "the tables are what the program is for")]
#![expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "an estimate of time")]

use scale::measured::Measured;
use scale::page::{self, Table};
use scale::plot::{self, Growth};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let all = Measured::all();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let tables = page::tables(&all);
    for Table { name, text } in &tables {
        println!("{name}\n\n{text}");
    }
    let file = docs.join("SCALE.md");
    std::fs::write(&file, page::written(&std::fs::read_to_string(&file)?, &tables)?)?;
    draw(&all, &docs.join("scale"))
}

fn draw(all: &[Measured], directory: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(directory)?;
    let all: Vec<Measured> = all.iter().filter(|it| it.is_bound_by_the_allowance()).cloned().collect();
    let growths = [
        (
            "time",
            Growth {
                title: "Time to the last charge, reckoned to 100 charges a second allowed",
                unit: "seconds",
                of: |it| it.charged_ms as f64 / 1e3 * f64::from(it.allowance) / 1e2,
                standing: 0.0,
            },
        ),
        (
            "requests",
            Growth {
                title: "Requests to DynamoDB",
                unit: "requests",
                of: |it| it.dynamodb_requests as f64,
                standing: 0.0,
            },
        ),
        (
            "memory",
            Growth {
                title: "Memory of the whole stack, its tables and PortOne's simulator in it",
                unit: "MB",
                of: |it| it.peak_memory_kib as f64 / 1024.0,
                standing: all.first().map_or(0.0, |it| it.peak_memory_kib as f64 / 1024.0),
            },
        ),
    ];
    let passes = [
        (
            "compared",
            Growth {
                title: "The nightly comparison of the day, in the sandbox",
                unit: "seconds",
                of: |it| it.compared.ms as f64 / 1e3,
                standing: 0.0,
            },
        ),
        (
            "closed",
            Growth {
                title: "Closing the month, in the sandbox",
                unit: "seconds",
                of: |it| it.closed.ms as f64 / 1e3,
                standing: 0.0,
            },
        ),
    ];
    for (name, growth) in growths.into_iter().chain(passes) {
        plot::growth(&all, growth, &directory.join(name).with_extension("svg"))?;
    }
    if let Some(largest) = all.last() {
        plot::queue(largest, &directory.join("queue.svg"))?;
    }
    Ok(())
}
