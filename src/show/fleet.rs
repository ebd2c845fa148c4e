//! Fleets as tables, and what is left of them in words. Pure: rows in, text out.

use super::tables::table;
use crate::fleet::price;
use std::net::IpAddr;

/// One host of a fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct HostRow {
    /// Instance id.
    pub id: String,
    /// EC2's word, or how far it got.
    pub state: String,
    /// Public address.
    pub address: Option<IpAddr>,
    /// Private addresses.
    pub private: Vec<IpAddr>,
    /// Region.
    pub region: String,
    /// Availability zone.
    pub zone: String,
    /// Instance type.
    pub kind: String,
    /// Spot.
    pub spot: bool,
    /// Seconds since its launch.
    pub age_s: i64,
    /// Seconds until it ends itself; `None` where that is not known.
    pub left_s: Option<i64>,
    /// USD per hour of the instance alone, where known.
    pub hourly: Option<f64>,
    /// Elastic IPs that it has.
    pub elastic: usize,
    /// Whether its agent said hello, where it was asked: what it has, or why not.
    pub agent: Option<Result<String, String>>,
}

impl HostRow {
    /// USD per hour with its public addresses; the disk is not in it.
    fn all_hourly(&self) -> Option<f64> {
        let addresses = usize::from(self.address.is_some()) + self.elastic;
        self.hourly
            .map(|usd| usd + addresses as f64 * price::PUBLIC_ADDRESS_HOURLY)
    }
}

/// The table at the end of `swarm up`.
pub fn ready(fleet: &str, rows: &[HostRow]) -> String {
    let body = rows
        .iter()
        .map(|row| {
            vec![
                address(row),
                row.id.clone(),
                row.zone.clone(),
                row.kind.clone(),
                row.state.clone(),
                private(row),
                row.left_s.map(span).unwrap_or_default(),
            ]
        })
        .collect();
    let head = ["host", "instance", "zone", "type", "state", "private", "ends in"];
    format!(
        "fleet {fleet}: {}\n\n{}\n{}\n",
        count(rows.len()),
        table(&head, body, &[1, 2, 3, 4, 5]),
        cost(rows, false)
    )
}

/// The table of `swarm status`.
pub fn status(fleet: &str, owner: &str, rows: &[HostRow]) -> String {
    let body = rows
        .iter()
        .map(|row| {
            vec![
                address(row),
                row.id.clone(),
                row.zone.clone(),
                row.kind.clone(),
                row.state.clone(),
                age(row.age_s),
                row.left_s.map_or("not known".to_owned(), span),
                row.all_hourly().map_or("not known".to_owned(), |usd| {
                    format!("{:.4}", usd * row.age_s.max(0) as f64 / 3600.0)
                }),
                match &row.agent {
                    Some(Ok(has)) => has.clone(),
                    Some(Err(_)) => "not reachable".to_owned(),
                    None => "not asked".to_owned(),
                },
            ]
        })
        .collect();
    let head = [
        "host",
        "instance",
        "zone",
        "type",
        "state",
        "age",
        "ends in",
        "USD so far",
        "agent",
    ];
    let mut text = format!(
        "fleet {fleet}: {}, owner {owner}\n\n{}\n{}\n",
        count(rows.len()),
        table(&head, body, &[1, 2, 3, 4, 8]),
        cost(rows, true)
    );
    for row in rows {
        if let Some(Err(why)) = &row.agent {
            text.push_str(&format!("{}: {}\n", row.id, super::clean::line(why)));
        }
    }
    text
}

fn cost(rows: &[HostRow], so_far: bool) -> String {
    let hourly: Option<f64> = rows.iter().map(HostRow::all_hourly).sum();
    let spent: Option<f64> = rows
        .iter()
        .map(|row| row.all_hourly().map(|usd| usd * row.age_s.max(0) as f64 / 3600.0))
        .sum();
    let source = format!("{}, {}; public addresses in it, disks not", price::SOURCE, price::AS_OF);
    match (hourly, spent) {
        (Some(hourly), Some(spent)) if so_far => format!("{hourly:.4} USD an hour, {spent:.4} so far ({source})"),
        (Some(hourly), _) => format!("{hourly:.4} USD an hour ({source})"),
        _ => "the price is not known for all of these (spot, or not in the table)".to_owned(),
    }
}

fn address(row: &HostRow) -> String {
    row.address.map_or("none yet".to_owned(), |address| address.to_string())
}

fn private(row: &HostRow) -> String {
    row.private.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")
}

fn count(n: usize) -> String {
    if n == 1 {
        "1 host".to_owned()
    } else {
        format!("{n} hosts")
    }
}

/// How old: as [`span`], from `0s` on.
fn age(seconds: i64) -> String {
    if seconds <= 0 { "0s".to_owned() } else { span(seconds) }
}

/// `2h5m`, `59m`, `40s`; what is over is `over`.
pub fn span(seconds: i64) -> String {
    match seconds {
        s if s <= 0 => "over".to_owned(),
        s if s < 60 => format!("{s}s"),
        s if s < 3600 => format!("{}m", s / 60),
        s if s < 86_400 * 2 => format!("{}h{}m", s / 3600, s / 60 % 60),
        s => format!("{}d{}h", s / 86_400, s / 3600 % 24),
    }
}

/// What could not be removed, on one line each.
#[cfg(feature = "aws")]
pub fn remaining(left: &[crate::fleet::raze::Remaining]) -> String {
    let line =
        |left: &crate::fleet::raze::Remaining| format!("{} {} in {} ({})", left.kind, left.id, left.region, left.why);
    left.iter().map(line).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(id: &str) -> HostRow {
        HostRow {
            id: id.to_owned(),
            state: "running".to_owned(),
            address: Some("203.0.113.7".parse().unwrap()),
            private: vec!["10.0.0.1".parse().unwrap()],
            region: "us-east-1".to_owned(),
            zone: "us-east-1a".to_owned(),
            kind: "t2.micro".to_owned(),
            spot: false,
            age_s: 5400,
            left_s: Some(1800),
            hourly: Some(0.0116),
            elastic: 0,
            agent: Some(Ok("1 core".to_owned())),
        }
    }

    #[test]
    fn a_fleet_is_a_table_with_its_price() {
        let mut second = host("i-2");
        second.agent = Some(Err("connection refused".to_owned()));
        second.elastic = 2;
        let text = status("default", "arn@x", &[host("i-1"), second]);
        for part in [
            "fleet default: 2 hosts, owner arn@x",
            "203.0.113.7",
            "1h30m",
            "30m",
            "0.0249",
            "not reachable",
            "i-2: connection refused",
            // two instances, two addresses of their own, two Elastic IPs
            "0.0432 USD an hour, 0.0648 so far",
        ] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
        let text = ready("default", &[host("i-1")]);
        assert!(
            text.contains("fleet default: 1 host\n") && text.contains("0.0166 USD an hour"),
            "{text}"
        );
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let mut row = host("i-1");
        (row.hourly, row.left_s, row.agent) = (None, None, None);
        let text = status("f", "o", &[row]);
        assert!(
            text.contains("not known") && text.contains("not asked") && !text.contains("USD an hour"),
            "{text}"
        );
    }

    #[test]
    fn spans() {
        let spans = [-1, 0, 59, 60, 3599, 7260, 86_400 * 3].map(span);
        assert_eq!(spans, ["over", "over", "59s", "1m", "59m", "2h1m", "3d0h"]);
    }
}
