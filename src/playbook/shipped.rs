//! The playbooks that come with swarm.

/// Name and text of each, in the order in which they are listed.
pub const ALL: [(&str, &str); 13] = [
    ("http-baseline", include_str!("../../playbooks/http-baseline.toml")),
    ("websocket-hold", include_str!("../../playbooks/websocket-hold.toml")),
    ("socketio-1000", include_str!("../../playbooks/socketio-1000.toml")),
    (
        "socketio-polling-sticky",
        include_str!("../../playbooks/socketio-polling-sticky.toml"),
    ),
    (
        "socketio-upgrade",
        include_str!("../../playbooks/socketio-upgrade.toml"),
    ),
    ("chat-broadcast", include_str!("../../playbooks/chat-broadcast.toml")),
    (
        "login-then-socket",
        include_str!("../../playbooks/login-then-socket.toml"),
    ),
    ("idle-timeout", include_str!("../../playbooks/idle-timeout.toml")),
    ("reconnect-storm", include_str!("../../playbooks/reconnect-storm.toml")),
    ("rolling-restart", include_str!("../../playbooks/rolling-restart.toml")),
    ("tls-redirect", include_str!("../../playbooks/tls-redirect.toml")),
    (
        "haproxy-source-hash",
        include_str!("../../playbooks/haproxy-source-hash.toml"),
    ),
    ("nginx-ip-hash", include_str!("../../playbooks/nginx-ip-hash.toml")),
];

/// The text of one.
pub fn find(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
