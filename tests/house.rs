//! Holds the house: which module may use which, what every file opens with, how long it may be, what it may be called.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Top-level module of the controller and what it may use. `demo` serves nothing but itself; `error` stands above all.
const CONTROLLER: &[(&str, &[&str])] = &[
    ("agent_binary", &[]),
    ("balancer", &[]),
    ("cli", &["*"]),
    ("check", &["conduct"]),
    ("clock", &[]),
    (
        "conduct",
        &[
            "clock", "consent", "link", "order", "plan", "signal", "source", "split", "watch",
        ],
    ),
    ("consent", &[]),
    ("demo", &[]),
    ("deploy", &["agent_binary", "dialogue", "fleet", "transport"]),
    ("dialogue", &["transport"]),
    ("error", &["cli", "fleet", "state"]),
    ("fleet", &["state"]),
    ("key_pair", &[]),
    ("link", &["clock", "transport"]),
    (
        "merge",
        &[
            "balancer",
            "conduct",
            "order",
            "plan",
            "requirement",
            "source",
            "split",
            "watch",
        ],
    ),
    ("order", &["plan", "split"]),
    ("plan", &["balancer", "requirement", "watch"]),
    ("playbook", &["cli", "secret"]),
    ("requirement", &["cli"]),
    ("secret", &[]),
    ("settle", &["dialogue", "fleet", "transport"]),
    (
        "show",
        &[
            "balancer",
            "check",
            "fleet",
            "conduct",
            "merge",
            "plan",
            "requirement",
            "secret",
            "watch",
        ],
    ),
    ("signal", &[]),
    ("source", &["plan"]),
    ("split", &["plan"]),
    ("state", &[]),
    ("transport", &["agent_binary", "clock", "fleet"]),
    ("watch", &["clock", "secret"]),
];

/// The same for the agent.
const AGENT: &[(&str, &[&str])] = &[
    ("addresses", &[]),
    ("clock", &[]),
    ("codec", &["wire"]),
    ("engine", &["codec", "net", "recorder", "trace", "wire"]),
    ("exec", &["clock", "wire"]),
    (
        "flow",
        &[
            "codec", "engine", "net", "pacer", "recorder", "script", "timer", "wire", "worker",
        ],
    ),
    ("gather", &["recorder"]),
    ("host", &["addresses", "wire"]),
    ("look", &["codec", "net", "wire"]),
    ("net", &["wire"]),
    ("pacer", &["wire"]),
    ("preflight", &["pacer", "recorder", "wire"]),
    ("probe", &["codec", "engine", "net", "wire"]),
    ("recorder", &["wire"]),
    (
        "run",
        &[
            "flow", "gather", "host", "net", "pacer", "recorder", "trace", "wire", "worker",
        ],
    ),
    ("script", &[]),
    (
        "serve",
        &[
            "clock",
            "exec",
            "host",
            "look",
            "net",
            "preflight",
            "probe",
            "run",
            "script",
            "wire",
        ],
    ),
    ("timer", &[]),
    ("trace", &["wire"]),
    ("wire", &[]),
    ("worker", &["net", "recorder", "trace", "wire"]),
];

const FORBIDDEN: &[&str] = &["utils", "helpers", "common", "misc", "manager", "data", "info", "imp"];
const LONGEST: usize = 400;

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
}

fn files_of(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    rust_files(&root, &mut found);
    assert!(!found.is_empty(), "{folder} holds no Rust");
    found
        .into_iter()
        .map(|file| {
            (
                file.strip_prefix(&root).unwrap().to_owned(),
                fs::read_to_string(&file).unwrap(),
            )
        })
        .collect()
}

/// Lines of code outside comments and tests.
fn code(text: &str) -> Vec<&str> {
    let before_tests = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    before_tests
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//"))
        .collect()
}

/// Top-level modules named after `crate::` in the code of a file.
fn used(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in code(text) {
        for (at, _) in line.match_indices("crate::") {
            let boundary = line[..at]
                .chars()
                .next_back()
                .is_none_or(|c| !c.is_alphanumeric() && c != '_');
            let name: String = line[at + 7..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if boundary && name.starts_with(|c: char| c.is_ascii_lowercase()) {
                names.insert(name);
            }
        }
    }
    names
}

fn hold_arrows(folder: &str, rules: &[(&str, &[&str])]) {
    let rules: BTreeMap<&str, &[&str]> = rules.iter().copied().collect();
    let mut wrong = Vec::new();
    for (file, text) in files_of(folder) {
        let top = file
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        if ["lib", "main"].contains(&top.as_str()) {
            continue;
        }
        let Some(allowed) = rules.get(top.as_str()) else {
            wrong.push(format!("{folder}/{}: module {top} has no rule", file.display()));
            continue;
        };
        for name in used(&text) {
            if name != top && !allowed.contains(&"*") && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{folder}/{} uses {name}", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that the house does not have:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_controllers_arrows_hold() {
    hold_arrows("src", CONTROLLER);
}

#[test]
fn the_agents_arrows_hold() {
    hold_arrows("agent/src", AGENT);
}

#[test]
fn every_file_says_what_it_owns_and_stays_short() {
    let mut wrong = Vec::new();
    for folder in ["src", "agent/src", "tests"] {
        for (file, text) in files_of(folder) {
            let name = format!("{folder}/{}", file.display());
            if file.components().any(|part| part.as_os_str() == "node_modules") {
                continue;
            }
            if !text.starts_with("//!") {
                wrong.push(format!("{name} does not open with //!"));
            }
            let lines = code(&text).len();
            if lines > LONGEST && file.file_name().is_some_and(|name| name != "tests.rs") {
                wrong.push(format!("{name} has {lines} lines of code"));
            }
            let stem = file.file_stem().unwrap().to_str().unwrap();
            if FORBIDDEN.contains(&stem) {
                wrong.push(format!("{name} is a drawer"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_agent_never_reads_the_wall_clock() {
    for (file, text) in files_of("agent/src") {
        for word in ["SystemTime", "ClockId::Realtime", "UNIX_EPOCH", "gettimeofday"] {
            assert!(
                !code(&text).iter().any(|line| line.contains(word)),
                "agent/src/{} uses {word}",
                file.display()
            );
        }
    }
}

#[test]
fn one_http_and_tls_stack_serves_aws() {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let has = |name: &str, version: &str| lock.contains(&format!("name = \"{name}\"\nversion = \"{version}"));
    assert!(
        has("aws-sdk-ec2", ""),
        "the lock file does not hold what this test looks for"
    );
    // one dependency with default features would bring these back, and minutes of building with them
    for (name, version) in [
        ("hyper", "0."),
        ("rustls", "0.21"),
        ("aws-lc-sys", ""),
        ("openssl-sys", ""),
    ] {
        assert!(!has(name, version), "{name} {version} is in the dependencies");
    }
}
