//! What is said in Engine.IO without Socket.IO: carrier, endpoint, message. Reads the files that flags name.

use super::args::AttackArgs;
use super::protocol::message;
use super::socketio::{carrier, eio, endpoint, query, with_slashes};
use super::target::Aim;
use super::{Noted, Surroundings};
use crate::cli::Usage;
use swarm_agent::wire::share::Engineio;

pub(super) fn engineio(
    args: &AttackArgs,
    aim: &Aim,
    around: &Surroundings,
    noted: &mut Noted,
) -> Result<Engineio, Usage> {
    Ok(Engineio {
        version: eio(args, noted)?,
        carrier: carrier(args, aim, noted)?,
        path: path(args, aim, noted)?,
        query: query(args, aim, around)?,
        message: message(args, noted)?,
        binary: args.binary,
        echo: args.echo,
    })
}

/// The endpoint: `--path`, or the URL's path.
fn path(args: &AttackArgs, aim: &Aim, noted: &mut Noted) -> Result<String, Usage> {
    let by_url = with_slashes(&aim.path);
    if by_url == "/" {
        return endpoint(args, "/engine.io/", noted);
    }
    match &args.path {
        Some(typed) if with_slashes(typed) != by_url => Err(Usage(format!(
            "--path {typed}: the URL's path already names {by_url}; give one of them"
        ))),
        _ => Ok(by_url),
    }
}
