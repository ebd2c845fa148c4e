//! The shape of a fleet: how many hosts in which region, what its objects are called, which tags they carry. Pure.

use super::owner::Owner;
use std::collections::BTreeMap;

/// Tags that a user may add, beside ours.
const MOST_TAGS: usize = 40;

/// How many hosts each region gets. `total` is `-s`; a region may bring its own number; the others share what is left,
/// the first ones take the remainder.
pub fn spread(total: Option<u32>, regions: &[(String, Option<u32>)]) -> Result<BTreeMap<String, u32>, String> {
    let mut shares = BTreeMap::new();
    for (name, own) in regions {
        if shares.insert(name.clone(), own.unwrap_or(0)).is_some() {
            return Err(format!("--region {name} is given twice"));
        }
    }
    let fixed: u32 = regions.iter().filter_map(|(_, own)| *own).sum();
    let open: Vec<&String> = regions
        .iter()
        .filter(|(_, own)| own.is_none())
        .map(|(name, _)| name)
        .collect();
    let Some(total) = total else {
        return match open.first() {
            None => Ok(shares),
            Some(name) => Err(format!(
                "say how many hosts: -s N, or a number for each region (--region {name}=N)"
            )),
        };
    };
    if open.is_empty() {
        return match fixed == total {
            true => Ok(shares),
            false => Err(format!("-s {total}, but the regions' own numbers add up to {fixed}")),
        };
    }
    let left = total
        .checked_sub(fixed)
        .filter(|left| *left as usize >= open.len())
        .ok_or_else(|| format!("-s {total} leaves no host for some --region: ask for more hosts, or fewer regions"))?;
    for (place, name) in open.iter().enumerate() {
        let extra = u32::from((place as u32) < left % open.len() as u32);
        shares.insert((*name).clone(), left / open.len() as u32 + extra);
    }
    Ok(shares)
}

/// The security group of a fleet.
pub fn group_name(fleet: &str, installation: &str) -> String {
    format!("swarm-{fleet}-{installation}")
}

/// The tags of everything that one command makes.
pub fn tags(fleet: &str, run: &str, owner: &Owner, more: &[(String, String)]) -> Vec<(String, String)> {
    let own = [
        ("Name", format!("swarm-{fleet}")),
        ("swarm:fleet", fleet.to_owned()),
        ("swarm:run", run.to_owned()),
        ("swarm:owner", owner.to_string()),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), value));
    own.into_iter()
        .filter(|(key, _)| !more.iter().any(|(other, _)| other == key))
        .chain(more.iter().cloned())
        .collect()
}

/// Reads `--tag K=V`.
pub fn user_tags(typed: &[String]) -> Result<Vec<(String, String)>, String> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for text in typed {
        let (key, value) = text.split_once('=').ok_or_else(|| format!("--tag {text}: write K=V"))?;
        let reserved = ["aws:", "swarm:"]
            .iter()
            .find(|start| key.to_ascii_lowercase().starts_with(**start));
        if let Some(start) = reserved {
            return Err(format!(
                "--tag {text}: tags that begin with {start} are not yours to set"
            ));
        }
        if key.is_empty() || key.chars().count() > 127 || value.chars().count() > 256 {
            return Err(format!(
                "--tag {text}: a key has 1 to 127 characters, a value at most 256"
            ));
        }
        if tags.iter().any(|(known, _)| known == key) {
            return Err(format!("--tag {text}: {key} is given twice"));
        }
        tags.push((key.to_owned(), value.to_owned()));
    }
    if tags.len() > MOST_TAGS {
        return Err(format!("--tag: at most {MOST_TAGS}"));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread_of(total: Option<u32>, regions: &[(&str, Option<u32>)]) -> Result<Vec<(String, u32)>, String> {
        let regions: Vec<_> = regions.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        spread(total, &regions).map(|shares| shares.into_iter().collect())
    }

    #[test]
    fn hosts_are_spread_over_regions() {
        let of = |pairs: &[(&str, u32)]| Ok(pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect());
        assert_eq!(spread_of(Some(8), &[("b", None)]), of(&[("b", 8)]));
        assert_eq!(
            spread_of(Some(8), &[("b", None), ("a", None), ("c", None)]),
            of(&[("a", 3), ("b", 3), ("c", 2)])
        );
        assert_eq!(
            spread_of(None, &[("a", Some(6)), ("b", Some(3))]),
            of(&[("a", 6), ("b", 3)])
        );
        assert_eq!(
            spread_of(Some(9), &[("a", Some(6)), ("b", None)]),
            of(&[("a", 6), ("b", 3)])
        );
        for (total, regions, says) in [
            (None, &[("a", None)][..], "-s N"),
            (Some(8), &[("a", Some(6)), ("b", Some(3))], "add up to 9"),
            (Some(6), &[("a", Some(6)), ("b", None)], "leaves no host"),
            (Some(6), &[("a", None), ("a", None)], "twice"),
        ] {
            let error = spread_of(total, regions).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn tags_are_ours_first_and_then_the_users() {
        let owner = Owner::new("arn", "i");
        let user = user_tags(&["team=edge".into(), "Name=mine".into()]).unwrap();
        let tags = tags("f", "r", &owner, &user);
        let names: Vec<&str> = tags.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(names, ["swarm:fleet", "swarm:run", "swarm:owner", "team", "Name"]);
        for wrong in ["x", "=v", "swarm:fleet=x", "AWS:x=y"] {
            assert!(user_tags(&[wrong.into()]).is_err(), "{wrong}");
        }
        assert!(user_tags(&["a=1".into(), "a=2".into()]).is_err());
    }
}
