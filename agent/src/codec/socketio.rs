//! Socket.IO protocols 5 and 4 (servers from 3 on, and 2): the packets inside Engine.IO messages, which say how many
//! binary messages follow as their attachments. Never here: sockets, clocks, JSON beyond what the protocol itself looks at.

use serde::de::Deserialize;
use std::fmt::Write;

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A namespace is entered.
    Connect,
    /// A namespace is left.
    Disconnect,
    /// An event.
    Event,
    /// An acknowledgement.
    Ack,
    /// A namespace refuses.
    ConnectError,
    /// An event with attachments.
    BinaryEvent,
    /// An acknowledgement with attachments.
    BinaryAck,
}

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub kind: Kind,
    /// Namespace, `/` when it names none.
    pub namespace: &'a str,
    /// Acknowledgement id.
    pub id: Option<u64>,
    /// Binary packets that follow.
    pub attachments: u32,
    /// JSON text, or empty.
    pub body: &'a str,
}

/// Reads the text of an Engine.IO message.
pub fn parse(text: &str) -> Option<Packet<'_>> {
    let mut characters = text.chars();
    let kind = match characters.next()? {
        '0' => Kind::Connect,
        '1' => Kind::Disconnect,
        '2' => Kind::Event,
        '3' => Kind::Ack,
        '4' => Kind::ConnectError,
        '5' => Kind::BinaryEvent,
        '6' => Kind::BinaryAck,
        _ => return None,
    };
    let mut rest = characters.as_str();
    let mut attachments = 0;
    if matches!(kind, Kind::BinaryEvent | Kind::BinaryAck) {
        let (count, after) = rest.split_once('-')?;
        attachments = number(count)?.try_into().ok()?;
        rest = after;
    }
    let mut namespace = "/";
    if rest.starts_with('/') {
        (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
    }
    // a query of the namespace, as older servers echo it, is no part of its name
    namespace = namespace.split_once('?').map_or(namespace, |(name, _)| name);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let id = if digits > 0 {
        Some(number(&rest[..digits])?)
    } else {
        None
    };
    let body = &rest[digits..];
    let whole = match kind {
        Kind::Event | Kind::BinaryEvent => body.starts_with('['),
        Kind::Ack | Kind::BinaryAck => id.is_some() && body.starts_with('['),
        Kind::Connect | Kind::ConnectError | Kind::Disconnect => id.is_none(),
    };
    whole.then_some(Packet {
        kind,
        namespace,
        id,
        attachments,
        body,
    })
}

fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

/// The Engine.IO message that enters a namespace.
pub fn connect(namespace: &str, auth: Option<&str>) -> String {
    format!("40{}{}", prefix(namespace), auth.unwrap_or(""))
}

/// The Engine.IO message that leaves a namespace.
pub fn disconnect(namespace: &str) -> String {
    format!("41{}", prefix(namespace))
}

/// The Engine.IO message that emits `["event",args..]`, with an id when an acknowledgement is asked for. So many
/// attachments follow it, and the array has a placeholder for each.
pub fn event(namespace: &str, id: Option<u64>, array: &str, attachments: usize) -> String {
    packet(('2', '5'), namespace, id, array, attachments)
}

/// The Engine.IO message that acknowledges an event of the server with `[args..]`.
pub fn ack(namespace: &str, id: u64, array: &str, attachments: usize) -> String {
    packet(('3', '6'), namespace, Some(id), array, attachments)
}

fn packet(kinds: (char, char), namespace: &str, id: Option<u64>, array: &str, attachments: usize) -> String {
    let mut text = String::with_capacity(array.len() + namespace.len() + 24);
    text.push('4');
    if attachments == 0 {
        text.push(kinds.0);
    } else {
        let _ = write!(text, "{}{attachments}-", kinds.1);
    }
    if namespace != "/" && !namespace.is_empty() {
        text.push_str(namespace);
        text.push(',');
    }
    if let Some(id) = id {
        let _ = write!(text, "{id}");
    }
    text.push_str(array);
    text
}

fn prefix(namespace: &str) -> String {
    if namespace == "/" || namespace.is_empty() {
        String::new()
    } else {
        format!("{namespace},")
    }
}

/// The name of an event: the first element of its array. A number, which parsers allow, is named by its digits.
pub fn event_name(body: &str) -> Option<String> {
    let first = body.strip_prefix('[')?;
    match String::deserialize(&mut serde_json::Deserializer::from_str(first)) {
        Ok(name) => Some(name),
        Err(_) => serde_json::Number::deserialize(&mut serde_json::Deserializer::from_str(first))
            .ok()
            .map(|number| number.to_string()),
    }
}

/// The message of a CONNECT_ERROR: `{"message":".."}`, or a bare string as older servers send it.
pub fn refusal(body: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(body) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(value) => value
            .get("message")
            .and_then(serde_json::Value::as_str)
            .unwrap_or(body)
            .to_owned(),
        Err(_) => body.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn packet(
        kind: Kind,
        namespace: &str,
        id: Option<u64>,
        attachments: u32,
        body: &'static str,
    ) -> Option<Packet<'static>> {
        let namespace = Box::leak(namespace.to_owned().into_boxed_str());
        Some(Packet {
            kind,
            namespace,
            id,
            attachments,
            body,
        })
    }

    #[test]
    fn packets_of_the_transcript() {
        for (text, wanted) in [
            (r#"0{"sid":"x"}"#, packet(Kind::Connect, "/", None, 0, r#"{"sid":"x"}"#)),
            ("0", packet(Kind::Connect, "/", None, 0, "")),
            (
                r#"0/chat,{"sid":"x"}"#,
                packet(Kind::Connect, "/chat", None, 0, r#"{"sid":"x"}"#),
            ),
            ("1/chat,", packet(Kind::Disconnect, "/chat", None, 0, "")),
            ("1", packet(Kind::Disconnect, "/", None, 0, "")),
            (
                r#"212["echo",{"i":1}]"#,
                packet(Kind::Event, "/", Some(12), 0, r#"["echo",{"i":1}]"#),
            ),
            (r#"3/chat,7["x"]"#, packet(Kind::Ack, "/chat", Some(7), 0, r#"["x"]"#)),
            (
                r#"4/admin,{"message":"no"}"#,
                packet(Kind::ConnectError, "/admin", None, 0, r#"{"message":"no"}"#),
            ),
            (
                r#"51-8["bin",{"_placeholder":true,"num":0}]"#,
                packet(
                    Kind::BinaryEvent,
                    "/",
                    Some(8),
                    1,
                    r#"["bin",{"_placeholder":true,"num":0}]"#,
                ),
            ),
            ("61-/a,8[1]", packet(Kind::BinaryAck, "/a", Some(8), 1, "[1]")),
        ] {
            assert_eq!(parse(text), wanted, "{text}");
        }
        for bad in [
            "",
            "9",
            "2",
            "2x",
            "3[1]",
            "5[1]",
            "5x-[1]",
            "299999999999999999999[1]",
            "é",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_we_send_is_what_the_real_client_sends() {
        assert_eq!(connect("/", None), "40");
        assert_eq!(connect("/admin", Some(r#"{"token":"t"}"#)), r#"40/admin,{"token":"t"}"#);
        assert_eq!(event("/", Some(12), r#"["echo",1]"#, 0), r#"4212["echo",1]"#);
        assert_eq!(event("/chat", None, r#"["m"]"#, 0), r#"42/chat,["m"]"#);
        assert_eq!(disconnect("/chat"), "41/chat,");
        assert_eq!(
            event("/", Some(8), r#"["bin",{"_placeholder":true,"num":0}]"#, 1),
            r#"451-8["bin",{"_placeholder":true,"num":0}]"#
        );
        assert_eq!(ack("/chat", 7, "[1]", 0), "43/chat,7[1]");
        assert_eq!(
            ack("/", 8, r#"[{"_placeholder":true,"num":0}]"#, 1),
            r#"461-8[{"_placeholder":true,"num":0}]"#
        );
    }

    #[test]
    fn names_and_refusals() {
        assert_eq!(event_name(r#"["a\u0041",1]"#).as_deref(), Some("aA"));
        assert_eq!(event_name("[1,2]").as_deref(), Some("1"));
        assert_eq!(event_name("[null]"), None);
        assert_eq!(refusal(r#"{"message":"not authorized"}"#), "not authorized");
        assert_eq!(refusal(r#""plain""#), "plain");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9/,?\\-a-z\\[\\]{}\"é]{0,40}") {
            if let Some(packet) = parse(&text) {
                let _ = event_name(packet.body);
                let _ = refusal(packet.body);
            }
        }

        #[test]
        fn packets_come_back(namespace in "/([a-z]{1,8})?", id in any::<u64>(), asked in any::<bool>(), attachments in 0usize..5) {
            let asked = asked.then_some(id);
            let count = u32::try_from(attachments).unwrap();
            let kind = if count == 0 { Kind::Event } else { Kind::BinaryEvent };
            let text = event(&namespace, asked, r#"["e",1]"#, attachments);
            let wanted = Packet { kind, namespace: &namespace, id: asked, attachments: count, body: r#"["e",1]"# };
            prop_assert_eq!(parse(&text[1..]), Some(wanted));
            let kind = if count == 0 { Kind::Ack } else { Kind::BinaryAck };
            let text = ack(&namespace, id, "[]", attachments);
            let wanted = Packet { kind, namespace: &namespace, id: Some(id), attachments: count, body: "[]" };
            prop_assert_eq!(parse(&text[1..]), Some(wanted));
            let packet = |kind, body| Packet { kind, namespace: &namespace, id: None, attachments: 0, body };
            let (text, auth) = (disconnect(&namespace), r#"{"token":"1"}"#);
            prop_assert_eq!(parse(&text[1..]), Some(packet(Kind::Disconnect, "")));
            for body in [None, Some(auth)] {
                let text = connect(&namespace, body);
                prop_assert_eq!(parse(&text[1..]), Some(packet(Kind::Connect, body.unwrap_or(""))));
            }
        }
    }
}
