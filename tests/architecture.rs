//! What must be absent from each room: `docs/ARCHITECTURE.md`, "Rooms", held by the manifests and the files themselves.
#![expect(clippy::expect_used, reason = "this file is a test to its last line")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_path_buf()
}

/// Each member's direct dependencies, without those of its tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
            let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
            let names = normal.map(|dependency| dependency["name"].as_str().expect("a name").to_owned());
            (package["name"].as_str().expect("a name").to_owned(), names.collect())
        })
        .collect()
}

const LAMBDAS: [&str; 5] = ["webhook", "api", "charger", "reconciler", "notifier"];

#[test]
fn the_core_depends_on_nothing_that_can_do_anything() {
    let allowed = ["data-encoding", "jiff", "serde", "sha2", "thiserror", "toml"];
    let core = &dependencies()["billing-core"];
    assert!(core.iter().all(|name| allowed.contains(&name.as_str())), "billing-core depends on {core:?}");
}

#[test]
fn the_use_cases_know_no_aws_no_http_and_no_runtime() {
    let flows = &dependencies()["billing-flows"];
    let forbidden = ["tokio", "reqwest", "portone", "lambda_runtime", "lambda_http", "aws_lambda_events"];
    let found: Vec<_> =
        flows.iter().filter(|name| name.starts_with("aws") || forbidden.contains(&name.as_str())).collect();
    assert!(found.is_empty(), "billing-flows depends on {found:?}");
}

#[test]
fn the_portone_client_knows_no_aws_and_no_billing() {
    let portone = &dependencies()["portone"];
    let found: Vec<_> = portone
        .iter()
        .filter(|name| name.starts_with("aws") || name.starts_with("billing") || name.starts_with("lambda"))
        .collect();
    assert!(found.is_empty(), "portone depends on {found:?}");
}

#[test]
fn the_sdk_is_used_in_the_room_of_the_adapters_alone() {
    for lambda in LAMBDAS {
        let dependencies = &dependencies()[lambda];
        let found: Vec<_> = dependencies.iter().filter(|name| name.starts_with("aws-") || *name == "reqwest").collect();
        assert!(found.is_empty(), "{lambda} depends on {found:?}");
    }
}

#[test]
fn dependencies_point_one_way() {
    let order = [
        "sandbox",
        "webhook",
        "api",
        "charger",
        "reconciler",
        "notifier",
        "billing-aws",
        "billing-flows",
        "billing-core",
    ];
    let rank = |name: &str| match name {
        "webhook" | "api" | "charger" | "reconciler" | "notifier" => Some(1),
        _ => order.iter().position(|other| *other == name),
    };
    for (package, dependencies) in dependencies() {
        let Some(own) = rank(&package) else { continue };
        for dependency in dependencies {
            if let Some(other) = rank(&dependency) {
                assert!(other > own, "{package} depends on {dependency}");
            }
        }
    }
}

#[test]
fn nothing_depends_on_the_sandbox() {
    for (package, dependencies) in dependencies() {
        assert!(!dependencies.contains("sandbox"), "{package} depends on the sandbox");
    }
}

#[test]
fn the_main_of_a_lambda_is_wiring_of_at_most_thirty_lines() {
    let mains = [
        "webhook/src/main.rs",
        "api/src/main.rs",
        "charger/src/bin/planner.rs",
        "charger/src/bin/worker.rs",
        "reconciler/src/main.rs",
        "notifier/src/main.rs",
    ];
    for main in mains {
        let text = std::fs::read_to_string(root().join("crates").join(main)).expect(main);
        let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= 30, "{main} has {lines} lines");
    }
}

#[test]
fn every_crate_obeys_the_workspaces_lints() {
    let crates = std::fs::read_dir(root().join("crates")).expect("crates/");
    for entry in crates {
        let manifest = entry.expect("an entry").path().join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).expect("a manifest");
        assert!(text.contains("[lints]\nworkspace = true"), "{} sets lints of its own", manifest.display());
    }
}

#[test]
fn a_release_build_has_no_line_that_could_hold_a_whole_event() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    let tracing = manifest.lines().find(|line| line.starts_with("tracing = ")).expect("tracing");
    assert!(tracing.contains("\"release_max_level_info\""), "{tracing}");
    // The feature is every build's that has one crate which asks for it.
    for lambda in LAMBDAS.into_iter().chain(["billing-aws"]) {
        assert!(dependencies()[lambda].contains("tracing"), "{lambda} does not depend on tracing");
    }
}

#[test]
fn no_random_number_and_no_clock_is_within_reach_of_an_identity() {
    for room in ["billing-core", "billing-flows", "portone"] {
        let dependencies = &dependencies()[room];
        let found: Vec<_> = dependencies
            .iter()
            .filter(|name| ["rand", "getrandom", "uuid", "chrono", "time"].contains(&name.as_str()))
            .collect();
        assert!(found.is_empty(), "{room} depends on {found:?}");
    }
}

#[test]
fn no_function_asks_for_guards_that_can_be_removed() {
    for package in LAMBDAS.into_iter().chain(["billing-aws", "portone", "sandbox"]) {
        let manifest = root().join("crates").join(package).join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).expect("a manifest");
        assert!(!text.contains("removable-guards"), "{package} asks for removable guards");
    }
    let guards = std::fs::read_to_string(root().join("crates/billing-core/src/guard.rs")).expect("the guards");
    let switches = guards.matches("#[cfg(all(feature = \"removable-guards\", debug_assertions))]").count();
    assert_eq!(switches, guards.matches("cfg(all(").count(), "a switch that a release build would have");
}

/// All Rust files of the workspace, in one text.
fn sources() -> String {
    let mut folders = vec![root().join("crates"), root().join("tests")];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                text += &std::fs::read_to_string(entry).expect("a file");
            }
        }
    }
    text
}

#[test]
fn every_test_that_the_page_on_security_names_exists() {
    let page = std::fs::read_to_string(root().join("docs/SECURITY.md")).expect("the page");
    let is_test =
        |word: &&str| word.matches('_').count() > 2 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 40, "{named:?}");
    let sources = sources();
    let missing: Vec<&&str> = named.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}
