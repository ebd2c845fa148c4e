//! What all engines share: headers, cookies, TLS, limits, sources, where the backend is named. Reads the files that
//! flags name.

use super::args::AttackArgs;
use super::protocol::is_token;
use super::target::Aim;
use super::{Kind, Noted, Surroundings, read, read_or};
use crate::cli::Usage;
use crate::cli::units::{self, SECOND, show_duration};
use crate::secret;
use base64::Engine as _;
use std::path::Path;
use swarm_agent::wire::share::{Limits, Request, Target, Tls};

/// Headers that swarm sets itself, and what to use instead.
const TAKEN: [(&str, &str); 7] = [
    ("connection", "use --no-keepalive"),
    ("content-length", "it follows from the body"),
    ("transfer-encoding", "it follows from the body"),
    ("upgrade", "it follows from the engine"),
    ("sec-websocket-key", "it follows from the engine"),
    ("sec-websocket-version", "it follows from the engine"),
    ("sec-websocket-protocol", "use --subprotocol"),
];

/// Headers and cookies. A typed `Host` goes into the targets.
pub(super) fn request(
    args: &AttackArgs,
    aim: &Aim,
    around: &Surroundings,
    targets: &mut [Target],
    noted: &mut Noted,
) -> Result<Request, Usage> {
    let mut typed = headers(args, around)?;
    let mut cookies: Vec<String> = Vec::new();
    for value in &args.cookie {
        let plain = secret::value(value, around.environment.as_ref()).map_err(|error| Usage::of("--cookie:", error))?;
        if !plain.contains('=') || plain.chars().any(char::is_control) {
            return Err(Usage("--cookie: 'name=value; name2=value2'".into()));
        }
        cookies.push(plain);
    }
    if let Some(host) = take(&mut typed, "host") {
        targets.iter_mut().for_each(|target| target.authority.clone_from(&host));
    }
    cookies.extend(take(&mut typed, "cookie"));
    let has =
        |headers: &[(String, String)], name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let run = ("X-Swarm-Run".to_string(), around.run.clone());
    if has(&typed, "x-swarm-run") {
        return Err(Usage("--header X-Swarm-Run: it names the run, swarm sets it".into()));
    }
    let mut all = vec![run];
    if !has(&typed, "user-agent") {
        let agent = format!("swarm/{} (load test; run {})", env!("CARGO_PKG_VERSION"), around.run);
        all.insert(0, ("User-Agent".into(), agent));
    }
    if let Some(credentials) = credentials(args, aim, around)? {
        if has(&typed, "authorization") {
            return Err(Usage("--user and an Authorization header: give one of them".into()));
        }
        all.push((
            "Authorization".into(),
            format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(credentials)
            ),
        ));
    }
    if let Some(content_type) = &args.content_type {
        if has(&typed, "content-type") {
            return Err(Usage(
                "--content-type and a Content-Type header: give one of them".into(),
            ));
        }
        all.push(checked("Content-Type", content_type).map_err(|error| Usage::of("--content-type", error))?);
    }
    all.extend(typed);
    let keep_cookies = match (args.cookies.as_deref(), aim.kind) {
        (Some("keep"), _) => true,
        (Some("drop"), _) => false,
        (Some(other), _) => return Err(Usage(format!("--cookies {other}: keep or drop"))),
        (None, kind) => {
            let keep = kind != Kind::Http;
            noted.took(if keep { "--cookies keep" } else { "--cookies drop" });
            keep
        }
    };
    Ok(Request {
        headers: all,
        cookie: (!cookies.is_empty()).then(|| cookies.join("; ")),
        keep_cookies,
    })
}

fn headers(args: &AttackArgs, around: &Surroundings) -> Result<Vec<(String, String)>, Usage> {
    let mut read = Vec::new();
    for typed in &args.header {
        let wrong = |error: String| Usage(format!("--header {}: {error}", secret::redact_header_line(typed)));
        let lines = match typed.starts_with('@') {
            true => secret::value(typed, around.environment.as_ref()).map_err(wrong)?,
            false => typed.clone(),
        };
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            let (name, value) = line.split_once(':').ok_or_else(|| wrong("'Name: value'".into()))?;
            let value = secret::value(value.trim(), around.environment.as_ref()).map_err(wrong)?;
            read.push(checked(name.trim(), &value).map_err(wrong)?);
        }
    }
    Ok(read)
}

fn checked(name: &str, value: &str) -> Result<(String, String), String> {
    if !is_token(name) {
        return Err("no header name; 'Name: value'".into());
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err("the value holds a control character".into());
    }
    match TAKEN.iter().find(|(taken, _)| name.eq_ignore_ascii_case(taken)) {
        Some((_, instead)) => Err(format!("swarm sets this header itself: {instead}")),
        None => Ok((name.to_string(), value.to_string())),
    }
}

fn take(headers: &mut Vec<(String, String)>, name: &str) -> Option<String> {
    let place = headers.iter().position(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(headers.remove(place).1)
}

fn credentials(args: &AttackArgs, aim: &Aim, around: &Surroundings) -> Result<Option<String>, Usage> {
    let Some(typed) = &args.user else {
        return Ok(aim.user.as_ref().map(|(name, password)| format!("{name}:{password}")));
    };
    if aim.user.is_some() {
        return Err(Usage("--user and a name in the URL: give one of them".into()));
    }
    let resolved =
        |text: &str| secret::value(text, around.environment.as_ref()).map_err(|error| Usage::of("--user:", error));
    if secret::is_pointer(typed) {
        return resolved(typed).and_then(|pair| match pair.contains(':') {
            true => Ok(Some(pair)),
            false => Err(Usage(format!("--user {typed}: what it points at must be NAME:PASS"))),
        });
    }
    match typed.split_once(':') {
        Some((name, password)) => Ok(Some(format!("{name}:{}", resolved(password)?))),
        None => Err(Usage(format!(
            "--user {typed}: no password; {typed}:PASS, {typed}:@FILE or {typed}:env:NAME"
        ))),
    }
}

/// TLS settings; files are read and must be PEM.
pub(super) fn tls(args: &AttackArgs) -> Result<Tls, Usage> {
    if args.cert.is_some() != args.key.is_some() {
        let missing = if args.cert.is_some() {
            "--key FILE"
        } else {
            "--cert FILE"
        };
        return Err(Usage(format!(
            "a client certificate needs --cert and --key: add {missing}"
        )));
    }
    let pem = |flag: &str, path: &Option<std::path::PathBuf>| path.as_deref().map(|path| pem(flag, path)).transpose();
    Ok(Tls {
        insecure: args.insecure,
        roots: pem("--cacert", &args.cacert)?,
        certificate: pem("--cert", &args.cert)?,
        key: pem("--key", &args.key)?,
        sni: args.sni.clone(),
    })
}

fn pem(flag: &str, path: &Path) -> Result<Vec<u8>, Usage> {
    let bytes = secret::file(path).map_err(|error| Usage(format!("{flag}: {error}")))?;
    match bytes.windows(11).any(|window| window == b"-----BEGIN ") {
        true => Ok(bytes),
        false => Err(Usage(format!(
            "{flag} {}: no PEM (it has no -----BEGIN line)",
            path.display()
        ))),
    }
}

/// Time limits.
pub(super) fn limits(args: &AttackArgs, noted: &mut Noted) -> Result<Limits, Usage> {
    let time = units::duration_above_zero;
    let hit = read_or("-t", &args.timeout, time, 60 * SECOND, show_duration, noted)?;
    let limits = Limits {
        connect: read_or(
            "--connect-timeout",
            &args.connect_timeout,
            time,
            10 * SECOND,
            show_duration,
            noted,
        )?,
        hit,
        ack: if args.ack || args.ack_timeout.is_some() {
            read_or(
                "--ack-timeout",
                &args.ack_timeout,
                time,
                10 * SECOND,
                show_duration,
                noted,
            )?
        } else {
            10 * SECOND
        },
        grace: read_or(
            "--grace",
            &args.grace,
            units::duration,
            hit.min(10 * SECOND),
            show_duration,
            noted,
        )?,
        silence: args.crew.silence(noted)?,
        resolve_every: read("--resolve-every", &args.resolve_every, |text| match text {
            "once" => Ok(None),
            text => units::duration_above_zero(text).map(Some),
        })?
        .unwrap_or_else(|| {
            noted.took("--resolve-every once");
            None
        }),
    };
    Ok(limits)
}
