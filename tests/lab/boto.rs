//! Owns: short Python scripts with boto3 as another client of the lab's cloud. Must not: go round the proxy.

use crate::cloud::Cloud;
use crate::process::run;
use crate::{Result, moto};
use std::process::Command;

/// Runs a script behind `servers/prelude.py`, in the controller's place.
pub fn command(cloud: &Cloud, text: &str) -> Command {
    let mut command = cloud.command(moto::python());
    command
        .arg("-c")
        .arg(concat!(include_str!("servers/prelude.py"), "\n").to_owned() + text);
    command
}

/// What it printed.
pub fn script(cloud: &Cloud, text: &str) -> Result<String> {
    Ok(run(&mut command(cloud, text))?.trim().to_owned())
}
