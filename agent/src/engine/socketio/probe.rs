//! What an Engine.IO server says of itself when it is asked once: version, carriers, heartbeat. What is opened for it is
//! closed again. Never here: load, recording, which targets may be asked.

use super::Entry;
use super::polling::{Line, request};
use crate::codec::engineio::{self, Handshake, Packet, Refusal};
use crate::codec::engineio3::{self, Piece};
use crate::codec::session::Layer;
use crate::codec::websocket::Message;
use crate::engine::reach::Reach;
use crate::engine::websocket;
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::message::EngineioSeen;
use crate::wire::share::{Carrier, Version};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// So long a server of version 3 may take to let a client into `/`, or to answer its ping, both of which one of
/// version 4 never does.
const BY_ITSELF: Duration = Duration::from_millis(300);
/// So long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Asks the target of `reach` for the endpoint of `entry`, by polling first unless clients won't poll either.
pub async fn ask(reach: &Rc<Reach>, entry: &Entry, deadline: Instant) -> Result<EngineioSeen, Fault> {
    let asked = Entry {
        version: Version::Four,
        ..entry.clone()
    };
    if entry.carrier == Carrier::Websocket {
        return by_websocket(reach, &asked, deadline).await;
    }
    match by_polling(reach, &asked, deadline).await {
        Err(fault) => match Refusal::parse(&fault.excerpt).map(|refusal| refusal.code) {
            Some(5) => {
                let asked = Entry {
                    version: Version::Three,
                    ..asked
                };
                by_polling(reach, &asked, deadline).await
            }
            // the server has no polling at all
            Some(0) => by_websocket(reach, &asked, deadline).await,
            _ => Err(fault),
        },
        seen => seen,
    }
}

async fn by_polling(reach: &Rc<Reach>, asked: &Entry, deadline: Instant) -> Result<EngineioSeen, Fault> {
    let path = asked.request_path("polling", "");
    let (line, answer) = request(reach, None, path, None, deadline, true).await;
    let body = answer?.body;
    let no_handshake =
        || Fault::new(FaultKind::Protocol, "the answer is no handshake of Engine.IO").with_answer(200, &body);
    let (version, handshake) = polled(&body).ok_or_else(no_handshake)?;
    let entry = Entry {
        version,
        ..asked.clone()
    };
    close(reach, line, &entry, &handshake.sid).await;
    let websocket = handshake.upgrades.iter().any(|name| name == "websocket");
    Ok(seen(version, true, websocket, &handshake))
}

/// Version and handshake of the answer to the opening.
fn polled(body: &[u8]) -> Option<(Version, Handshake)> {
    if engineio3::is_payload(body) {
        let Some(Piece::Text(first)) = engineio3::packets(body)?.first().copied() else {
            return None;
        };
        return Some((Version::Three, opened(first)?));
    }
    let first = engineio::packets(std::str::from_utf8(body).ok()?).next()?;
    Some((Version::Four, opened(first)?))
}

fn opened(packet: &str) -> Option<Handshake> {
    match engineio::parse(packet)? {
        Packet::Open(json) => Handshake::parse(json),
        _ => None,
    }
}

/// Ends a polling session. Nobody waits for a server that does not want to know.
async fn close(reach: &Rc<Reach>, line: Option<Line>, entry: &Entry, sid: &str) {
    let body = match entry.version {
        Version::Three => "1:1",
        Version::Four => "1",
    };
    let path = entry.request_path("polling", sid);
    let until = Instant::now() + FAREWELL;
    let _ = request(reach, line, path, Some(body.to_owned()), until, false).await;
}

async fn by_websocket(reach: &Rc<Reach>, asked: &Entry, deadline: Instant) -> Result<EngineioSeen, Fault> {
    let path = asked.request_path("websocket", "");
    let (mut session, _) = websocket::open(reach, &path, None, deadline)
        .await
        .map_err(|failure| failure.fault)?;
    let first = tokio::time::timeout_at(deadline.into(), poll_fn(|cx| session.poll_message(cx)))
        .await
        .map_err(|_| Fault::new(FaultKind::ConnectTimeout, "no open packet"))??;
    let handshake = match &first {
        Message::Text(text) => opened(text),
        _ => None,
    };
    let handshake =
        handshake.ok_or_else(|| Fault::new(FaultKind::Protocol, "the first packet is not an open packet"))?;
    // only servers of version 4 name a limit; the older of them don't
    let version = match handshake.max_payload {
        Some(_) => Version::Four,
        None => by_habit(&mut session, asked.layer).await,
    };
    session.leave();
    let _ = tokio::time::timeout(FAREWELL, poll_fn(|cx| session.poll_written(cx))).await;
    Ok(seen(version, false, true, &handshake))
}

/// A server of version 3 lets clients into `/` by itself and answers their pings; one of version 4 hangs up on them.
async fn by_habit(session: &mut websocket::Session, layer: Layer) -> Version {
    session.send(b"2", false);
    let said = tokio::time::timeout(BY_ITSELF, poll_fn(|cx| session.poll_message(cx))).await;
    match said {
        Ok(Ok(Message::Text(text))) if text == "3" || (layer == Layer::Socketio && text == "40") => Version::Three,
        _ => Version::Four,
    }
}

fn seen(version: Version, polling: bool, websocket: bool, handshake: &Handshake) -> EngineioSeen {
    EngineioSeen {
        version,
        polling,
        websocket,
        ping_interval_ms: handshake.ping_interval,
        ping_timeout_ms: handshake.ping_timeout,
        max_payload: handshake.max_payload.map(|bytes| bytes as u64),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_form_of_the_answer_tells_the_version() {
        let open = r#"0{"sid":"x","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}"#;
        assert_eq!(polled(open.as_bytes()).unwrap().0, Version::Four);
        let old = format!("{}:{open}2:40", open.len());
        let (version, handshake) = polled(old.as_bytes()).unwrap();
        assert_eq!((version, handshake.sid.as_str()), (Version::Three, "x"));
        for bad in ["", "<html>", "40", "0{}", "3:0{}", "99:0{"] {
            assert!(polled(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
