//! The servers behind a balancer, in the order of its configuration. Pure.

/// Servers at most: more are no backends either in what a run observes.
const MOST: usize = crate::balancer::MOST_BACKENDS;
/// HAProxy's largest weight.
const HEAVIEST: u32 = 256;

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// 1 to 256.
    pub weight: u32,
    /// Whether it takes part.
    pub up: bool,
}

/// All of them: at least two, at least one of them up, in the order of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    servers: Vec<Server>,
    named: bool,
}

impl Pool {
    /// So many alike, named s1, s2, ...
    pub fn of(size: usize) -> Result<Self, String> {
        let servers = (1..=size).map(|n| Server::new(format!("s{n}"), 1)).collect();
        Self::checked(servers, false)
    }

    /// These, alike.
    pub fn named(names: &[String]) -> Result<Self, String> {
        let servers = names.iter().map(|name| Server::new(name.clone(), 1)).collect();
        Self::checked(servers, true)
    }

    /// Reads `--backends`: `4`, `4:2,1,1,1`, `web1,web2=2,web3`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (size, weights) = match text.split_once(':') {
            Some((size, weights)) if weights.split(',').all(digits) => (size, Some(weights)),
            _ => (text, None),
        };
        if !digits(size) {
            return Self::parse_names(text);
        }
        let size = size.parse().unwrap_or(usize::MAX);
        if size > MOST {
            return Err(format!("at most {MOST}"));
        }
        let mut pool = Self::of(size)?;
        if let Some(weights) = weights {
            let weights: Vec<u32> = weights.split(',').map(weight).collect::<Result<_, _>>()?;
            if weights.len() != size {
                return Err(format!("{size} servers want {size} weights, not {}", weights.len()));
            }
            pool.servers
                .iter_mut()
                .zip(weights)
                .for_each(|(server, w)| server.weight = w);
        }
        Ok(pool)
    }

    fn parse_names(text: &str) -> Result<Self, String> {
        let server = |entry: &str| {
            let (name, typed) = match entry.trim().split_once('=') {
                Some((name, typed)) => (name, Some(typed)),
                None => (entry.trim(), None),
            };
            let plain = !name.is_empty() && name.len() <= 256 && name.bytes().all(|b| b.is_ascii_graphic());
            if !plain {
                return Err("a number (4), one with weights (4:2,1,1,1), or names (web1,web2=2)".to_owned());
            }
            Ok(Server::new(name.to_owned(), typed.map_or(Ok(1), weight)?))
        };
        Self::checked(text.split(',').map(server).collect::<Result<_, _>>()?, true)
    }

    fn checked(servers: Vec<Server>, named: bool) -> Result<Self, String> {
        match servers.len() {
            0 | 1 => return Err("at least 2: one backend gets everything".to_owned()),
            n if n > MOST => return Err(format!("at most {MOST}")),
            _ => {}
        }
        let twice = |at: usize| servers[..at].iter().any(|server| server.name == servers[at].name);
        match (0..servers.len()).find(|at| twice(*at)) {
            Some(at) => Err(format!("{} stands there twice", servers[at].name)),
            None => Ok(Self { servers, named }),
        }
    }

    /// The same with one of them out, by its name.
    pub fn without(&self, name: &str) -> Result<Self, String> {
        let mut pool = self.clone();
        let Some(server) = pool.servers.iter_mut().find(|server| server.name == name) else {
            return Err(format!("no such backend: {}", self.names().join(", ")));
        };
        server.up = false;
        if pool.up().count() == 0 {
            return Err("no backend is left".to_owned());
        }
        Ok(pool)
    }

    /// In the order of the configuration.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.servers.iter().map(|server| server.name.clone()).collect()
    }

    /// Whether their names were given, rather than made up.
    pub fn is_named(&self) -> bool {
        self.named
    }

    /// How many there are, those that are down among them. Never less than two.
    pub fn size(&self) -> usize {
        self.servers.len()
    }

    /// Those that are up, by their places.
    pub fn up(&self) -> impl Iterator<Item = (usize, &Server)> {
        self.servers.iter().enumerate().filter(|(_, server)| server.up)
    }

    /// The one that is up, where there is only one.
    pub(super) fn only_up(&self) -> Option<usize> {
        let mut up = self.up();
        up.next().filter(|_| up.next().is_none()).map(|(at, _)| at)
    }

    /// Their weights, those that are down included, as small as they can be.
    pub fn reduced_weights(&self) -> Vec<u32> {
        let gcd = self
            .servers
            .iter()
            .fold(0, |gcd, server| greatest_common(gcd, server.weight));
        self.servers.iter().map(|server| server.weight / gcd.max(1)).collect()
    }
}

impl Server {
    fn new(name: String, weight: u32) -> Self {
        Self { name, weight, up: true }
    }
}

fn weight(text: &str) -> Result<u32, String> {
    let weight = text.parse().ok().filter(|w| (1..=HEAVIEST).contains(w));
    weight.ok_or_else(|| format!("weight {text}: 1 to {HEAVIEST} (one that gets nothing is --down)"))
}

fn greatest_common(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common(b, a % b) }
}
