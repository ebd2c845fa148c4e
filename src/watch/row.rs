//! One row of a balancer's statistics, by the balancer's own words: HAProxy's columns, nginx's counters. Plain values, pure.

/// Counters: they only rise, until the balancer is started again or its counters are cleared.
pub const COUNTERS: [&str; 22] = [
    "stot",
    "req_tot",
    "hrsp_1xx",
    "hrsp_2xx",
    "hrsp_3xx",
    "hrsp_4xx",
    "hrsp_5xx",
    "hrsp_other",
    "econ",
    "eresp",
    "wretr",
    "wredis",
    "connect",
    "reuse",
    "cli_abrt",
    "srv_abrt",
    "bin",
    "bout",
    "chkfail",
    "chkdown",
    "accepts",
    "requests",
];

/// What stands now, and the most that stood since the balancer's start.
pub const GAUGES: [&str; 15] = [
    "scur", "smax", "slim", "qcur", "qmax", "rate", "rate_max", "weight", "act", "bck", "lastchg", "active", "reading",
    "writing", "waiting",
];

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A listener's side of a proxy.
    Frontend,
    /// A proxy's servers together.
    Backend,
    /// One server.
    Server,
    /// One socket of a frontend.
    Listener,
    /// The whole balancer.
    Whole,
}

impl Kind {
    /// The report's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Backend => "backend",
            Self::Server => "server",
            Self::Listener => "listener",
            Self::Whole => "whole",
        }
    }
}

/// Named whole numbers. What the balancer does not say is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures(Vec<(&'static str, u64)>);

impl Figures {
    /// The figure of this name.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, n)| *n)
    }

    /// The same, 0 where it is not there.
    pub fn or_zero(&self, name: &str) -> u64 {
        self.get(name).unwrap_or(0)
    }

    /// Sets one.
    pub fn set(&mut self, name: &'static str, n: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = n,
            None => self.0.push((name, n)),
        }
    }

    /// All, in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds every figure of another.
    pub fn add(&mut self, other: &Self) {
        for (name, n) in other.iter() {
            self.set(name, self.or_zero(name).saturating_add(n));
        }
    }

    /// How far each figure rose since `before`; `None` when one fell, which counters do only when they begin anew.
    pub fn since(&self, before: &Self) -> Option<Self> {
        let mut risen = Self::default();
        for (name, n) in self.iter() {
            risen.set(name, n.checked_sub(before.or_zero(name))?);
        }
        Some(risen)
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its proxy, `pxname`; empty where the balancer has none.
    pub proxy: String,
    /// Its own name, `svname`.
    pub name: String,
    /// What it is about.
    pub kind: Kind,
    /// `http` or `tcp`, when the balancer says it.
    pub mode: String,
    /// `UP`, `DOWN`, `no check`...
    pub status: String,
    /// What the last health check came to, `L4OK`.
    pub check_status: String,
    /// [`COUNTERS`].
    pub counters: Figures,
    /// [`GAUGES`].
    pub gauges: Figures,
}

impl Row {
    /// `www/s1`.
    pub fn label(&self) -> String {
        match self.proxy.is_empty() {
            true => self.name.clone(),
            false => format!("{}/{}", self.proxy, self.name),
        }
    }

    /// Whether both are about the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.name == other.name && self.proxy == other.proxy
    }

    /// The state, without how far checks have come to another one: `UP` of `UP 1/3`.
    pub fn state(&self) -> &str {
        match self.status.as_str() {
            "no check" => "no check",
            text => text.split([' ', '(']).next().unwrap_or_default(),
        }
    }

    /// Whether it stands, as far as the balancer says.
    pub fn is_up(&self) -> bool {
        matches!(self.state(), "UP" | "no check" | "OPEN" | "NOLB" | "")
    }

    /// Whether it counts answers of HTTP.
    pub fn speaks_http(&self) -> bool {
        self.mode == "http" || (self.mode.is_empty() && self.counters.get("hrsp_2xx").is_some())
    }
}

/// HTTP answers that a server gave, all statuses together.
pub fn answers(counters: &Figures) -> u64 {
    ["hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other"]
        .iter()
        .fold(0, |sum: u64, name| sum.saturating_add(counters.or_zero(name)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn counters_that_fall_have_begun_anew() {
        let of = |stot, econ| {
            let mut figures = Figures::default();
            figures.set("stot", stot);
            figures.set("econ", econ);
            figures
        };
        let risen = of(7, 1).since(&of(5, 1)).unwrap();
        assert_eq!((risen.get("stot"), risen.get("econ")), (Some(2), Some(0)));
        assert_eq!(of(7, 0).since(&of(5, 1)), None);
        assert_eq!(of(7, 0).since(&Figures::default()), Some(of(7, 0)));
        let mut sum = of(u64::MAX, 1);
        sum.add(&of(1, 1));
        assert_eq!(sum, of(u64::MAX, 2));
    }

    #[test]
    fn states_are_told_from_how_far_checks_have_come() {
        for (status, state, up) in [
            ("UP", "UP", true),
            ("UP 1/3", "UP", true),
            ("no check", "no check", true),
            ("DOWN", "DOWN", false),
            ("DOWN 1/2", "DOWN", false),
            ("MAINT (via www/s1)", "MAINT", false),
            ("DOWN(agent)", "DOWN", false),
            ("DRAIN", "DRAIN", false),
            ("", "", true),
        ] {
            let row = Row {
                proxy: "www".into(),
                name: "s1".into(),
                kind: Kind::Server,
                mode: String::new(),
                status: status.into(),
                check_status: String::new(),
                counters: Figures::default(),
                gauges: Figures::default(),
            };
            assert_eq!((row.state(), row.is_up()), (state, up), "{status}");
        }
    }
}
