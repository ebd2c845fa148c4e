//! One request and the beginning of its answer. Never here: what an answer means.

use crate::codec::backend::{BackendNames, Found};
use crate::codec::http1::{BodyReader, Malformed, RequestLine, parse_head, request};
use crate::net::{Stream, stream};
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::look::{Answered, Asked, BODY};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bytes of one header's value that are kept.
const VALUE: usize = 4096;

/// Sends the request, `more` among its headers, and reads its answer; gives what follows a 101 beside it.
pub(super) async fn exchange(
    stream: &mut Stream,
    asked: &Asked,
    more: &[(String, String)],
) -> Result<(Answered, Vec<u8>), Fault> {
    let line = RequestLine {
        method: &asked.method,
        path: &asked.path,
        authority: &asked.authority,
        // an upgrade has a Connection header of its own
        close: more.is_empty(),
    };
    let headers: Vec<(String, String)> = asked.headers.iter().chain(more).cloned().collect();
    let bytes = request(&line, &headers, asked.cookie.as_deref(), asked.body.as_deref());
    let io = |error: std::io::Error| stream::fault(&error);
    stream.write_all(&bytes).await.map_err(io)?;
    stream.flush().await.map_err(io)?;
    read(stream, asked).await
}

async fn read(stream: &mut Stream, asked: &Asked) -> Result<(Answered, Vec<u8>), Fault> {
    let names = BackendNames::at(&asked.backend_from);
    let mut bytes: Vec<u8> = Vec::new();
    let mut found = Found::default();
    let (mut answered, mut body, mut rest) = loop {
        found.clear();
        let mut headers = Vec::new();
        let head = parse_head(&bytes, asked.method == "HEAD", |name, value| {
            names.look(name, value, &mut found);
            headers.push((name.to_ascii_lowercase(), plain(value)));
        })
        .map_err(malformed)?;
        match head {
            // an interim answer (RFC 9110, 15.2): the real one follows
            Some(head) if head.status < 200 && head.status != 101 => {
                bytes.drain(..head.length);
            }
            Some(head) => {
                let answered = Answered {
                    status: head.status,
                    headers,
                    ..Answered::default()
                };
                break (answered, BodyReader::new(head.framing), bytes.split_off(head.length));
            }
            None => {
                if more(stream, &mut bytes).await? == 0 {
                    return Err(Fault::new(
                        FaultKind::ClosedByServer,
                        "closed before the answer was whole",
                    ));
                }
            }
        }
    };
    answered.backend = named(&names, &found);
    if answered.status == 101 {
        return Ok((answered, rest));
    }
    loop {
        let step = body.feed(&rest, &mut answered.body, BODY).map_err(malformed)?;
        if step.done {
            break;
        }
        rest.clear();
        if answered.body.len() >= BODY {
            answered.cut = true;
            break;
        }
        match more(stream, &mut rest).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => {
                answered.cut = !body.closed();
                break;
            }
        }
    }
    if names.reads_bodies() {
        names.read(&answered.body, &mut found);
        answered.backend = named(&names, &found);
    }
    Ok((answered, Vec::new()))
}

fn named(names: &BackendNames, found: &Found) -> Option<(String, String)> {
    let (by, name) = names.name(found)?;
    Some((by.to_owned(), String::from_utf8_lossy(name).into_owned()))
}

async fn more(stream: &mut Stream, into: &mut Vec<u8>) -> Result<usize, Fault> {
    let mut buffer = [0; 8192];
    let count = stream.read(&mut buffer).await.map_err(|error| stream::fault(&error))?;
    into.extend_from_slice(&buffer[..count]);
    Ok(count)
}

fn plain(value: &[u8]) -> String {
    let value = value.trim_ascii();
    String::from_utf8_lossy(&value[..value.len().min(VALUE)]).into_owned()
}

fn malformed(what: Malformed) -> Fault {
    Fault::new(FaultKind::Protocol, what.0)
}
