//! Listens to the hosts of `swarm exec`: prints what their commands print, keeps a part of it, writes the files that come
//! back, and says what it took. A thread of its own, since whoever reads stdout may stop reading. Never here: the link.

use super::ExecCommand;
use super::fetched::Fetching;
use crate::conduct::event::Event;
use crate::conduct::exec::{Heard, weight};
use crate::merge::exec::Received;
use crate::show::exec::lines::{Keeper, Lines, whole};
use crate::show::{self, exec::err};
use swarm_agent::wire::exec::{FromExec, Printed};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

/// Names are set to one width, up to this.
const WIDEST: usize = 40;

/// How what comes is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Line by line, as it comes.
    Now,
    /// Host by host, at the end.
    AtTheEnd,
}

/// The listener.
pub(super) struct Ear {
    when: When,
    /// stdout belongs to the report.
    json: bool,
    hosts: Vec<HostEar>,
}

struct HostEar {
    name: String,
    prefix: String,
    output: Stream,
    errors: Stream,
    files: Fetching,
}

#[derive(Default)]
struct Stream {
    lines: Lines,
    keeper: Keeper,
}

impl Ear {
    pub fn new(command: &ExecCommand, names: &[String]) -> Self {
        let width = names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0)
            .min(WIDEST);
        let host = |name: &String| HostEar {
            name: name.clone(),
            prefix: format!("{:<width$} | ", show::clean::cut(name, WIDEST)),
            output: Stream::default(),
            errors: Stream::default(),
            files: Fetching::new(&command.out, name, &command.plan.fetch),
        };
        Self {
            when: if command.gather { When::AtTheEnd } else { When::Now },
            json: command.output.json,
            hosts: names.iter().map(host).collect(),
        }
    }

    /// Listens until nobody speaks any more. What was received comes in the order of the hosts.
    pub fn listen(
        mut self,
        mut heard: UnboundedReceiver<Heard>,
        events: UnboundedSender<Event>,
    ) -> oneshot::Receiver<Vec<Received>> {
        let (done, received) = oneshot::channel();
        // no task of the runtime: one that waits for a reader of stdout could not be left behind
        std::thread::spawn(move || {
            while let Some(heard) = heard.blocking_recv() {
                self.hear(heard, &events);
            }
            // whoever left before the end wants nothing of it
            done.send(self.end()).ok();
        });
        received
    }

    fn hear(&mut self, heard: Heard, events: &UnboundedSender<Event>) {
        match heard {
            Heard::Gone { host, why } => show::say(&format!("{}: {why}", self.hosts[host].name)),
            Heard::Draining => show::say("stopping: every command is ended; once more Ctrl-C leaves at once"),
            Heard::Said { host, said } => {
                let bytes = u32::try_from(weight(&said)).unwrap_or(u32::MAX);
                self.take(host, said);
                if bytes > 0 {
                    events.send(Event::Took { host, bytes }).ok();
                }
            }
        }
    }

    fn take(&mut self, host: usize, said: FromExec) {
        let ear = &mut self.hosts[host];
        match said {
            FromExec::Output { stream, bytes } => {
                let own = ear.stream(stream);
                own.keeper.take(&bytes);
                if self.when == When::Now {
                    let prefix = std::mem::take(&mut ear.prefix);
                    let text = ear.stream(stream).lines.take(&prefix, &bytes);
                    ear.prefix = prefix;
                    print(stream, self.json, &text);
                }
            }
            FromExec::File { index, mode, size } => ear.files.begin(index, mode, size),
            FromExec::Piece(bytes) => ear.files.take(&bytes),
            FromExec::NoFile { index, why } => ear.files.fail(index, why),
            FromExec::Took(_) | FromExec::Ended(_) => {}
        }
    }

    fn end(self) -> Vec<Received> {
        let (when, json) = (self.when, self.json);
        let one = |mut ear: HostEar| {
            let prefix = std::mem::take(&mut ear.prefix);
            if when == When::Now {
                print(Printed::Output, json, &ear.output.lines.rest(&prefix));
                print(Printed::Errors, json, &ear.errors.lines.rest(&prefix));
            }
            let (output, errors) = (ear.output.keeper.kept(), ear.errors.keeper.kept());
            if when == When::AtTheEnd {
                for (stream, kept) in [(Printed::Output, &output), (Printed::Errors, &errors)] {
                    let mut lines = Lines::default();
                    let text = lines.take(&prefix, &whole(kept)) + &lines.rest(&prefix);
                    print(stream, json, &text);
                }
            }
            Received {
                output,
                errors,
                files: ear.files.results(),
            }
        };
        self.hosts.into_iter().map(one).collect()
    }
}

impl HostEar {
    fn stream(&mut self, stream: Printed) -> &mut Stream {
        match stream {
            Printed::Output => &mut self.output,
            Printed::Errors => &mut self.errors,
        }
    }
}

fn print(stream: Printed, json: bool, text: &str) {
    if text.is_empty() {
        return;
    }
    match stream {
        // a full disk behind stdout is told by the exit of whoever fills it; the report is still to be written
        Printed::Output if !json => show::out(text).unwrap_or_default(),
        Printed::Output | Printed::Errors => err(text),
    }
}
