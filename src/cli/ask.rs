//! Asks a person at the terminal. Never here: what is asked, and whether the answer will do (that is `consent`).

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, IsTerminal, Write};

/// Whether a person can be asked: both where errors go and where answers come from are a terminal. When stdin brings
/// the list of hosts, only the first counts.
pub fn terminal(stdin_is_taken: bool) -> bool {
    std::io::stderr().is_terminal() && (stdin_is_taken || std::io::stdin().is_terminal())
}

/// Writes the question to the terminal and reads one line from it, whatever stdin and stdout are. Blocks.
pub fn ask(question: &str) -> std::io::Result<String> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    terminal.write_all(question.as_bytes())?;
    terminal.flush()?;
    let mut answer = String::new();
    BufReader::new(terminal).read_line(&mut answer)?;
    Ok(answer)
}
