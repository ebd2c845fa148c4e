//! What a fleet costs an hour: list prices of EC2, kept in `prices.txt`. Pure; never here: I/O, EC2, sums over a fleet, spot
//! prices (those change by the hour and are asked of EC2), and a price for a pair of type and region that the table does not have.
//!
//! On demand, Linux, shared tenancy, USD, before tax. The figures are facts read in lists that others took from AWS's price list:
//!
//! - Apache Libcloud, `libcloud/data/pricing.json`, releases 3.9.1 (list of 2025-03-02), 3.8.0 (2023-08-06), 3.7.0 (2023-01-02)
//!   and 3.6.0 (2022-05-22). Its t3, c5, c6i and m5 mix in dedicated tenancy (6 to 10 % dearer) and zeros, so they need a check.
//! - `skypilot-org/skypilot-catalog`, `catalogs/v7/aws/vms.csv`, shared tenancy only; no date in it, of mid-2025 by the types it has.
//! - `aws/karpenter-provider-aws`, `pkg/providers/pricing/zz_generated.pricing_aws.go` (2026-01-19): us-east-1 only.
//!
//! Every us-east-1 price is Karpenter's. Of the t2, t3, t3a, t4g and c5.large prices 401 are the same figure in the first two lists
//! and 6 stand in the second alone. sa-east-1, and t4g nano and small: Libcloud's, where its releases agree; t3 and c5 of sa-east-1,
//! c6i and m5: only where Libcloud shows both tenancies for a size (this is the lower) and the other sizes fit it. c5.xlarge and up:
//! Libcloud's that fit c5.large. 60 of these last kinds stand only in its releases of 2022 and 2023. Regions newer than these lists,
//! GovCloud and China are not in the table.

/// Where the prices are from; printed beside a price with [`AS_OF`].
pub const SOURCE: &str = "AWS list prices, on demand, before tax";

/// When the prices were so.
pub const AS_OF: &str = "mid-2025";

/// USD an hour for a public IPv4 address, in use or not, Elastic IPs too; everywhere, since 2024-02-01 (AWS's announcement).
pub const PUBLIC_ADDRESS_HOURLY: f64 = 0.005;

/// Hours in a month, as AWS's own calculator counts them.
pub const HOURS_PER_MONTH: f64 = 730.0;

const TABLE: &str = include_str!("prices.txt");

/// USD an hour of one instance; `None` where the table has no such pair.
pub fn hourly(instance_type: &str, region: &str) -> Option<f64> {
    rows(TABLE)
        .find(|row| row.region == region && row.is(instance_type))
        .and_then(|row| row.price)
}

/// USD per GB and month of an EBS volume of a kind (`gp3`, `gp2`); `None` where no trustworthy list was found for the region.
///
/// us-east-1: read in several published guides to EBS prices; ap-southeast-1: in one list, whose t3 prices are those of the table.
pub fn disk_gb_month(kind: &str, region: &str) -> Option<f64> {
    match (kind, region) {
        ("gp3", "us-east-1") => Some(0.08),
        ("gp3", "ap-southeast-1") => Some(0.096),
        ("gp2", "us-east-1") => Some(0.10),
        _ => None,
    }
}

/// One cell of the table.
struct Row<'a> {
    family: &'a str,
    size: &'a str,
    region: &'a str,
    /// `None` for `-`.
    price: Option<f64>,
}

impl Row<'_> {
    fn is(&self, instance_type: &str) -> bool {
        instance_type.split_once('.') == Some((self.family, self.size))
    }
}

/// All cells. A block is a line of a family and its sizes, then a line for each region; regions have a `-`, families none.
fn rows(table: &str) -> impl Iterator<Item = Row<'_>> {
    let mut heading = ("", Vec::new());
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(move |line| {
            let mut words = line.split_whitespace();
            let Some(first) = words.next() else {
                return Vec::new();
            };
            if !first.contains('-') {
                heading = (first, words.collect());
                return Vec::new();
            }
            let (family, sizes) = &heading;
            sizes
                .iter()
                .zip(words)
                .map(|(size, price)| Row {
                    family,
                    size,
                    region: first,
                    price: price.parse().ok(),
                })
                .collect()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn prices_that_everybody_knows() {
        for (instance_type, region, price) in [
            ("t2.micro", "us-east-1", 0.0116),
            ("t2.micro", "eu-west-1", 0.0126),
            ("t2.micro", "eu-central-1", 0.0134),
            ("t2.micro", "ap-southeast-1", 0.0146),
            ("t3.micro", "us-east-1", 0.0104),
            ("t3.micro", "eu-west-1", 0.0114),
            ("t3.micro", "eu-central-1", 0.012),
            ("t3.micro", "ap-southeast-1", 0.0132),
            ("t3.micro", "eu-north-1", 0.0108),
            ("t3.large", "us-east-1", 0.0832),
            ("t4g.nano", "ap-south-1", 0.0028),
            ("c5.large", "us-east-1", 0.085),
            ("c7i.2xlarge", "us-east-1", 0.357),
            ("m5.large", "us-west-2", 0.096),
        ] {
            assert_eq!(hourly(instance_type, region), Some(price), "{instance_type} {region}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for (instance_type, region) in [
            ("t2.micro", "eu-north-1"),
            ("t2.micro", "mars-north-1"),
            ("t2.mega", "us-east-1"),
            ("x1e.32xlarge", "us-east-1"),
            ("c7i.large", "eu-west-1"),
            ("c6i.large", "eu-central-1"),
            ("t2", "us-east-1"),
            ("", ""),
            ("t2.micro", ""),
            ("T2.micro", "us-east-1"),
            ("t2.micro.", "us-east-1"),
        ] {
            assert_eq!(hourly(instance_type, region), None, "{instance_type} {region}");
        }
        assert_eq!(disk_gb_month("gp3", "eu-west-1"), None);
        assert_eq!(disk_gb_month("gp3", "us-east-1"), Some(0.08));
    }

    #[test]
    fn every_region_has_t3_micro_and_is_named_as_aws_names_them() {
        let regions: BTreeSet<&str> = rows(TABLE).map(|row| row.region).collect();
        assert_eq!(regions.len(), 23);
        for region in regions {
            assert!(hourly("t3.micro", region).is_some(), "{region}");
            let number = region.rsplit('-').next().unwrap();
            assert!(
                region.split('-').count() == 3 && number.parse::<u8>().is_ok(),
                "{region}"
            );
        }
    }

    #[test]
    fn a_larger_size_costs_more_and_about_in_step() {
        const UNITS: [(&str, f64); 7] = [
            ("nano", 0.5),
            ("micro", 1.0),
            ("small", 2.0),
            ("medium", 4.0),
            ("large", 8.0),
            ("xlarge", 16.0),
            ("2xlarge", 32.0),
        ];
        let mut of_family: BTreeMap<(&str, &str), Vec<(f64, f64)>> = BTreeMap::new();
        for row in rows(TABLE) {
            let unit = UNITS.iter().find(|(size, _)| *size == row.size).unwrap().1;
            if let Some(price) = row.price {
                of_family
                    .entry((row.family, row.region))
                    .or_default()
                    .push((unit, price));
            }
        }
        for (key, sizes) in of_family {
            for pair in sizes.windows(2) {
                let ((unit, price), (next_unit, next_price)) = (pair[0], pair[1]);
                assert!(unit < next_unit && price < next_price, "{key:?}");
                // A figure of dedicated tenancy, or a slip of a digit, would stand out; AWS rounds nano to 0.0001.
                let off = (next_price / price) / (next_unit / unit);
                assert!((0.975..1.025).contains(&off), "{key:?} {price} {next_price}");
            }
        }
    }

    #[test]
    fn each_pair_stands_once_and_each_line_is_whole() {
        let mut seen = BTreeSet::new();
        for row in rows(TABLE) {
            assert!(
                seen.insert((row.family, row.size, row.region)),
                "{}.{} {}",
                row.family,
                row.size,
                row.region
            );
            assert!(row.price.is_none_or(|price| price > 0.0 && price < 1.0));
        }
        let mut columns = 0;
        for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words[0].contains('-') {
                assert_eq!(words.len(), columns, "{line}");
                assert!(
                    words[1..]
                        .iter()
                        .all(|word| *word == "-" || word.parse::<f64>().is_ok()),
                    "{line}"
                );
            } else {
                columns = words.len();
            }
        }
        assert_eq!(rows(TABLE).filter(|row| row.price.is_some()).count(), 619);
    }
}
