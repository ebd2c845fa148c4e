//! Builds the agent with a cargo of its own and lays its gzip'ed bytes into the controller.
//!
//! The inner build has one target folder for all outer profiles (`target/agent-build`), so that it never waits for the
//! outer build's lock, and it sees none of the outer build's flags: the agent is always a static binary.
//! `SWARM_AGENT_BIN=FILE` takes that file instead. Never here: anything that the controller does at run time.

// a build script speaks to cargo on stdout
#![allow(clippy::disallowed_macros)]

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use std::env;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What changes the agent when it changes.
const SOURCES: [&str; 6] = [
    "agent/src",
    "agent/build.rs",
    "agent/Cargo.toml",
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
];

/// Static, not position-independent; random numbers from the system call, so that a host without /dev serves too.
const FLAGS: [&str; 4] = [
    "-Ctarget-feature=+crt-static",
    "-Crelocation-model=static",
    "--cfg",
    "getrandom_backend=\"linux_getrandom\"",
];

/// Variables of cargo that are the user's settings and not this build's state.
const KEPT: [&str; 8] = [
    "CARGO_HOME",
    "CARGO_MAKEFLAGS",
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_REGISTRY_",
    "CARGO_REGISTRIES_",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
];

/// Variables besides `CARGO_*` and `DEP_*` that would carry the outer build's ways into the inner one.
const DROPPED: [&str; 15] = [
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_LINKER",
    "RUSTDOC",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "TARGET",
    "HOST",
    "PROFILE",
    "OPT_LEVEL",
    "OUT_DIR",
    "NUM_JOBS",
    "DEBUG",
];

fn main() {
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    println!("cargo:rerun-if-env-changed=SWARM_AGENT_BIN");
    let file = match env::var_os("SWARM_AGENT_BIN").filter(|file| !file.is_empty()) {
        Some(file) => {
            println!("cargo:rerun-if-changed={}", Path::new(&file).display());
            PathBuf::from(file)
        }
        None => build_agent(),
    };
    let raw = std::fs::read(&file).unwrap_or_else(|error| panic!("cannot read the agent {}: {error}", file.display()));
    embed(&raw);
}

/// Runs the inner cargo and returns the file that it made.
fn build_agent() -> PathBuf {
    let target = variable("TARGET");
    assert!(
        variable("CARGO_CFG_TARGET_OS") == "linux",
        "the agent runs on Linux and cannot be built for {target}: build it on a Linux machine (cargo build --profile agent -p swarm-agent) \
         and set SWARM_AGENT_BIN to the file"
    );
    let profile = if variable("PROFILE") == "release" {
        "agent"
    } else {
        "agent-dev"
    };
    let folder = target_folder(Path::new(&variable("OUT_DIR"))).join("agent-build");
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .args([
            "build",
            "--locked",
            "-p",
            "swarm-agent",
            "--bin",
            "swarm-agent",
            "--features",
            "engines",
        ])
        .args(["--profile", profile, "--target", &target, "--target-dir"])
        .arg(&folder)
        .current_dir(variable("CARGO_MANIFEST_DIR"));
    for (name, _) in env::vars_os() {
        if is_of_this_build(&name) {
            cargo.env_remove(name);
        }
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    let status = cargo
        .status()
        .unwrap_or_else(|error| panic!("cannot run cargo for the agent: {error}"));
    assert!(
        status.success(),
        "the agent (agent/) does not build, see above: {status}"
    );
    folder.join(target).join(profile).join("swarm-agent")
}

/// Whether a variable tells how *this* build runs, and so must not reach the inner one.
fn is_of_this_build(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    if name.starts_with("CARGO_TARGET_") {
        return !name.ends_with("_LINKER");
    }
    let ours = name.starts_with("CARGO_") || name.starts_with("DEP_") || DROPPED.contains(&name);
    ours && !KEPT.iter().any(|kept| name.starts_with(kept))
}

/// The outer target folder, which is wherever cargo put its tag above `OUT_DIR`. It puts none into a folder that was there
/// before (a mounted cache, say): then `OUT_DIR` itself tells, as `TARGET/PROFILE/build/PACKAGE/out`.
fn target_folder(out: &Path) -> PathBuf {
    let above = |levels: usize| out.ancestors().nth(levels);
    let usual = above(2).is_some_and(|folder| folder.ends_with("build"));
    out.ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .or_else(|| above(4).filter(|_| usual))
        .unwrap_or(out)
        .to_path_buf()
}

/// Writes what `src/agent_binary.rs` includes.
fn embed(raw: &[u8]) {
    let out = PathBuf::from(variable("OUT_DIR")).join("agent.gz");
    let mut gz = GzBuilder::new().write(Vec::new(), Compression::best());
    gz.write_all(raw).expect("a vector takes every byte");
    let gz = gz.finish().expect("a vector takes every byte");
    std::fs::write(&out, gz).unwrap_or_else(|error| panic!("cannot write {}: {error}", out.display()));
    let digest: String = Sha256::digest(raw).iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo:rustc-env=SWARM_AGENT_SHA256={digest}");
    println!("cargo:rustc-env=SWARM_AGENT_LENGTH={}", raw.len());
    println!("cargo:rustc-env=SWARM_AGENT_ARCH={}", architecture(raw));
}

/// The architecture that a binary is for, by its ELF header, as `uname -m` says it.
fn architecture(raw: &[u8]) -> String {
    match (raw.starts_with(b"\x7fELF"), raw.get(18..20)) {
        (true, Some([0x3e, 0])) => "x86_64".to_owned(),
        (true, Some([0xb7, 0])) => "aarch64".to_owned(),
        _ => variable("CARGO_CFG_TARGET_ARCH"),
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for build scripts"))
}
