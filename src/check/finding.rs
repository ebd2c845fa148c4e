//! What a check says: steps, verdicts, and the stable words of what was found. Pure.

/// A step, in the order in which steps are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The name, its addresses, and whether each of them answers.
    Dns,
    /// From http to https.
    Redirect,
    /// Certificate and chain.
    Certificate,
    /// TLS versions.
    TlsVersions,
    /// Whether `Upgrade` and `Connection` get through.
    UpgradeHeaders,
    /// WebSocket handshake.
    Websocket,
    /// What speaks Engine.IO there.
    Engineio,
    /// Polls with one session, each on a new connection.
    Polling,
    /// The change from polling to WebSocket.
    Upgrade,
    /// What stickiness hangs on.
    Stickiness,
    /// How long a silent connection lives.
    Idle,
    /// Whether clients on different backends hear each other.
    Broadcast,
}

impl Step {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Redirect => "redirect",
            Self::Certificate => "certificate",
            Self::TlsVersions => "tls_versions",
            Self::UpgradeHeaders => "upgrade_headers",
            Self::Websocket => "websocket",
            Self::Engineio => "engineio",
            Self::Polling => "polling",
            Self::Upgrade => "upgrade",
            Self::Stickiness => "stickiness",
            Self::Idle => "idle",
            Self::Broadcast => "broadcast",
        }
    }
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// It works, and yet.
    Warn,
    /// Clients will fail here.
    Fail,
    /// It was tried, and what was seen does not decide.
    Unknown,
    /// It was not tried.
    Skipped,
}

impl Verdict {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// What was found. Its word is part of the report's contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every one of them.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// Its word.
            pub fn word(self) -> &'static str {
                match self { $(Code::$variant => $word,)* }
            }
        }
    };
}

codes! {
    /// The name has no address.
    NameNotFound = "name_not_found",
    /// One of its addresses refuses or is silent.
    UnreachableAddress = "unreachable_address",
    /// Plain http answers without leading to https.
    NoRedirect = "no_redirect",
    /// Redirects lead in a circle.
    RedirectLoop = "redirect_loop",
    /// A redirect leads to another host or port.
    RedirectElsewhere = "redirect_elsewhere",
    /// The TLS handshake itself fails.
    TlsFailed = "tls_failed",
    /// A certificate of the chain is over.
    CertificateExpired = "certificate_expired",
    /// It will be within two weeks.
    CertificateExpiresSoon = "certificate_expires_soon",
    /// It leads to no trusted root.
    CertificateUntrusted = "certificate_untrusted",
    /// It is for another name.
    CertificateWrongName = "certificate_wrong_name",
    /// The server does not send the certificates between its own and the root.
    ChainIncomplete = "chain_incomplete",
    /// TLS 1.0 or 1.1 is accepted.
    TlsOldVersion = "tls_old_version",
    /// TLS 1.3 is not.
    TlsNo13 = "tls_no_13",
    /// A WebSocket handshake arrives as a plain request.
    UpgradeEaten = "upgrade_eaten",
    /// A WebSocket handshake is refused.
    WebsocketRefused = "websocket_refused",
    /// It is accepted, but not as RFC 6455 wants it.
    WebsocketWrongAccept = "websocket_wrong_accept",
    /// Something else answers at the endpoint.
    NotEngineio = "not_engineio",
    /// The server speaks the other version.
    WrongVersion = "wrong_version",
    /// No answer, or an error of a gateway.
    HandshakeFailed = "handshake_failed",
    /// Requests of a session reach servers that don't know it.
    SidUnknown = "sid_unknown",
    /// They fail in another way.
    PollFailed = "poll_failed",
    /// Only one backend was seen.
    NotKnownOneBackend = "not_known_one_backend",
    /// The probe got no answer.
    UpgradeProbeFailed = "upgrade_probe_failed",
    /// The WebSocket of a session reaches a server that doesn't know it.
    UpgradeOtherBackend = "upgrade_other_backend",
    /// One source address, one backend.
    StickyBySource = "sticky_by_source",
    /// One cookie, one backend.
    StickyByCookie = "sticky_by_cookie",
    /// Neither.
    NotSticky = "not_sticky",
    /// A cookie is set that is not sent where it is needed.
    CookieNotKept = "cookie_not_kept",
    /// Without a second source it cannot be told.
    UnknownNoSecondSource = "unknown_no_second_source",
    /// A client that only answers pings is cut before its first one.
    IdleCutBeforePing = "idle_cut_before_ping",
    /// A silent connection is cut.
    IdleCut = "idle_cut",
    /// Clients on different backends don't hear each other.
    AdapterMissing = "adapter_missing",
    /// Nobody hears it.
    BroadcastFailed = "broadcast_failed",
}

/// One thing that a step says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The step.
    pub step: Step,
    /// How it went.
    pub verdict: Verdict,
    /// What was found; `None`: nothing that has a name.
    pub code: Option<Code>,
    /// What was seen.
    pub seen: String,
    /// What it means.
    pub why: Option<String>,
}

impl Finding {
    fn new(step: Step, verdict: Verdict, code: Option<Code>, seen: impl Into<String>) -> Self {
        Self {
            step,
            verdict,
            code,
            seen: seen.into(),
            why: None,
        }
    }

    /// As it should be.
    pub fn pass(step: Step, seen: impl Into<String>) -> Self {
        Self::new(step, Verdict::Pass, None, seen)
    }

    /// As it should be, and it has a name.
    pub fn good(step: Step, code: Code, seen: impl Into<String>) -> Self {
        Self::new(step, Verdict::Pass, Some(code), seen)
    }

    /// It works, and yet.
    pub fn warn(step: Step, code: Code, seen: impl Into<String>) -> Self {
        Self::new(step, Verdict::Warn, Some(code), seen)
    }

    /// Clients will fail here.
    pub fn fail(step: Step, code: Code, seen: impl Into<String>) -> Self {
        Self::new(step, Verdict::Fail, Some(code), seen)
    }

    /// What was seen does not decide.
    pub fn unknown(step: Step, code: Option<Code>, seen: impl Into<String>) -> Self {
        Self::new(step, Verdict::Unknown, code, seen)
    }

    /// It was not tried.
    pub fn skipped(step: Step, why: impl Into<String>) -> Self {
        Self::new(step, Verdict::Skipped, None, why)
    }

    /// With what it means.
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_are_told_apart() {
        let words: BTreeSet<&str> = Code::ALL.iter().map(|code| code.word()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        assert!(words.iter().all(|word| {
            word.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        }));
    }
}
