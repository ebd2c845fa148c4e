//! WebSockets that stay open between orders (RFC 6455): the handshake looked at closely, then texts out and in. Never here:
//! what the texts mean.

use super::exchange::exchange;
use crate::codec::websocket::{self as frame, Decoder, Message};
use crate::net::{Stream, stream};
use crate::wire::fault::Fault;
use crate::wire::look::{Answered, Asked, Heard, TEXT, TEXTS, Talk, Upgrade};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// One open WebSocket.
pub(super) struct Kept {
    stream: Stream,
    decoder: Decoder,
    ready: VecDeque<Message>,
    /// How it ended: in words, and whether by a close frame.
    ended: Option<(String, bool)>,
}

/// Shakes hands over a connected stream.
pub(super) async fn open(mut stream: Stream, asked: &Asked) -> Result<(Answered, Upgrade, Option<Kept>), Fault> {
    let key = frame::key(fastrand::u128(..).to_ne_bytes());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let more = [
        pair("Connection", "Upgrade"),
        pair("Upgrade", "websocket"),
        pair("Sec-WebSocket-Version", "13"),
        pair("Sec-WebSocket-Key", &key),
    ];
    let (answered, rest) = exchange(&mut stream, asked, &more).await?;
    let upgrade = judge(&answered, &key);
    let kept = (upgrade == Upgrade::Done).then(|| {
        let mut kept = Kept {
            stream,
            decoder: Decoder::default(),
            ready: VecDeque::new(),
            ended: None,
        };
        kept.decode(&rest);
        kept
    });
    Ok((answered, upgrade, kept))
}

fn judge(answered: &Answered, key: &str) -> Upgrade {
    if answered.status != 101 {
        return Upgrade::Refused;
    }
    let has = |name: &str, wanted: &str| {
        all(answered, name)
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(wanted))
    };
    let accept = all(answered, "sec-websocket-accept").next();
    let wrong = if !has("upgrade", "websocket") || !has("connection", "upgrade") {
        "101 without `Upgrade: websocket` and `Connection: Upgrade`".to_owned()
    } else if accept.is_none() {
        "101 without Sec-WebSocket-Accept".to_owned()
    } else if accept != Some(frame::accept(key).as_str()) {
        "101 with a Sec-WebSocket-Accept that does not fit the key".to_owned()
    } else if all(answered, "sec-websocket-extensions").next().is_some() {
        "101 with an extension that was not asked for".to_owned()
    } else {
        return Upgrade::Done;
    };
    Upgrade::Wrong(wrong)
}

/// All values of a header, its name in lower case.
fn all<'a>(answered: &'a Answered, name: &'a str) -> impl Iterator<Item = &'a str> {
    let named = answered.headers.iter().filter(move |(have, _)| have == name);
    named.map(|(_, value)| value.as_str())
}

impl Kept {
    /// Says what the talk says, and listens until it is over.
    pub(super) async fn talk(&mut self, talk: &Talk, until: Instant) -> Heard {
        let since = Instant::now();
        let mut heard = Heard::default();
        for text in &talk.send {
            self.say(text).await;
        }
        let every = talk.every.as_ref().map(|(ns, text)| (Duration::from_nanos(*ns), text));
        let mut next = every.as_ref().map(|(gap, _)| since + *gap);
        loop {
            while let Some(message) = self.ready.pop_front() {
                self.take(message, talk, since, &mut heard).await;
                if heard.found {
                    return over(heard, since, &None);
                }
            }
            if self.ended.is_some() || Instant::now() >= until {
                return over(heard, since, &self.ended);
            }
            let wake = next.map_or(until, |next| next.min(until));
            match tokio::time::timeout_at(wake.into(), self.read()).await {
                Ok(()) => {}
                Err(_) => {
                    if let (Some((gap, text)), Some(due)) = (&every, next)
                        && Instant::now() >= due
                    {
                        next = Some(due + *gap);
                        self.say(text).await;
                    }
                }
            }
        }
    }

    async fn take(&mut self, message: Message, talk: &Talk, since: Instant, heard: &mut Heard) {
        match message {
            Message::Text(text) => {
                if let Some((_, reply)) = talk.replies.iter().find(|(said, _)| *said == text) {
                    self.say(reply).await;
                }
                heard.found = talk.until.as_ref().is_some_and(|begin| text.starts_with(begin));
                if heard.texts.len() < TEXTS || heard.found {
                    let at = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    heard.texts.push((at, cut(text)));
                }
            }
            Message::Ping(payload) => self.send(frame::PONG, &payload).await,
            Message::Close(said) => {
                let words = match said {
                    Some((code, reason)) if reason.is_empty() => format!("close frame {code}"),
                    Some((code, reason)) => format!("close frame {code} {}", cut(reason)),
                    None => "close frame without a code".to_owned(),
                };
                self.ended.get_or_insert((words, true));
            }
            Message::Binary(_) | Message::Pong => {}
        }
    }

    async fn say(&mut self, text: &str) {
        self.send(frame::TEXT, text.as_bytes()).await;
    }

    async fn send(&mut self, opcode: u8, payload: &[u8]) {
        let mut out = Vec::new();
        frame::encode(&mut out, opcode, payload, fastrand::u32(..).to_ne_bytes());
        let mut written = self.stream.write_all(&out).await;
        if written.is_ok() {
            written = self.stream.flush().await;
        }
        // what the server said last is still to be read: a broken connection shows there
        drop(written);
    }

    async fn read(&mut self) {
        let mut buffer = [0; 8192];
        match self.stream.read(&mut buffer).await {
            Ok(0) => self.end("the connection was closed without a close frame"),
            Ok(count) => self.decode(&buffer[..count]),
            Err(error) => self.end(&stream::fault(&error).detail),
        }
    }

    fn end(&mut self, words: &str) {
        self.ended.get_or_insert((words.to_owned(), false));
    }

    fn decode(&mut self, mut bytes: &[u8]) {
        loop {
            match self.decoder.next(&mut bytes) {
                Ok(Some(message)) => self.ready.push_back(message),
                Ok(None) => return,
                Err(violation) => return self.end(violation.0),
            }
        }
    }

    /// Sends a close frame and waits a moment for the server's end.
    pub(super) async fn leave(&mut self) {
        let mut out = Vec::new();
        frame::encode_close(&mut out, Some(1000), fastrand::u32(..).to_ne_bytes());
        if self.stream.write_all(&out).await.is_ok() && self.stream.flush().await.is_ok() {
            let gone = async {
                let mut buffer = [0; 1024];
                while matches!(self.stream.read(&mut buffer).await, Ok(1..)) {}
            };
            tokio::time::timeout(FAREWELL, gone).await.ok();
        }
    }
}

fn over(mut heard: Heard, since: Instant, ended: &Option<(String, bool)>) -> Heard {
    heard.took = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
    if let Some((words, by_frame)) = ended {
        heard.ended = Some(words.clone());
        heard.by_frame = *by_frame;
    }
    heard
}

fn cut(mut text: String) -> String {
    if text.len() > TEXT {
        let end = (0..=TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn answered(status: u16, headers: &[(&str, &str)]) -> Answered {
        Answered {
            status,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Answered::default()
        }
    }

    #[test]
    fn a_handshake_is_done_refused_or_wrong() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        let up = [("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade")];
        let with = |more: &[(&'static str, &'static str)]| answered(101, &[&up[..], more].concat());
        assert_eq!(judge(&with(&[("sec-websocket-accept", accept)]), key), Upgrade::Done);
        assert_eq!(judge(&answered(403, &[]), key), Upgrade::Refused);
        for (answer, word) in [
            (with(&[]), "without Sec-WebSocket-Accept"),
            (with(&[("sec-websocket-accept", "x")]), "does not fit"),
            (answered(101, &[("sec-websocket-accept", accept)]), "without `Upgrade"),
            (
                with(&[("sec-websocket-accept", accept), ("sec-websocket-extensions", "x")]),
                "an extension",
            ),
        ] {
            let Upgrade::Wrong(text) = judge(&answer, key) else {
                panic!("{word}")
            };
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let text = "é".repeat(TEXT);
        let cut = cut(text);
        assert!(cut.len() <= TEXT && cut.chars().all(|c| c == 'é'));
    }
}
