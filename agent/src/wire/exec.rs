//! `swarm exec` as it crosses the link: a command that every host runs at the same instant, files before and after it,
//! and what it printed.
//!
//! The order comes first, the bytes of its uploads behind it; the agent answers with [`super::message::Armed`] and begins
//! at [`super::message::ToAgent::Start`]. Bytes in both directions are sent on credit: never more than [`WINDOW`] of
//! them are under way, so a reader that stops stops the command and not the memory of anybody.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Bytes that may be sent before the other side has said that it took some of them.
pub const WINDOW: usize = 256 * 1024;
/// The most bytes of one piece: a message with it is one frame.
pub const PIECE: usize = super::frame::CHUNK - 64;

/// What one host is to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Counts the orders that this agent was given; its answer names the one that it is about.
    pub round: u32,
    /// Names the run, and the folder of it.
    pub run: String,
    /// The command.
    pub words: Words,
    /// Let the user's login shell set up the environment first.
    pub login_shell: bool,
    /// Files that come before the start, in this order.
    pub uploads: Vec<Upload>,
    /// Files that go back after the end: absolute, or from the run's folder.
    pub fetch: Vec<String>,
    /// The command and all that it started are ended so long after the instant, ns.
    pub timeout: Option<u64>,
    /// An agent that hears nothing for so long ends all of it, ns.
    pub silence: u64,
}

/// A command, placeholders filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Words {
    /// Program and arguments, exactly.
    Argv(Vec<ByteBuf>),
    /// A line for a shell.
    Line(ByteBuf),
}

/// A file for the run's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its name there.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
}

/// From the controller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToExec {
    /// What to run. A second one before the start replaces the first.
    Order(Order),
    /// More bytes of the uploads, which follow each other without a gap.
    Piece(ByteBuf),
    /// So many bytes of output and files were taken.
    Took(u32),
}

/// From an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromExec {
    /// So many bytes of uploads were taken.
    Took(u32),
    /// What the command printed.
    Output {
        /// On what.
        stream: Printed,
        /// As it came.
        bytes: ByteBuf,
    },
    /// A file that was asked for; its bytes follow.
    File {
        /// Its place in [`Order::fetch`].
        index: u32,
        /// Permission bits.
        mode: u32,
        /// Bytes.
        size: u64,
    },
    /// More bytes of the file.
    Piece(ByteBuf),
    /// A file cannot be fetched, or the rest of it.
    NoFile {
        /// Its place in [`Order::fetch`].
        index: u32,
        /// Why.
        why: String,
    },
    /// All of it is over. The last message.
    Ended(Ended),
}

/// Where a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Printed {
    /// Standard output.
    Output,
    /// Standard error.
    Errors,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// From the instant to the exec, ns; `None`: it was never executed.
    pub began: Option<i64>,
    /// From the exec to the end of the command, ns.
    pub ran: u64,
    /// How it ended.
    pub exit: Exit,
    /// What ended it early.
    pub cut_short: Option<CutShort>,
    /// Processes that it had left running and that were ended.
    pub lingering: u32,
    /// Processes that could not be ended.
    pub left: u32,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// With this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It could not be executed, or was stopped before the instant.
    NotBegun(String),
    /// Nobody saw it.
    Unknown(String),
}

/// Why a command was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CutShort {
    /// [`Order::timeout`].
    Timeout,
    /// The controller's drain.
    Drained,
}
