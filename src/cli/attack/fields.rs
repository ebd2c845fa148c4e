//! What a playbook says put under what was typed: the one place where its keys become flags, and where an error about a
//! flag is sent back to the line that said it. Pure.

use super::args::AttackArgs;
use crate::cli::Usage;
use crate::playbook::Book;
use crate::playbook::fields::Field;
use crate::secret::redact_url;
use std::path::PathBuf;

/// A flag's place.
enum Slot<'a> {
    Text(&'a mut Option<String>),
    Texts(&'a mut Vec<String>),
    Switch(&'a mut bool),
    File(&'a mut Option<PathBuf>),
}

/// Flags that, typed, take the place of others that a playbook has.
const INSTEAD: [(&str, &[&str]); 15] = [
    ("duration", &["hold", "stage"]),
    ("hold", &["duration"]),
    ("rate", &["every", "stage"]),
    ("every", &["rate", "stage"]),
    ("stage", &["rate", "every", "duration", "connections", "connect-rate"]),
    ("connections", &["stage"]),
    ("connect-rate", &["stage"]),
    ("data", &["data-file"]),
    ("data-file", &["data"]),
    ("socketio", &["engine"]),
    ("no-keepalive", &["requests-per-connection", "connection-life"]),
    ("requests-per-connection", &["no-keepalive"]),
    ("connection-life", &["no-keepalive"]),
    // a login is of one page
    ("lb-stats", &["lb-stats-auth"]),
    // what a rule was about is no target any more
    ("url", &["connect-to"]),
];

/// Short flags, as errors name them.
const SHORT: [(&str, &str); 14] = [
    ("connections", "-c"),
    ("rate", "-q"),
    ("requests", "-n"),
    ("duration", "-z"),
    ("timeout", "-t"),
    ("method", "-m"),
    ("data", "-d"),
    ("data-file", "-D"),
    ("content-type", "-T"),
    ("header", "-H"),
    ("user", "-u"),
    ("cookie", "-b"),
    ("insecure", "-k"),
    ("url", "a URL"),
];

fn slot<'a>(args: &'a mut AttackArgs, flag: &str) -> Option<Slot<'a>> {
    use Slot::{File, Switch, Text, Texts};
    Some(match flag {
        "url" => Texts(&mut args.urls),
        "source-ips" => Texts(&mut args.crew.source_ips),
        "min-hosts" => Text(&mut args.crew.min_hosts),
        "silence" => Text(&mut args.crew.silence),
        "engine" => Text(&mut args.engine),
        "socketio" => Switch(&mut args.socketio),
        "header" => Texts(&mut args.header),
        "user" => Text(&mut args.user),
        "cookie" => Texts(&mut args.cookie),
        "cookies" => Text(&mut args.cookies),
        "insecure" => Switch(&mut args.insecure),
        "cacert" => File(&mut args.cacert),
        "cert" => File(&mut args.cert),
        "key" => File(&mut args.key),
        "sni" => Text(&mut args.sni),
        "connect-to" => Texts(&mut args.connect_to),
        "resolve-every" => Text(&mut args.resolve_every),
        "connect-timeout" => Text(&mut args.connect_timeout),
        "timeout" => Text(&mut args.timeout),
        "ack-timeout" => Text(&mut args.ack_timeout),
        "grace" => Text(&mut args.grace),
        "balancer" => Text(&mut args.balanced.balancer),
        "backends" => Text(&mut args.balanced.backends),
        "backend-from" => Text(&mut args.backend_from),
        "lb-stats" => Text(&mut args.lb_stats),
        "lb-stats-auth" => Text(&mut args.lb_stats_auth),
        "watch-metrics" => Texts(&mut args.watch_metrics),
        "seen-as-from" => Text(&mut args.seen_as_from),
        "method" => Text(&mut args.method),
        "data" => Text(&mut args.data),
        "data-file" => File(&mut args.data_file),
        "content-type" => Text(&mut args.content_type),
        "no-keepalive" => Switch(&mut args.no_keepalive),
        "requests-per-connection" => Text(&mut args.requests_per_connection),
        "connection-life" => Text(&mut args.connection_life),
        "redirects" => Text(&mut args.redirects),
        "ok" => Text(&mut args.ok),
        "message" => Text(&mut args.message),
        "binary" => Switch(&mut args.binary),
        "echo" => Switch(&mut args.echo),
        "subprotocol" => Text(&mut args.subprotocol),
        "eio" => Text(&mut args.eio),
        "transport" => Text(&mut args.transport),
        "namespace" => Text(&mut args.namespace),
        "path" => Text(&mut args.path),
        "query" => Texts(&mut args.query),
        "auth" => Text(&mut args.auth),
        "emit" => Texts(&mut args.emit),
        "ack" => Switch(&mut args.ack),
        "expect" => Text(&mut args.expect),
        "broadcast" => Text(&mut args.broadcast),
        "emitters" => Text(&mut args.emitters),
        "every" => Text(&mut args.every),
        "connections" => Text(&mut args.connections),
        "rate" => Text(&mut args.rate),
        "requests" => Text(&mut args.requests),
        "duration" => Text(&mut args.duration),
        "connect-rate" => Text(&mut args.connect_rate),
        "hold" => Text(&mut args.hold),
        "stage" => Texts(&mut args.stage),
        "warmup" => Text(&mut args.warmup),
        "max-rate" => Text(&mut args.max_rate),
        "reconnect" => Switch(&mut args.reconnect),
        "reconnect-delay" => Text(&mut args.reconnect_delay),
        "reconnect-delay-max" => Text(&mut args.reconnect_delay_max),
        "reconnect-jitter" => Text(&mut args.reconnect_jitter),
        "reconnect-attempts" => Text(&mut args.reconnect_attempts),
        "storm" => Texts(&mut args.storm),
        "require" => Texts(&mut args.require),
        "strict" => Switch(&mut args.strict),
        _ => return None,
    })
}

fn is_typed(args: &mut AttackArgs, flag: &str) -> bool {
    match slot(args, flag) {
        Some(Slot::Text(text)) => text.is_some(),
        Some(Slot::Texts(texts)) => !texts.is_empty(),
        Some(Slot::Switch(on)) => *on,
        Some(Slot::File(file)) => file.is_some(),
        None => false,
    }
}

/// The flags of the command line with those of the playbook under them, and the fields that counted.
pub(super) fn overlay(typed: &AttackArgs, book: &Book) -> (AttackArgs, Vec<Field>) {
    let mut args = typed.clone();
    let mut typed = typed.clone();
    let mut used = Vec::new();
    for field in &book.fields {
        let mut instead = INSTEAD.iter().filter(|(_, those)| those.contains(&field.flag));
        if instead.any(|(flag, _)| is_typed(&mut typed, flag)) || gives_way(&typed, field.flag) {
            continue;
        }
        let field = &without_authorization(&typed, field);
        let counted = match slot(&mut args, field.flag) {
            Some(Slot::Text(text)) => put(text, field.values.first().cloned()),
            Some(Slot::File(file)) => put(file, field.values.first().map(PathBuf::from)),
            Some(Slot::Switch(on)) => !std::mem::replace(on, true),
            Some(Slot::Texts(texts)) => merge(texts, field),
            None => false,
        };
        if counted {
            used.push(field.clone());
        }
    }
    (args, used)
}

/// Whether what was typed, by its value, takes the place of a flag of the playbook.
fn gives_way(typed: &AttackArgs, flag: &str) -> bool {
    let urls = || typed.urls.iter().filter_map(|url| url.split_once("://"));
    match flag {
        "user" => typed.header.iter().any(|line| is_authorization(line)) || names_user(typed),
        "namespace" => urls().any(|(_, rest)| {
            let rest = rest.split(['?', '#']).next().unwrap_or_default();
            rest.split_once('/').is_some_and(|(_, path)| !path.is_empty())
        }),
        "transport" => urls().any(|(scheme, _)| {
            let scheme = scheme.rsplit('=').next().unwrap_or_default();
            scheme.eq_ignore_ascii_case("ws") || scheme.eq_ignore_ascii_case("wss")
        }),
        _ => false,
    }
}

/// A name in a URL is as good as `--user`.
fn names_user(typed: &AttackArgs) -> bool {
    let mut hosts = typed.urls.iter().filter_map(|url| url.split_once("://"));
    hosts.any(|(_, rest)| {
        rest.split(['/', '?', '#'])
            .next()
            .is_some_and(|host| host.contains('@'))
    })
}

fn is_authorization(line: &str) -> bool {
    line.split_once(':')
        .is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case("authorization"))
}

/// A typed user takes the place of the playbook's header that says who it is.
fn without_authorization(typed: &AttackArgs, field: &Field) -> Field {
    let mut field = field.clone();
    if field.flag == "header" && (typed.user.is_some() || names_user(typed)) {
        field.values.retain(|line| !is_authorization(line));
    }
    field
}

fn put<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let free = place.is_none();
    if free {
        *place = value;
    }
    free
}

/// Rules add up; headers and parameters of the same name give way to typed ones; all other lists are replaced whole.
fn merge(texts: &mut Vec<String>, field: &Field) -> bool {
    let name = |text: &str| match field.flag {
        "header" => text.split(':').next().unwrap_or_default().trim().to_ascii_lowercase(),
        _ => text.split('=').next().unwrap_or_default().to_string(),
    };
    let values: Vec<String> = match field.flag {
        "require" => field.values.clone(),
        "header" | "query" => {
            let known: Vec<String> = texts.iter().map(|text| name(text)).collect();
            let values = field.values.iter().filter(|value| !known.contains(&name(value)));
            values.cloned().collect()
        }
        _ if texts.is_empty() => field.values.clone(),
        _ => Vec::new(),
    };
    let counted = !values.is_empty();
    texts.splice(0..0, values);
    counted
}

/// An error about a flag that the playbook gave names its file, line and key.
pub(super) fn blame(book: &Book, used: &[Field], error: Usage) -> Usage {
    let first = used
        .iter()
        .filter_map(|field| Some((place(&error.0, field)?, field)))
        .min_by_key(|(place, _)| *place);
    match first {
        // what has its place already is left as it is
        _ if error.0.starts_with(&book.file()) => error,
        Some((_, field)) if field.secret => {
            let text = "does not fit here; what it stands for is a secret and not shown";
            Usage(format!("{}: {}: {text}", book.place_of(field), field.what))
        }
        Some((_, field)) => Usage(format!("{}: {}: {}", book.place_of(field), field.what, error.0)),
        None => error,
    }
}

/// Where an error's text names the flag.
fn place(error: &str, field: &Field) -> Option<usize> {
    if field.flag == "url" {
        let url = field.values.iter().find(|url| error.starts_with(&redact_url(url)));
        return url.map(|_| 0);
    }
    let long = format!("--{}", field.flag);
    let short = SHORT
        .iter()
        .find(|(flag, _)| *flag == field.flag)
        .map(|(_, short)| *short);
    let word = |wanted: &str| {
        let mut found = error.match_indices(wanted).map(|(at, _)| at);
        found.find(|at| {
            let before = error[..*at].chars().next_back();
            let after = error[at + wanted.len()..].chars().next();
            let inside = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-');
            !inside(before) && !inside(after)
        })
    };
    word(&long).into_iter().chain(short.and_then(word)).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::keys::{ALL, Keys};
    use clap::{Args, Command};

    /// Flags that say where from, how far and what is printed: a file must not decide these, least of all consent.
    const NEVER: [&str; 19] = [
        "hosts",
        "host-file",
        "identity",
        "ssh-config",
        "accept-new-host-keys",
        "fleet",
        "local",
        "agent-binary",
        "yes",
        "output",
        "json",
        "quiet",
        "no-live",
        "trace-one",
        "dry-run",
        "arm-only",
        "playbook",
        "set",
        "socketio",
    ];
    /// Flags whose keys go into the plan directly.
    const DIRECT: [&str; 4] = ["csv", "csv-end", "broadcast", "emitters"];

    fn flags_of(keys: &[&'static Keys]) -> Vec<&'static str> {
        keys.iter()
            .flat_map(|keys| keys.keys)
            .filter_map(|key| key.flag)
            .collect()
    }

    #[test]
    fn every_flag_has_its_key_and_every_key_its_flag() {
        let command = AttackArgs::augment_args(Command::new("attack"));
        let known = flags_of(&ALL);
        for arg in command.get_arguments() {
            let Some(flag) = arg.get_long() else { continue };
            let somewhere = known.contains(&flag) || NEVER.contains(&flag) || DIRECT.contains(&flag);
            assert!(somewhere, "--{flag} has no key in a playbook");
        }
        for flag in known {
            let there = flag == "url" || command.get_arguments().any(|arg| arg.get_long() == Some(flag));
            assert!(there, "there is no --{flag}");
            assert!(slot(&mut AttackArgs::default(), flag).is_some(), "--{flag} has no slot");
        }
        for (flag, those) in INSTEAD {
            for flag in those.iter().chain([&flag]) {
                assert!(slot(&mut AttackArgs::default(), flag).is_some(), "{flag}");
            }
        }
    }
}
