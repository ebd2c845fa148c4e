//! The machine replayed against every recorded transcript of the real clients (`agent/tests/transcripts`, whose README
//! explains the lines): what the server said goes in, what the application did is done, and what comes out must be what
//! the real client sent. Never here: anything that was not recorded.

mod form;
mod replay;
mod script;

use replay::Replay;
use script::Script;
use std::path::Path;

/// Folder and how many conversations were recorded: one that is lost is a test that is lost.
const FOLDERS: [(&str, usize); 4] = [("eio3", 25), ("eio4", 15), ("v2", 63), ("v4", 51)];

fn scripts(folder: &str) -> Vec<Script> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/transcripts")
        .join(folder);
    let mut files: Vec<_> = std::fs::read_dir(place)
        .expect("a folder of transcripts")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let read = |file: &Path| std::fs::read_to_string(file).expect("a transcript");
    let name = |file: &Path| file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    files
        .iter()
        .map(|file| Script::parse(folder, &name(file).unwrap_or_default(), &read(file)))
        .collect()
}

#[test]
fn the_machine_says_what_the_real_clients_said() {
    let mut wrong = Vec::new();
    for (folder, count) in FOLDERS {
        let all = scripts(folder);
        assert_eq!(all.len(), count, "transcripts in {folder}");
        for script in &all {
            if let Err(why) = Replay::run(script) {
                wrong.push(format!("{folder}/{}: {why}", script.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_changed_transcript_is_noticed() {
    // the check itself: each change is one that a wrong client would have made
    let changes = [
        ("v4", "acks-websocket", "> WS text 420", "> WS text 421"),
        ("v4", "acks-polling", "text 40\n", "text 40/other,\n"),
        ("v4", "binary-websocket", "> WS binary 01020304", "> WS binary 01020305"),
        (
            "v4",
            "events-upgrade",
            "= client heard [\"bare\"]",
            "= client heard [\"bear\"]",
        ),
        (
            "v2",
            "heartbeat-websocket",
            "> WS text 2\n",
            "> WS text 2\n> WS text 2\n",
        ),
        ("v4", "heartbeat-polling", " text 3\n", " text 6\n"),
        ("v4", "connect-error-websocket", "not authorized", "authorized"),
        ("eio4", "text-websocket", "> WS text 4hello", "> WS text 4hallo"),
    ];
    for (folder, name, from, to) in changes {
        let file = format!("{}/tests/transcripts/{folder}/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&file).expect("a transcript");
        assert!(text.contains(from), "{file} holds no {from}");
        // the server's and the application's words of a refusal both stand there: only the last changes
        let at = text.rfind(from).unwrap_or_default();
        let changed = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
        let outcome = Replay::run(&Script::parse(folder, name, &changed));
        assert!(outcome.is_err(), "{folder}/{name}: {from:?} for {to:?} was not noticed");
    }
}
