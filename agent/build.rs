//! Names this build of the agent: a hash over its sources, the same constant in the agent and in the controller that
//! links `wire`, so that a foreign agent is refused at hello.

// a build script speaks to cargo on stdout
#![allow(clippy::disallowed_macros)]

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

fn main() {
    let mut files = Vec::new();
    collect(Path::new("src"), &mut files);
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in &files {
        file.to_string_lossy().hash(&mut hasher);
        std::fs::read(file)
            .expect("a source file of this crate can be read")
            .hash(&mut hasher);
    }
    println!("cargo:rustc-env=SWARM_BUILD_ID={:016x}", hasher.finish());
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=build.rs");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("the source folder of this crate can be listed");
    for entry in entries {
        let path = entry.expect("an entry of the source folder can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "js") {
            files.push(path);
        }
    }
}
