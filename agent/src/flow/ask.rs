//! What an HTTP client asks: requests as bytes, and which methods may be asked twice. Never here: connections.

use crate::codec::cookie::Jar;
use crate::codec::http1::{RequestLine, request};
use crate::wire::share::{Engine, Http};
use crate::worker::Worker;
use std::rc::Rc;

/// Whether a status leads elsewhere.
pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// What the share says of http.
pub(super) fn http(worker: &Worker) -> &Http {
    match &worker.share.engine {
        Engine::Http(http) => http,
        Engine::Websocket(_) | Engine::Socketio(_) | Engine::Engineio(_) => {
            unreachable!("the flow of http runs http engines alone")
        }
    }
}

/// Whether asking twice is the same as asking once (RFC 9110, 9.2.2).
pub(super) fn idempotent(worker: &Worker) -> bool {
    matches!(
        http(worker).method.as_str(),
        "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE"
    )
}

/// Head and body of a request as bytes; `other` asks with another method and path, without a body when it is GET.
pub(super) fn rendered(worker: &Worker, jar: &Jar, target: u16, other: Option<(&str, &str)>) -> Rc<[u8]> {
    let http = http(worker);
    let at = &worker.share.targets[usize::from(target)];
    let (method, path) = other.unwrap_or((&http.method, &at.path));
    let line = RequestLine {
        method,
        path,
        authority: &at.authority,
        close: !http.keepalive,
    };
    let cookie = jar.header(0, worker.share.request.cookie.as_deref());
    let body = if other.is_some() && method == "GET" {
        None
    } else {
        http.body.as_deref()
    };
    request(
        &line,
        &worker.share.request.headers,
        Some(cookie.as_str()).filter(|c| !c.is_empty()),
        body,
    )
    .into()
}
