//! Why sources reached the backends that they did, in words: a rule is named when the user named it, or when it alone explains
//! every observation and chance hardly could. Pure. Never here: guesses; what is not known is said to be so.

use super::forecast::{Balancer, Gap, forecast};
use super::matrix::Matrix;
use super::rule::{Pool, Rule};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A rule that nobody named is taken for the balancer's when a wrong one would fit by chance less often than this.
const CHANCE: f64 = 0.001;
/// Servers that are looked for where their number is not known.
const SUPPOSED: std::ops::RangeInclusive<usize> = 2..=16;
/// How it is said that a balancer listens on IPv6 for both families.
const BOTH: &str = "where the balancer sees ::ffff:a.b.c.d (it listens on IPv6 for both families)";
/// Names and addresses in a sentence.
const LISTED: usize = 4;

/// What is known beside the observations.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clues<'a> {
    /// The backends that exist, in the order of the configuration: from the balancer's own statistics.
    pub known: Option<&'a [String]>,
    /// What the user said of the balancer.
    pub named: Option<&'a Balancer>,
}

/// What the observations come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explained {
    /// Backends that exist.
    pub known: Option<u64>,
    /// The rule that they follow.
    pub rule: Option<Rule>,
    /// Names of backends that are known and got nothing; those whose names nobody knows by their place.
    pub idle: Vec<String>,
    /// Why, in words.
    pub because: Option<String>,
    /// What is not known.
    pub unknown: Option<String>,
}

/// Sources and the only column that each reached.
type Reached = BTreeMap<IpAddr, usize>;

/// Explains a matrix.
pub fn explain(matrix: &Matrix, clues: &Clues<'_>) -> Explained {
    let mut all: BTreeMap<IpAddr, BTreeSet<usize>> = BTreeMap::new();
    for row in matrix.rows.iter().filter(|row| row.total() > 0) {
        let seen = row.cells.iter().enumerate().filter(|(_, n)| **n > 0).map(|(at, _)| at);
        all.entry(row.address).or_default().extend(seen);
    }
    let known = clues
        .known
        .map(<[String]>::len)
        .or(clues.named.map(|named| named.pool.size()));
    let facts = Explained {
        known: known.map(|n| n as u64),
        ..Explained::default()
    };
    if all.is_empty() {
        return facts;
    }
    let strayed = all.values().filter(|columns| columns.len() > 1).count();
    let reached: Reached = all
        .iter()
        .filter_map(|(source, columns)| Some((*source, *columns.first()?)))
        .collect();
    let scene = Scene {
        names: &matrix.backends,
        reached: &reached,
    };
    match (clues.named, strayed) {
        (Some(named), 0) => scene.as_named(named, facts),
        (Some(named), n) => Explained {
            unknown: Some(format!(
                "{} keeps each source on one server, and {n} of {} sources were seen on several: the balancer goes by something \
                 else (a cookie, another rule), or servers went down or came back meanwhile",
                named.rule.word(),
                all.len()
            )),
            ..facts
        },
        (None, 0) => scene.unnamed(clues.known, facts),
        (None, _) if clues.known.is_none() => facts,
        (None, _) => scene.idle_of(clues.known, facts),
    }
}

/// What was seen.
struct Scene<'a> {
    names: &'a [String],
    reached: &'a Reached,
}

/// How predicted servers and observed names belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fit {
    /// Every observation is as predicted; the name of each server, where it is known.
    All(Vec<Option<String>>),
    /// Names agree, and so many observations do not: the first of them, as predicted and as seen.
    Differs(usize, IpAddr, String, String),
    /// No way to give the servers these names makes the predictions true.
    NoWay,
}

impl Scene<'_> {
    fn columns(&self) -> BTreeSet<usize> {
        self.reached.values().copied().collect()
    }

    /// Holds a rule against what was seen. Names that the pool knows are taken at their word; others belong to whichever
    /// server fits, one each.
    fn fit(&self, balancer: &Balancer) -> Fit {
        let own = balancer.pool.names();
        let by_name = self.are_all_of(&own);
        let mut names: Vec<Option<String>> = vec![None; own.len()];
        let mut differ: Vec<(IpAddr, String, String)> = Vec::new();
        for (source, column) in self.reached {
            let seen = &self.names[*column];
            // servers that take turns may be any
            let Some(server) = balancer.server(*source) else {
                continue;
            };
            if by_name && own[server] != *seen {
                differ.push((*source, own[server].clone(), seen.clone()));
                continue;
            }
            let taken = names
                .iter()
                .enumerate()
                .any(|(at, name)| at != server && name.as_ref() == Some(seen));
            match &names[server] {
                Some(name) if name == seen => {}
                None if !taken => names[server] = Some(seen.clone()),
                _ => return Fit::NoWay,
            }
        }
        let n = differ.len();
        match differ.into_iter().next() {
            Some((source, predicted, seen)) => Fit::Differs(n, source, predicted, seen),
            None if by_name => Fit::All(own.into_iter().map(Some).collect()),
            None => Fit::All(names),
        }
    }

    /// How often a wrong rule over so many servers would fit, if backends were picked at random: n^-k for k sources that it tells
    /// apart, times the ways to give the servers the names that were seen.
    fn chance(&self, balancer: &Balancer, by_name: bool) -> f64 {
        let n = balancer.pool.up().count() as f64;
        let ways: f64 = match by_name {
            true => 1.0,
            false => (0..self.columns().len()).map(|i| n - i as f64).product(),
        };
        let told_apart: BTreeSet<IpAddr> = self.reached.keys().map(|source| balancer.key(*source)).collect();
        ways * n.powi(-i32::try_from(told_apart.len()).unwrap_or(i32::MAX))
    }

    fn are_all_of(&self, names: &[String]) -> bool {
        self.columns().iter().all(|at| names.contains(&self.names[*at]))
    }

    /// The user says which rule it is.
    fn as_named(&self, named: &Balancer, facts: Explained) -> Explained {
        let rule = named.rule.word();
        let fit = self.fit(named);
        if let Fit::All(names) = &fit {
            return self.explained(named, names, &format!("as {rule} predicts"), facts);
        }
        // one server down moves many sources, and so does a socket for both families: try those that nobody reached, and this
        let others = self.variants(named);
        let mut if_so = String::new();
        for (how, other) in &others {
            let Fit::All(names) = self.fit(other) else { continue };
            let chance = self.chance(other, self.are_all_of(&named.pool.names())) * others.len() as f64;
            if chance < CHANCE {
                return self.explained(other, &names, &format!("as {rule} predicts {how}"), facts);
            }
            if_so = format!(" ({how} it would be as seen, and too few sources tell whether it was so)");
        }
        let size = named.pool.size();
        let why = format!(
            "the rule, the number of servers, their order or weights are others, or one was down{if_so}{}",
            self.behind_nat()
        );
        let unknown = match fit {
            Fit::Differs(n, source, predicted, seen) => format!(
                "{rule} over {size} servers predicts {predicted} for {source}, and it reached {seen} ({n} of {} sources differ): {why}",
                self.reached.len()
            ),
            _ => format!(
                "{rule} over {size} servers does not predict what was seen, whatever their names stand for: {why}"
            ),
        };
        Explained {
            unknown: Some(unknown),
            ..facts
        }
    }

    /// The same balancer in other circumstances, and in which.
    fn variants(&self, named: &Balancer) -> Vec<(String, Balancer)> {
        let without = |balancer: &Balancer, more: &str| -> Vec<(String, Balancer)> {
            let unreached = self.unreached(&named.pool).into_iter();
            unreached
                .filter_map(|name| Some((format!("with {name} down{more}"), balancer.without(&name).ok()?)))
                .filter(|(_, other)| other.pool.up().count() > 1)
                .collect()
        };
        let mut all = without(named, "");
        if !named.is_on_both_families() && self.has_v4() {
            let both = named.clone().on_both_families();
            all.extend(without(&both, &format!(" and {BOTH}")));
            all.insert(0, (BOTH.to_owned(), both));
        }
        all
    }

    fn has_v4(&self) -> bool {
        self.reached.keys().any(IpAddr::is_ipv4)
    }

    fn unreached(&self, pool: &Pool) -> Vec<String> {
        let seen: Vec<&String> = self.columns().iter().map(|at| &self.names[*at]).collect();
        let up = pool.up().map(|(_, server)| server.name.clone());
        up.filter(|name| !seen.contains(&name)).collect()
    }

    /// Nobody said which rule it is.
    fn unnamed(&self, known: Option<&[String]>, facts: Explained) -> Explained {
        match self.rule_alone(known) {
            Some((balancer, names)) => {
                let size = balancer.pool.size();
                let rule = balancer.rule.word();
                let both = match balancer.is_on_both_families() {
                    true => format!(" {BOTH}"),
                    false => String::new(),
                };
                let alone = match known {
                    Some(_) => format!("as {rule} predicts{both}, and no other rule that swarm knows"),
                    None => format!(
                        "as {rule} predicts over {size} servers{both}, and no other rule that swarm knows over 2 to {}",
                        SUPPOSED.end()
                    ),
                };
                self.explained(&balancer, &names, &alone, facts)
            }
            None => self.idle_of(known, facts),
        }
    }

    /// The only rule that explains everything, where chance hardly could.
    ///
    /// Each source's backend must be its only one, and at least two backends were seen. [`Self::chance`], summed over everything
    /// that was tried, must be below [`CHANCE`]. Sources that were dealt in turn, in the order of their addresses, say nothing: a
    /// balancer that deals newcomers in turn and remembers them does the same.
    fn rule_alone(&self, known: Option<&[String]>) -> Option<(Balancer, Vec<Option<String>>)> {
        let seen = self.columns().len();
        if seen < 2 {
            return None;
        }
        let pools: Vec<Pool> = match known {
            Some(names) => Pool::named(names).into_iter().collect(),
            None => SUPPOSED.filter_map(|n| Pool::of(n).ok()).collect(),
        };
        let mut chance = 0.0;
        let mut fits = Vec::new();
        for pool in pools.into_iter().filter(|pool| pool.size() >= seen) {
            let by_name = known.is_some_and(|known| self.are_all_of(known));
            for rule in Rule::ALL {
                let Ok(balancer) = Balancer::new(rule, pool.clone()) else {
                    continue;
                };
                let both = self.has_v4().then(|| balancer.clone().on_both_families());
                for balancer in std::iter::once(balancer).chain(both) {
                    chance += self.chance(&balancer, by_name);
                    if let Fit::All(names) = self.fit(&balancer) {
                        fits.push((balancer, names));
                    }
                }
            }
        }
        let only = fits.pop().filter(|_| fits.is_empty())?;
        (chance < CHANCE && !self.in_turn(only.0.pool.size())).then_some(only)
    }

    /// Whether the sources, by rising address, reached the backends one after the other, round and round.
    fn in_turn(&self, servers: usize) -> bool {
        let columns: Vec<usize> = self.reached.values().copied().collect();
        let period = servers.min(columns.len());
        let round = &columns[..period];
        let all_different = round.iter().collect::<BTreeSet<_>>().len() == period;
        all_different
            && columns
                .iter()
                .enumerate()
                .all(|(at, column)| *column == round[at % period])
    }

    /// Which known backends got nothing, without a reason.
    fn idle_of(&self, known: Option<&[String]>, facts: Explained) -> Explained {
        let seen: Vec<&String> = self.columns().iter().map(|at| &self.names[*at]).collect();
        let Some(known) = known else {
            // of fewer the verdict says enough
            let worth_saying = self.reached.len() > 1 && seen.len() > 1;
            return Explained {
                unknown: worth_saying.then(|| {
                    "whether there are more backends is not known: say what the balancer does with --balancer RULE --backends N"
                        .to_owned()
                }),
                ..facts
            };
        };
        if seen.iter().any(|name| !known.contains(name)) {
            return Explained {
                unknown: Some(
                    "which of the known backends got nothing is not known: the answers name them otherwise than the balancer does"
                        .to_owned(),
                ),
                ..facts
            };
        }
        let idle: Vec<String> = known.iter().filter(|name| !seen.contains(name)).cloned().collect();
        match idle.is_empty() {
            true => facts,
            false => Explained {
                because: Some(format!(
                    "{} reached {} of {} backends; {} got nothing",
                    sources(self.reached.len()),
                    seen.len(),
                    known.len(),
                    listed(&idle)
                )),
                unknown: Some("why is not known: no rule that swarm knows is proven by so few sources; name it with --balancer RULE --backends N".to_owned()),
                idle,
                ..facts
            },
        }
    }

    /// All is as predicted.
    fn explained(&self, balancer: &Balancer, names: &[Option<String>], how: &str, facts: Explained) -> Explained {
        let here: Vec<IpAddr> = self.reached.keys().copied().collect();
        let seen = forecast(balancer, &here);
        let reached = self.columns().len();
        let name = |at: usize| match &names[at] {
            Some(name) => name.clone(),
            None => format!("server {} of the configuration", at + 1),
        };
        let idle: Vec<usize> = seen
            .idle
            .iter()
            .copied()
            .filter(|at| !self.was_seen(names, *at))
            .collect();
        let rule = Some(balancer.rule);
        let known = Some(balancer.pool.size() as u64);
        let of = balancer.pool.size();
        if idle.is_empty() {
            return Explained {
                because: Some(format!(
                    "{} reached {reached} of {of} backends, {how}",
                    sources(here.len())
                )),
                rule,
                known,
                ..facts
            };
        }
        let idle_names: Vec<String> = idle.iter().map(|at| name(*at)).collect();
        let reasons: BTreeSet<String> = idle.iter().map(|at| balancer.why_idle(*at)).collect();
        let reasons = match reasons.len() {
            1..=LISTED => reasons.into_iter().collect::<Vec<_>>().join(", and "),
            _ => "no source falls on them".to_owned(),
        };
        let gap = seen.to_reach_all(balancer, &here);
        Explained {
            because: Some(format!(
                "{} reached {reached} of {of} backends, {how}; {} got nothing, because {reasons}; {}",
                sources(here.len()),
                listed(&idle_names),
                advice(&gap)
            )),
            idle: idle_names,
            rule,
            known,
            ..facts
        }
    }

    fn was_seen(&self, names: &[Option<String>], server: usize) -> bool {
        let name = names[server].as_ref();
        name.is_some_and(|name| self.columns().iter().any(|at| self.names[*at] == *name))
    }

    fn behind_nat(&self) -> &'static str {
        match self.reached.keys().any(|source| is_private(*source)) {
            true => {
                "; or the balancer sees other addresses than these: private ones are translated (NAT) on their way to a public balancer"
            }
            false => "",
        }
    }
}

fn sources(n: usize) -> String {
    match n {
        1 => "1 source".to_owned(),
        n => format!("{n} sources"),
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        few if few.len() <= LISTED => format!("{} and {}", few[..few.len() - 1].join(", "), few[few.len() - 1]),
        many => format!("{} and {} more", many[..LISTED - 1].join(", "), many.len() - LISTED + 1),
    }
}

/// What would mend it.
fn advice(gap: &Gap) -> String {
    let named: Vec<String> = gap.addresses.iter().map(|(address, _)| address.to_string()).collect();
    match (named.as_slice(), gap.elsewhere) {
        ([], _) => "no address near these reaches it: add hosts in other networks".to_owned(),
        (_, true) => {
            let nets: Vec<String> = gap.addresses.iter().map(|(address, _)| net_of(*address)).collect();
            format!("add hosts in other networks, as {}", listed(&nets))
        }
        (few, false) if few.len() <= LISTED => format!("add {}, or --source-ips {}", listed(few), few.join(",")),
        (many, false) => format!("add {} addresses: {}", many.len(), listed(many)),
    }
}

fn net_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(_) => address.to_string(),
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests;
