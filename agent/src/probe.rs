//! Before the load: asks each Engine.IO target once what it speaks, on a thread of its own. Only addresses that are near
//! or agreed to are asked. Never here: the conversation itself (`engine`), the load.

use crate::codec::backend::BackendNames;
use crate::engine::reach::{Reach, Thread, Traffic};
use crate::engine::socketio::{Entry, probe};
use crate::net::tls::TlsSetup;
use crate::net::{Dialer, paths};
use crate::wire::message::EngineioSeen;
use crate::wire::share::{Eio, Engine, Share, Version};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Targets that are asked at most; the others are taken to be as the first of them is.
const MOST: usize = 8;
/// How long one may take.
const LONGEST: Duration = Duration::from_secs(5);

/// What was found out.
#[derive(Debug, Default)]
pub struct Found {
    /// By target; `None` where nobody was asked or nothing came of it. Empty where it does not matter.
    pub seen: Vec<Option<EngineioSeen>>,
    /// Doubts, as sentences.
    pub warnings: Vec<String>,
}

/// Asks where the plan leaves the version open, and sets it in the share.
pub async fn engineio(share: &mut Share, resolved: &[Vec<IpAddr>], tls: Option<Arc<TlsSetup>>) -> Found {
    if share.engine.engineio().is_none_or(|(_, version)| *version != Eio::Auto) {
        return Found::default();
    }
    let asked = {
        let (share, resolved) = (Arc::new(share.clone()), resolved.to_vec());
        // clients are built for one thread; this one lives as long as the probe
        tokio::task::spawn_blocking(move || ask_all(&share, &resolved, tls)).await
    };
    let answers = asked.unwrap_or_default();
    let mut found = Found::default();
    for (target, answer) in share.targets.iter().zip(answers) {
        match answer {
            Ok(seen) => found.seen.push(Some(seen)),
            Err(why) => {
                found.warnings.extend(why.map(|why| {
                    let url = &target.url;
                    format!("{url} did not tell its version of Engine.IO ({why}): 4 is assumed; say --eio 3 or --eio 4")
                }));
                found.seen.push(None);
            }
        }
    }
    let first = found.seen.iter().flatten().map(|seen| seen.version).next();
    let version = |place: usize| match found.seen.get(place) {
        Some(Some(seen)) => seen.version,
        Some(None) => Version::Four,
        None => first.unwrap_or(Version::Four),
    };
    let versions: Vec<Version> = (0..share.targets.len()).map(version).collect();
    found.warnings.extend(without_auth(share, &versions));
    match &mut share.engine {
        Engine::Socketio(socketio) => socketio.version = Eio::Found(versions),
        Engine::Engineio(engineio) => engineio.version = Eio::Found(versions),
        Engine::Http(_) | Engine::Websocket(_) => {}
    }
    found
}

fn without_auth(share: &Share, versions: &[Version]) -> Option<String> {
    match &share.engine {
        Engine::Socketio(socketio) if socketio.auth.is_some() && versions.contains(&Version::Three) => Some(
            "--auth is not sent: servers of Engine.IO 3 (Socket.IO 2) know no auth payload; give --query K=V"
                .to_owned(),
        ),
        _ => None,
    }
}

type Answer = Result<EngineioSeen, Option<String>>;

fn ask_all(share: &Arc<Share>, resolved: &[Vec<IpAddr>], tls: Option<Arc<TlsSetup>>) -> Vec<Answer> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let thread = Thread {
        dialer: Dialer::new(share, resolved, tls, 0),
        share: Arc::clone(share),
        traffic: Rc::new(Traffic::default()),
        names: Rc::new(BackendNames::of(share)),
    };
    let limit = Duration::from_nanos(share.limits.connect).min(LONGEST);
    let asked = resolved.iter().zip(0u16..).take(MOST).map(|(addresses, target)| {
        let thread = thread.clone();
        async move {
            let agreed = addresses.first().is_some_and(|first| paths::agreed(share, *first));
            let Some(entry) = Entry::of(&share.engine, target).filter(|_| agreed) else {
                return Err((!agreed).then(|| "nobody has agreed to connect to it yet".to_owned()));
            };
            let source = thread.dialer.next_source(target);
            let reach = Rc::new(Reach::new(thread, target, source, None));
            let asking = probe::ask(&reach, &entry, Instant::now() + limit);
            asking.await.map_err(|fault| Some(fault.to_string()))
        }
    });
    runtime.block_on(futures_util::future::join_all(asked))
}
