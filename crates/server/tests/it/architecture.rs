//! Who may depend on whom (ARCHITECTURE.md), read from the manifests themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

const DOMAIN: [&str; 2] = ["tidings-core", "tidings-protocol"];
const SERVER: &str = "tidings-server";
const TESTKIT: &str = "tidings-testkit";

/// What a crate of ours depends on, of ours: always, and in its tests too.
#[derive(Debug, Default)]
struct Crate {
    normal: BTreeSet<String>,
    dev: BTreeSet<String>,
}

fn crates() -> BTreeMap<String, Crate> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("crates/");
    let mut crates = BTreeMap::new();
    for entry in fs::read_dir(root).expect("readable") {
        let manifest = entry.expect("readable").path().join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&manifest) else { continue };
        let table: toml::Table = text.parse().expect("TOML");
        let ours = |section: &str| {
            let dependencies = table.get(section).and_then(|value| value.as_table());
            let names = dependencies.into_iter().flat_map(|table| table.keys().cloned());
            names.filter(|name| name.starts_with("tidings-")).collect::<BTreeSet<_>>()
        };
        let mut normal = ours("dependencies");
        normal.extend(ours("build-dependencies"));
        let name = table["package"]["name"].as_str().expect("a name").to_owned();
        crates.insert(name, Crate { normal, dev: ours("dev-dependencies") });
    }
    assert!(crates.len() >= 7, "{crates:?}");
    crates
}

#[test]
fn the_domain_depends_on_nothing_of_ours() {
    let crates = crates();
    for name in DOMAIN {
        assert_eq!(crates[name].normal, BTreeSet::new(), "{name}");
    }
}

#[test]
fn adapters_know_the_domain_and_never_one_another() {
    let domain: BTreeSet<String> = DOMAIN.map(str::to_owned).into();
    for (name, its) in crates() {
        if name == SERVER {
            continue;
        }
        let strangers: Vec<_> = its.normal.difference(&domain).collect();
        assert!(strangers.is_empty(), "{name} depends on {strangers:?}");
    }
}

#[test]
fn the_testkit_depends_on_the_domain_alone_and_serves_tests_alone() {
    let crates = crates();
    assert_eq!(crates[TESTKIT].normal, BTreeSet::from(["tidings-core".to_owned()]));
    for (name, its) in &crates {
        assert!(!its.normal.contains(TESTKIT), "{name}");
    }
}

#[test]
fn nobody_depends_on_the_server() {
    for (name, its) in crates() {
        assert!(!its.normal.contains(SERVER) && !its.dev.contains(SERVER), "{name}");
    }
}

#[test]
fn there_is_no_way_round_in_a_circle() {
    let crates = crates();
    for start in crates.keys() {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&String> = crates[start].normal.iter().collect();
        while let Some(name) = next.pop() {
            assert_ne!(name, start, "a circle");
            if reached.insert(name) {
                next.extend(&crates[name].normal);
            }
        }
    }
}

/// The domain does no I/O: nothing that could is among its dependencies.
#[test]
fn the_domain_has_no_way_to_do_io() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("crates/");
    for name in ["core", "protocol"] {
        let text = fs::read_to_string(root.join(name).join("Cargo.toml")).expect("readable");
        let table: toml::Table = text.parse().expect("TOML");
        let dependencies = table["dependencies"].as_table().expect("dependencies");
        for banned in ["tokio", "rusqlite", "sqlx", "redis", "reqwest", "hyper", "axum", "rand"] {
            assert!(!dependencies.contains_key(banned), "{name} depends on {banned}");
        }
    }
}

/// A file that passes 400 lines asks to be split by meaning.
#[test]
fn no_source_file_is_longer_than_400_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("crates/");
    let mut directories = vec![root.to_owned()];
    let mut long = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let lines = fs::read_to_string(&path).expect("text").lines().count();
                if lines > 400 {
                    long.push((path, lines));
                }
            }
        }
    }
    assert!(long.is_empty(), "{long:?}");
}
