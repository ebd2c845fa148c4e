//! websocket-bench's command line as a playbook. Pure. Its options are those of websocket-bench 0.2.0.

use super::nearest::nearest;
use crate::secret;

/// Its options: short, long, whether a value follows.
const OPTIONS: [(&str, &str, bool); 12] = [
    ("-a", "--amount", true),
    ("-c", "--concurency", true),
    ("-w", "--worker", true),
    ("-m", "--message", true),
    ("-g", "--generator", true),
    ("-t", "--type", true),
    ("-p", "--transport", true),
    ("-o", "--output", true),
    ("-k", "--keep-alive", false),
    ("-v", "--verbose", false),
    ("-V", "--version", false),
    ("-h", "--help", false),
];

#[derive(Debug, Default)]
struct Bench {
    server: Option<String>,
    said: Vec<(&'static str, String)>,
}

impl Bench {
    fn get(&self, short: &str) -> Option<&str> {
        self.said
            .iter()
            .rfind(|(known, _)| *known == short)
            .map(|(_, value)| value.as_str())
    }

    fn number(&self, short: &str, default: u64) -> Result<u64, String> {
        match self.get(short) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| format!("{short} {text}: websocket-bench wants a whole number")),
        }
    }
}

/// The same as a playbook. What a playbook cannot say, and what stands on swarm's command line instead, is named in it.
pub fn from_bench(line: &str) -> Result<String, String> {
    let words = words(line)?;
    let bench = read(&words)?;
    let server = bench
        .server
        .clone()
        .ok_or("which server? websocket-bench's line ends with its URL")?;
    let (engine, transport) = engine(&bench)?;
    let server = match (server.contains("://"), engine) {
        (true, _) => server,
        (false, "websocket") => format!("ws://{server}"),
        (false, _) => format!("http://{server}"),
    };
    let amount = bench.number("-a", 100)?;
    let rate = bench.number("-c", 20)?;
    let messages = bench.number("-m", 0)?;
    if amount == 0 || rate == 0 {
        return Err("-a and -c must be at least 1".into());
    }
    let hold = if bench.get("-k").is_some() { "1h" } else { "1s" };
    let mut out = String::new();
    let mut say = |line: &str| {
        out.push_str(line);
        out.push('\n');
    };
    say(&format!("about = {}", quoted(&shown(&words))));
    say(&format!("target = {}", quoted(&server)));
    say(&format!("engine = \"{engine}\""));
    if let Some(generator) = bench.get("-g") {
        say(&format!("script = {}", quoted(generator)));
    }
    for note in unsaid(&bench, messages) {
        say(&format!("# {note}"));
    }
    say("\n[load]");
    say(&format!("connections = {amount}"));
    say(&format!("connect-rate = \"{rate}/s\""));
    say(&format!("hold = \"{hold}\""));
    if engine != "websocket" {
        say(&format!("\n[{engine}]"));
        say(&format!("transport = \"{transport}\""));
    }
    if bench.get("-g").is_some() {
        say("\n[[flow]]");
        say("steps = [");
        say("  { connect = true },");
        if messages > 0 {
            say(&format!("  {{ script = {{ times = {messages} }} }},"));
        }
        say("]");
    }
    Ok(out)
}

/// The command line as `about` has it: no user-info, no values of a query.
fn shown(words: &[String]) -> String {
    let one = |word: &String| match word.contains("://") || word.starts_with('-') {
        true => secret::redact_url(word),
        false => secret::redact_url(&format!("//{word}"))[2..].to_string(),
    };
    let words = words.iter().skip(usize::from(is_program(words.first()))).map(one);
    let words = std::iter::once("websocket-bench".to_string()).chain(words);
    words.map(|word| secret::quoted(&word)).collect::<Vec<_>>().join(" ")
}

/// Whether the program's own name stands at the front.
fn is_program(word: Option<&String>) -> bool {
    word.is_some_and(|word| word == "websocket-bench" || word.ends_with("/websocket-bench"))
}

/// Engine and carrier.
fn engine(bench: &Bench) -> Result<(&'static str, &'static str), String> {
    match (bench.get("-t").unwrap_or("socket.io"), bench.get("-p")) {
        ("socket.io", _) => Ok(("socketio", "upgrade")),
        ("engine.io", _) => Ok(("engineio", "upgrade")),
        ("primus", Some("websockets")) => Ok(("websocket", "websocket")),
        ("primus", Some("engine.io")) => Ok(("engineio", "upgrade")),
        ("primus", Some("socket.io")) => Ok(("socketio", "upgrade")),
        ("primus", other) => Err(format!(
            "-t primus -p {}: swarm speaks primus over websockets, engine.io and socket.io only",
            other.unwrap_or("")
        )),
        (other @ ("faye" | "wamp"), _) => Err(format!(
            "-t {other}: swarm does not speak it; its frames can be sent by a flow over engine websocket"
        )),
        (other, _) => Err(format!(
            "-t {other}: websocket-bench has socket.io, engine.io, faye, primus, wamp"
        )),
    }
}

/// What differs.
fn unsaid(bench: &Bench, messages: u64) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(workers) = bench.get("-w") {
        notes.push(format!(
            "-w {workers}: not needed, an agent uses every core; more hosts are --hosts or `swarm up`"
        ));
    }
    if let Some(transport) = bench.get("-p")
        && bench.get("-t") != Some("primus")
    {
        notes.push(format!(
            "-p {transport}: websocket-bench heeds it for primus alone; the way of these clients is `transport` below"
        ));
    }
    if let Some(file) = bench.get("-o") {
        notes.push(format!(
            "-o {file}: on the command line, `-o {}.json`",
            file.trim_end_matches(".json")
        ));
    }
    match bench.get("-k") {
        Some(_) => notes.push("-k: websocket-bench stays until it is killed; here for 1h, or until Ctrl-C".into()),
        None => {
            notes.push("websocket-bench closes when all is sent; here 1s after the ramp, the same on all hosts".into())
        }
    }
    if bench.get("-v").is_some() {
        notes.push("-v: on the command line, --trace-one prints every packet of one client".into());
    }
    match (bench.get("-g"), messages) {
        (None, 0) => {}
        (None, n) => notes.push(format!(
            "-m {n} without -g: websocket-bench's built-in generator sends nothing, so nothing is said here: emit in [socketio]"
        )),
        (Some(_), _) => notes.push(
            "-g: the hooks are called on_connect, on_message and next_message here (docs/scripts.md): \
             sendMessage(client, done) becomes next_message"
                .into(),
        ),
    }
    notes
}

fn read(words: &[String]) -> Result<Bench, String> {
    let mut bench = Bench::default();
    let mut words = words
        .iter()
        .skip(usize::from(is_program(words.first())))
        .map(String::as_str);
    while let Some(word) = words.next() {
        if !word.starts_with('-') {
            if let Some(other) = bench.server.replace(word.to_string()) {
                return Err(format!("two servers, {other} and {word}: one URL"));
            }
            continue;
        }
        let (name, glued) = match word.split_once('=') {
            Some((name, value)) if word.starts_with("--") => (name, Some(value.to_string())),
            _ if !word.starts_with("--") && word.len() > 2 => (&word[..2], Some(word[2..].to_string())),
            _ => (word, None),
        };
        // the option is misspelt in websocket-bench itself; both are understood
        let name = if name == "--concurrency" { "--concurency" } else { name };
        let Some((short, _, valued)) = OPTIONS.iter().find(|(short, long, _)| name == *short || name == *long) else {
            let near = nearest(name, OPTIONS.iter().map(|(_, long, _)| *long));
            let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            return Err(format!("{name}: websocket-bench has no such option{hint}"));
        };
        let value = match (valued, glued) {
            (true, Some(value)) => value,
            (true, None) => words
                .next()
                .ok_or_else(|| format!("{name}: its value is missing"))?
                .to_string(),
            (false, _) => String::new(),
        };
        bench.said.push((short, value));
    }
    Ok(bench)
}

/// Words as a shell would cut them: blanks, quotes, backslashes.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = line.chars();
    while let Some(c) = letters.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(letters.next()),
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".into());
    }
    words.extend(word);
    Ok(words)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_keys() {
        let text = from_bench("websocket-bench -a 1000 -c 200 -k http://h:3000").unwrap();
        for line in [
            "target = \"http://h:3000\"",
            "engine = \"socketio\"",
            "connections = 1000",
            "connect-rate = \"200/s\"",
            "hold = \"1h\"",
        ] {
            assert!(text.lines().any(|there| there == line), "{line}: {text}");
        }
        let text = from_bench("-a10 --concurency=5 -m 3 -g 'my gen.js' -w 4 -o out h:1").unwrap();
        for part in [
            "connections = 10",
            "5/s",
            "script = \"my gen.js\"",
            "times = 3",
            "# -w 4",
            "-o out.json",
            "http://h:1",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = from_bench("-t primus -p websockets h:1").unwrap();
        assert!(
            text.contains("target = \"ws://h:1\"") && !text.contains("transport"),
            "{text}"
        );
        for line in ["-p websocket h", "-t engine.io -p polling h"] {
            let text = from_bench(line).unwrap();
            assert!(text.contains("# -p ") && text.contains("for primus alone"), "{text}");
        }
        for (line, about) in [
            ("websocket-bench -a 5 h:1", "websocket-bench -a 5 h:1"),
            ("/bin/websocket-bench h:1", "websocket-bench h:1"),
            (
                "-k https://u:hidden@h/?t=hidden&v=",
                "websocket-bench -k 'https://h/?t=***&v='",
            ),
            ("u:hidden@h:1?t=hidden", "websocket-bench 'h:1?t=***'"),
        ] {
            let text = from_bench(line).unwrap();
            let first = text.lines().next().unwrap();
            assert_eq!(first, format!("about = \"{about}\""));
        }
        assert!(from_bench("-m 5 h").unwrap().contains("sends nothing"));
    }

    #[test]
    fn what_cannot_be_said_is_named() {
        for (line, says) in [
            ("-a 10", "which server?"),
            ("-a x h", "wants a whole number"),
            ("-a 0 h", "at least 1"),
            ("-t faye h", "-t faye: swarm does not speak it"),
            ("-t primus -p sockjs h", "-p sockjs"),
            ("-t xyz h", "websocket-bench has"),
            ("--amuont 5 h", "did you mean --amount?"),
            ("-a", "its value is missing"),
            ("h i", "two servers"),
            ("-g 'x h", "not closed"),
        ] {
            let error = from_bench(line).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
