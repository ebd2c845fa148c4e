//! The holder: a process that is there before the instant and becomes the command at it. Never here: what comes after.

use super::control::{Blocking, Down, Hold, Up, inherited};
use super::login;
use crate::clock::monotonic_ns;
use rustix::process::{Signal, getppid, set_parent_process_death_signal, setsid, umask};
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Holds a command, then becomes it. Returns only when it does not.
pub fn hold() -> io::Result<()> {
    // A guardian that is killed takes the command with it; it forks in its only thread, at whose end the signal comes.
    let guardian = getppid();
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != guardian {
        return Ok(());
    }
    // `kill 0` in a script is meant for the script's own.
    setsid()?;
    let mut guardian = Blocking::new(inherited()?);
    let Some(Down::Hold(hold)) = guardian.next() else {
        return Ok(());
    };
    let mut command = ready(&hold);
    guardian.tell(&Up::Held)?;
    let Some(Down::Start { at }) = guardian.next() else {
        return Ok(());
    };
    wait_until(at);
    guardian.tell(&Up::Began { at: monotonic_ns() })?;
    // the socket goes with the exec, and that is the guardian's sign
    let error = command.exec();
    guardian.tell(&Up::NotBegun {
        why: in_words(&error, &command, &hold.folder),
    })
}

fn ready(hold: &Hold) -> Command {
    let program = login::program(&hold.words, hold.login_shell, std::env::var_os("SHELL"));
    let mut command = Command::new(&program.path);
    if let Some(zeroth) = &program.zeroth {
        command.arg0(zeroth);
    }
    command
        .args(&program.arguments)
        .current_dir(&hold.folder)
        .stdin(Stdio::null());
    // the agent's own is that of the script which brought it
    umask(rustix::fs::Mode::from_raw_mode(0o022));
    command
}

fn wait_until(ns: u64) {
    let until = Timespec {
        tv_sec: (ns / 1_000_000_000).cast_signed(),
        tv_nsec: (ns % 1_000_000_000).cast_signed(),
    };
    // a signal that does not end it wakes it early
    while monotonic_ns() < ns && clock_nanosleep_absolute(ClockId::Monotonic, &until).is_err() {}
}

/// Why it cannot be executed, and the way out.
fn in_words(error: &io::Error, command: &Command, folder: &Path) -> String {
    let program = command.get_program().to_string_lossy();
    let is_uploaded = !program.contains('/') && folder.join(&*program).is_file();
    match error.kind() {
        io::ErrorKind::NotFound if is_uploaded => {
            format!("{program}: not in PATH; ./{program} is the file that came with --upload")
        }
        io::ErrorKind::NotFound => format!("{program}: no such program (or its interpreter is missing)"),
        _ => format!("{program}: {error}"),
    }
}
