//! Every key that a playbook may have: its place, the kind of its value, the flag that it stands for. The grammar's one
//! table: reading, the messages about wrong keys, the JSON Schema and the check of the documentation follow from it. Pure.

mod steps;
mod tables;

pub use self::steps::{
    CAPTURE, CHECK, CONNECT, EMIT, EVERY, EXPECT, JOIN, RECONNECT, REPEAT, REQUEST_STEP, SCRIPT, SEND, SPREAD, STEP,
    WAIT,
};
pub use self::tables::{
    BROADCAST, ENGINEIO, FLOW, HOSTS, HTTP, LOAD, REQUEST, REQUIRE, SOCKETIO, TLS, TOP, WATCH, WEBSOCKET,
};

/// A table of a playbook.
#[derive(Debug)]
pub struct Keys {
    /// As messages and the schema name it: `[load]`, `emit`.
    pub name: &'static str,
    /// What it may hold.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// The long flag that it stands for.
    pub flag: Option<&'static str>,
    /// What it means, in a few words.
    pub about: &'static str,
}

/// What a value may be. Wherever a text, number or switch is wanted a text with `{{...}}` will do.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A text.
    Text,
    /// true or false.
    Switch,
    /// A number, or a text with a unit (`10k`, `500/s`).
    Number,
    /// A time with its unit.
    Time,
    /// A time or a distribution of times.
    Spread,
    /// Anything that JSON can say.
    Json,
    /// One text or several.
    Texts,
    /// Named texts.
    Pairs,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A table of its own.
    Table(&'static Keys),
    /// Several of them.
    Tables(&'static Keys),
    /// One of these.
    Or(&'static [Kind]),
}

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        name,
        kind,
        flag: None,
        about,
    }
}

/// A key that is a flag by the flag's own long name.
const fn flag(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        name,
        kind,
        flag: Some(name),
        about,
    }
}

/// A key that is a flag of another name.
const fn named(name: &'static str, long: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        name,
        kind,
        flag: Some(long),
        about,
    }
}

/// The keys of [`STEP`] that are said about an act.
pub const ABOUT_A_STEP: [&str; 2] = ["name", "on-failure"];

/// Every table, for looking a key up and for the documentation.
pub static ALL: [&Keys; 26] = [
    &TOP,
    &LOAD,
    &REQUEST,
    &TLS,
    &HOSTS,
    &WATCH,
    &HTTP,
    &WEBSOCKET,
    &SOCKETIO,
    &ENGINEIO,
    &BROADCAST,
    &REQUIRE,
    &FLOW,
    &STEP,
    &CONNECT,
    &JOIN,
    &EMIT,
    &SEND,
    &EXPECT,
    &REQUEST_STEP,
    &WAIT,
    &SPREAD,
    &EVERY,
    &REPEAT,
    &SCRIPT,
    &RECONNECT,
];

/// The two tables that stand inside answers.
pub static INSIDE: [&Keys; 2] = [&CHECK, &CAPTURE];

impl Keys {
    /// The key of this name.
    pub fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// What to say about a key that a table does not have: where it belongs, or the nearest one that it has.
pub fn unknown(here: &Keys, wrong: &str) -> String {
    let elsewhere: Vec<&str> = ALL
        .iter()
        .chain(&INSIDE)
        .filter(|keys| keys.find(wrong).is_some())
        .map(|keys| keys.name)
        .collect();
    let near = super::nearest::nearest(wrong, here.keys.iter().map(|key| key.name));
    let place = |keys: &str| match keys {
        "the playbook" => "to the top of the file, before the first [table]".to_string(),
        "a step" => "to a step".to_string(),
        name => format!("into {name}"),
    };
    let hint = match (near, elsewhere.as_slice()) {
        (Some(near), []) => format!("did you mean `{near}`?"),
        (_, [_, ..]) => {
            let places: Vec<String> = elsewhere.iter().take(3).map(|name| place(name)).collect();
            format!("it belongs {}", places.join(" or "))
        }
        (None, []) => {
            let there: Vec<&str> = here.keys.iter().map(|key| key.name).collect();
            format!("there are {}", there.join(", "))
        }
    };
    format!("{} has no key `{wrong}`: {hint}", here.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_keys_are_sent_where_they_belong() {
        for (here, wrong, says) in [
            (
                &LOAD,
                "conections",
                "[load] has no key `conections`: did you mean `connections`?",
            ),
            (&TOP, "connections", "it belongs into [load]"),
            (&LOAD, "about", "it belongs to the top of the file"),
            (&EMIT, "emit", "it belongs"),
            (&HOSTS, "xyzzy", "there are min, sources"),
        ] {
            let text = unknown(here, wrong);
            assert!(text.contains(says), "{text}");
        }
    }

    #[test]
    fn no_table_has_a_key_twice() {
        for table in ALL.iter().chain(&INSIDE) {
            for (place, key) in table.keys.iter().enumerate() {
                assert!(
                    !table.keys[..place].iter().any(|other| other.name == key.name),
                    "{}",
                    key.name
                );
                assert!(!key.about.is_empty());
            }
        }
    }
}
