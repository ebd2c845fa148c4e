//! Owns: what clients are led through when they are compared: scenarios of Socket.IO and Engine.IO. Must not: lead them.

/// The servers' interval is 2 s: two heartbeats, with a second to spare.
const TWO_BEATS: u64 = 5_000;
pub const SHORT: u64 = 500;

/// What each client does.
pub struct Scenario {
    pub name: &'static str,
    pub namespace: &'static str,
    /// Further namespaces that each client enters; it says the same in all of them.
    pub further: &'static [&'static str],
    /// Socket.IO: an emit's array, `{"hex": ".."}` in it being bytes; raw: a message.
    pub says: Option<&'static str>,
    /// What only steps can say to swarm: the emits, one after the other, as a playbook's.
    pub steps: Option<&'static str>,
    pub ack: bool,
    /// What /admin wants to know: as auth in version 4, in the query in version 2.
    pub token: bool,
    /// ms.
    pub hold: u64,
    /// The server ends it.
    pub stays: bool,
    /// How the session ends is the application's affair: the real client stays at the server, in no namespace.
    pub ends_alike: bool,
}

const PLAIN: Scenario = Scenario {
    name: "",
    namespace: "/",
    further: &[],
    says: None,
    steps: None,
    ack: false,
    token: false,
    hold: SHORT,
    stays: false,
    ends_alike: true,
};

pub const SOCKETIO: [Scenario; 12] = [
    Scenario {
        name: "acks-and-heartbeats",
        says: Some(r#"["echo","naïve 😀",null,[1.5],{"i":1}]"#),
        ack: true,
        hold: TWO_BEATS,
        ..PLAIN
    },
    Scenario {
        name: "event",
        says: Some(r#"["nobody-listens",{"a":[]}]"#),
        ..PLAIN
    },
    Scenario {
        name: "asked-by-the-server",
        says: Some(r#"["ask","why"]"#),
        ..PLAIN
    },
    Scenario {
        name: "namespace",
        namespace: "/chat",
        says: Some(r#"["echo",1]"#),
        ack: true,
        ..PLAIN
    },
    Scenario {
        name: "with-the-token",
        namespace: "/admin",
        says: Some(r#"["echo",1]"#),
        token: true,
        ..PLAIN
    },
    Scenario {
        name: "without-the-token",
        namespace: "/admin",
        ends_alike: false,
        ..PLAIN
    },
    Scenario {
        name: "nowhere",
        namespace: "/nope",
        ends_alike: false,
        ..PLAIN
    },
    Scenario {
        name: "several-namespaces",
        further: &["/chat", "/nope"],
        says: Some(r#"["echo",{"i":1}]"#),
        steps: Some(
            r#"{ join = "/chat" }, { join = "/nope", on-failure = "continue" },
               { emit = { event = "echo", args = [{ i = 1 }], ack = true } },
               { emit = { event = "echo", args = [{ i = 1 }], ack = true, namespace = "/chat" } },"#,
        ),
        ack: true,
        ..PLAIN
    },
    Scenario {
        name: "binary",
        says: Some(r#"["bin",{"hex":"010203"},"between",{"deep":[{"hex":"00ff"}]}]"#),
        steps: Some(
            r#"{ emit = { event = "bin", args = [{ "$base64" = "AQID" }, "between", { deep = [{ "$base64" = "AP8=" }] }], ack = true } },"#,
        ),
        ack: true,
        ..PLAIN
    },
    Scenario {
        name: "binary-without-an-ack",
        namespace: "/chat",
        says: Some(r#"["bin",{"hex":"010203"}]"#),
        steps: Some(r#"{ emit = { event = "bin", args = [{ "$base64" = "AQID" }], namespace = "/chat" } },"#),
        ..PLAIN
    },
    Scenario {
        name: "kicked",
        says: Some(r#"["kick"]"#),
        stays: true,
        ..PLAIN
    },
    Scenario {
        name: "put-out",
        namespace: "/chat",
        says: Some(r#"["kick-namespace"]"#),
        stays: true,
        ..PLAIN
    },
];

pub const ENGINEIO: [Scenario; 2] = [
    Scenario {
        name: "echoes-and-heartbeats",
        says: Some("naïve 😀"),
        hold: TWO_BEATS,
        ..PLAIN
    },
    Scenario {
        name: "closed",
        says: Some("close"),
        stays: true,
        ..PLAIN
    },
];
