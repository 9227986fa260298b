//! Prints the model, beside what was measured, and draws it: `make scale`.
#![expect(clippy::print_stdout, reason = "the tables are what the program is for")]
#![expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "an estimate of time")]

use scale::measured::Measured;
use scale::plot::{self, Growth};
use scale::{NEW_TABLE_WRITES, Stack};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let all = Measured::all();
    print_measured(&all);
    print_model();
    draw(&all)
}

fn print_measured(all: &[Measured]) {
    println!("Measured (`make rush`), one machine\n");
    println!(
        "{:>10} {:>10} {:>8} {:>12} {:>12} {:>7} {:>8} {:>10} {:>12} {:>10}",
        "customers",
        "allowance",
        "workers",
        "last charge",
        "expected",
        "used",
        "most/s",
        "planned/s",
        "requests",
        "memory"
    );
    for it in all {
        let stack = Stack {
            customers: f64::from(it.customers),
            allowance: f64::from(it.allowance),
            workers: f64::from(it.workers),
            planned: f64::from(it.customers) / (it.planned_ms as f64 / 1e3),
            mails: f64::INFINITY,
            table_writes: f64::INFINITY,
            ..Stack::of_the_template(0.0)
        };
        println!(
            "{:>10} {:>10} {:>8} {:>10.1} s {:>10.1} s {:>5} % {:>8} {:>10.0} {:>12} {:>7} MB",
            it.customers,
            it.allowance,
            it.workers,
            it.charged_ms as f64 / 1e3,
            stack.expected().charged,
            it.used_percent,
            it.most_in_a_second,
            stack.planned,
            it.dynamodb_requests,
            it.peak_memory_kib / 1024,
        );
    }
}

fn print_model() {
    println!("\nOn AWS, by the model\n");
    println!(
        "{:>12} {:>10} {:>8} {:>10} {:>12} {:>12} {:>12}  bound by (moved by)",
        "customers", "allowance", "workers", "charges/s", "last charge", "last mail", "deepest"
    );
    for customers in [1e4, 1e5, 1e6, 1e7] {
        for (allowance, workers, mails, table_writes) in [
            (40.0, 4.0, 14.0, NEW_TABLE_WRITES),
            (100.0, 20.0, 100.0, NEW_TABLE_WRITES),
            (300.0, 60.0, 300.0, NEW_TABLE_WRITES),
            (1_000.0, 200.0, 1_000.0, 10_000.0),
        ] {
            let stack = Stack { allowance, workers, mails, table_writes, ..Stack::of_the_template(customers) };
            let expected = stack.expected();
            println!(
                "{:>12.0} {:>10.0} {:>8.0} {:>10.1} {:>12} {:>12} {:>12.0}  {} ({})",
                customers,
                allowance,
                workers,
                expected.charges,
                time(expected.charged),
                time(expected.mailed),
                expected.deepest,
                expected.bound.what,
                expected.bound.moved_by,
            );
        }
    }
    println!("\nWhat bounds a million with the template's parameters, the narrowest first, in charges a second\n");
    for limit in Stack::of_the_template(1e6).limits() {
        println!("{:>10.0}  {:<48} {}", limit.charges, limit.what, limit.moved_by);
    }
}

fn draw(all: &[Measured]) -> Result<(), Box<dyn Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scale");
    std::fs::create_dir_all(&directory)?;
    let growths = [
        (
            "time",
            Growth {
                title: "Time to the last charge",
                unit: "seconds",
                of: |it| it.charged_ms as f64 / 1e3,
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
    for (name, growth) in growths {
        plot::growth(all, growth, &directory.join(name).with_extension("svg"))?;
    }
    if let Some(largest) = all.last() {
        plot::queue(largest, &directory.join("queue.svg"))?;
    }
    Ok(())
}

fn time(seconds: f64) -> String {
    let minutes = seconds / 60.0;
    if minutes < 2.0 {
        format!("{seconds:.0} s")
    } else if minutes < 120.0 {
        format!("{minutes:.0} min")
    } else {
        format!("{:.1} h", minutes / 60.0)
    }
}
