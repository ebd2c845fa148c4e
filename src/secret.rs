//! Secrets: values given by `@FILE` or `env:NAME`, and what is taken out before anything is printed or written.
//!
//! Redacted are header values but a safe list, query values, URL user-info, cookies, passwords and payloads. Never
//! here: where the redacted text goes.

use std::path::Path;

/// What stands for a value that is not shown.
pub const HIDDEN: &str = "***";

/// Headers whose values are shown.
const SAFE_HEADERS: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "age",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "host",
    "keep-alive",
    "origin",
    "retry-after",
    "server",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "x-swarm-run",
];

/// Looks up an environment variable.
pub type Environment = dyn Fn(&str) -> Option<String>;

/// A value as meant: `@FILE` is the file's text without its last line break, `env:NAME` the variable, all else itself.
pub fn value(typed: &str, environment: &Environment) -> Result<String, String> {
    if let Some(path) = typed.strip_prefix('@') {
        let text = String::from_utf8(file(path)?).map_err(|_| format!("{path} is not UTF-8 text"))?;
        return Ok(text
            .strip_suffix('\n')
            .map(|t| t.strip_suffix('\r').unwrap_or(t))
            .unwrap_or(&text)
            .to_string());
    }
    match typed.strip_prefix("env:") {
        Some(name) => environment(name).ok_or_else(|| format!("env:{name}: this variable is not set")),
        None => Ok(typed.to_string()),
    }
}

/// Where secrets are read: the folder in which `@FILE` lies, empty for the working folder, and the variables.
#[derive(Clone, Copy)]
pub struct Beside<'a> {
    /// Of `@FILE`.
    pub folder: &'a Path,
    /// Of `env:NAME`.
    pub environment: &'a Environment,
}

impl Beside<'_> {
    /// A value as meant, as [`value`] reads it.
    pub fn value(&self, typed: &str) -> Result<String, String> {
        match typed.strip_prefix('@') {
            Some(path) => value(&format!("@{}", self.folder.join(path).display()), self.environment),
            None => value(typed, self.environment),
        }
    }
}

/// Reads a file that a flag names.
pub fn file(path: impl AsRef<Path>) -> Result<Vec<u8>, String> {
    let path = path.as_ref();
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Whether a typed value only points at its secret, and may be shown.
pub fn is_pointer(typed: &str) -> bool {
    typed.starts_with('@') || typed.starts_with("env:")
}

/// A header's value as it may be shown.
pub fn redact_header<'a>(name: &str, value: &'a str) -> &'a str {
    let shown = SAFE_HEADERS.iter().any(|safe| name.trim().eq_ignore_ascii_case(safe));
    if shown { value } else { HIDDEN }
}

/// A typed header, `Name: value`, as it may be shown.
pub fn redact_header_line(line: &str) -> String {
    match line.split_once(':') {
        _ if is_pointer(line) => line.to_string(),
        Some((name, value)) if is_pointer(value.trim()) => format!("{name}:{value}"),
        Some((name, value)) => format!("{name}: {}", redact_header(name, value.trim())),
        None => HIDDEN.into(),
    }
}

/// A URL without user-info, its query's values hidden. Works on any text, also on what isn't a URL.
pub fn redact_url(url: &str) -> String {
    let (before, fragment) = url
        .split_once('#')
        .map_or((url, None), |(before, after)| (before, Some(after)));
    let (before, query) = before
        .split_once('?')
        .map_or((before, None), |(before, after)| (before, Some(after)));
    let mut out = match before.split_once("//") {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '\\']).unwrap_or(rest.len());
            let host = rest[..end].rsplit_once('@').map_or(&rest[..end], |(_, host)| host);
            format!("{scheme}//{host}{}", &rest[end..])
        }
        None => before.to_string(),
    };
    if let Some(query) = query {
        let pairs: Vec<String> = query.split('&').map(hide_pair).collect();
        out.push('?');
        out.push_str(&pairs.join("&"));
    }
    if fragment.is_some() {
        out.push('#');
        out.push_str(HIDDEN);
    }
    out
}

/// Every URL among words that blanks part, as [`redact_url`] shows it.
pub fn redact_urls(text: &str) -> String {
    let one = |word: &str| match word.contains("://") {
        true => redact_url(word),
        false => word.to_owned(),
    };
    text.split(' ').map(one).collect::<Vec<_>>().join(" ")
}

/// A typed `--query`, `name=value` as `name=***`; a value that only points at its secret is shown.
pub fn redact_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((_, value)) if is_pointer(value) => pair.to_string(),
        _ => hide_pair(pair),
    }
}

/// `name=value` as `name=***`; a text without `=` is hidden whole, as it may be a token.
fn hide_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, "")) => format!("{name}="),
        Some((name, _)) => format!("{name}={HIDDEN}"),
        None if pair.is_empty() => String::new(),
        None => HIDDEN.into(),
    }
}

/// Typed cookies, `a=1; b=2`, as they may be shown.
pub fn redact_cookies(typed: &str) -> String {
    if is_pointer(typed) {
        return typed.to_string();
    }
    typed
        .split(';')
        .map(|pair| hide_pair(pair.trim()))
        .collect::<Vec<_>>()
        .join("; ")
}

/// `NAME:PASS` as `NAME:***`.
pub fn redact_user(typed: &str) -> String {
    match typed.split_once(':') {
        _ if is_pointer(typed) => typed.to_string(),
        Some((_, password)) if is_pointer(password) => typed.to_string(),
        Some((name, _)) => format!("{name}:{HIDDEN}"),
        None => typed.to_string(),
    }
}

/// A payload (`-d`, `--message`) is hidden whole unless it names a file.
pub fn redact_payload(typed: &str) -> String {
    if typed.starts_with('@') {
        typed.to_string()
    } else {
        HIDDEN.into()
    }
}

/// A secret (`--auth`) is hidden whole unless it only points at a file or a variable.
pub fn redact_secret(typed: &str) -> String {
    if is_pointer(typed) {
        typed.to_string()
    } else {
        HIDDEN.into()
    }
}

/// The command line as the report prints it. `secrets` are values as typed and as they may be shown; a word that is
/// one, or a flag that ends in one (`-uNAME:PASS`, `--user=NAME:PASS`), is shown the second way.
pub fn redact_command(words: &[String], secrets: &[(String, String)]) -> String {
    let shown: Vec<String> = words.iter().map(|word| quoted(&redact_word(word, secrets))).collect();
    shown.join(" ")
}

fn redact_word(word: &str, secrets: &[(String, String)]) -> String {
    let known = || secrets.iter().filter(|(typed, _)| !typed.is_empty());
    if let Some((_, shown)) = known().find(|(typed, _)| typed == word) {
        return shown.clone();
    }
    let longest = known()
        .filter(|(typed, _)| word.starts_with('-') && word.ends_with(typed.as_str()))
        .max_by_key(|(typed, _)| typed.len());
    match longest {
        Some((typed, shown)) => format!("{}{shown}", &word[..word.len() - typed.len()]),
        None => word.to_string(),
    }
}

/// The word as a POSIX shell would take it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn values_come_from_files_and_variables() {
        let mut kept = tempfile::NamedTempFile::new().unwrap();
        kept.write_all(b"s3cret\n").unwrap();
        let environment = |name: &str| (name == "TOKEN").then(|| "t0ken".to_string());
        assert_eq!(
            value(&format!("@{}", kept.path().display()), &environment).unwrap(),
            "s3cret"
        );
        assert_eq!(value("env:TOKEN", &environment).unwrap(), "t0ken");
        assert_eq!(value("plain", &environment).unwrap(), "plain");
        assert_eq!(
            value("env:NONE", &environment).unwrap_err(),
            "env:NONE: this variable is not set"
        );
        assert!(
            value("@no/such/file", &environment)
                .unwrap_err()
                .starts_with("cannot read no/such/file: ")
        );
    }

    #[test]
    fn headers() {
        for (typed, shown) in [
            ("Authorization: Bearer abc", "Authorization: ***"),
            ("X-Api-Key:abc", "X-Api-Key: ***"),
            ("Accept: text/html", "Accept: text/html"),
            ("content-TYPE: a/b", "content-TYPE: a/b"),
            ("Authorization: env:TOKEN", "Authorization: env:TOKEN"),
            ("@headers.txt", "@headers.txt"),
            ("abc", "***"),
        ] {
            assert_eq!(redact_header_line(typed), shown);
        }
    }

    #[test]
    fn urls() {
        for (typed, shown) in [
            ("https://u:p@h:8/x?token=abc&v=", "https://h:8/x?token=***&v="),
            ("https://u:p@ss@h/x@y", "https://h/x@y"),
            ("3=wss://u@h?abc", "3=wss://h?***"),
            ("/cb?code=1&state=2#frag", "/cb?code=***&state=***#***"),
            ("https://h/a/b", "https://h/a/b"),
            ("//u:p@h/x", "//h/x"),
        ] {
            assert_eq!(redact_url(typed), shown);
        }
    }

    #[test]
    fn others() {
        assert_eq!(redact_pair("k=env:TOKEN"), "k=env:TOKEN");
        // in a URL and in a body these are no pointers but the value itself
        assert_eq!(redact_url("//h/?k=env:x&e=@y"), "//h/?k=***&e=***");
        assert_eq!(redact_payload("env:x"), "***");
        assert_eq!(redact_secret("env:x"), "env:x");
        assert_eq!(redact_cookies("sid=1; theme=dark"), "sid=***; theme=***");
        assert_eq!(redact_user("alice:pw"), "alice:***");
        assert_eq!(redact_user("alice:@pw.txt"), "alice:@pw.txt");
        assert_eq!(redact_payload("{\"pw\":1}"), "***");
        assert_eq!(redact_payload("@body.json"), "@body.json");
    }

    #[test]
    fn the_command_line() {
        let words: Vec<String> = [
            "swarm",
            "attack",
            "-kualice:pw",
            "-H",
            "X-Key: k",
            "--data=secret",
            "https://u:p@h/",
            "-c",
            "10",
        ]
        .map(String::from)
        .into();
        let secrets = [
            ("alice:pw", "alice:***"),
            ("X-Key: k", "X-Key: ***"),
            ("secret", "***"),
            ("https://u:p@h/", "https://h/"),
            ("", ""),
        ]
        .map(|(a, b)| (a.to_string(), b.to_string()));
        let shown = redact_command(&words, &secrets);
        assert_eq!(
            shown,
            "swarm attack '-kualice:***' -H 'X-Key: ***' '--data=***' https://h/ -c 10"
        );
    }
}
