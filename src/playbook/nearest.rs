//! The nearest right name to a wrong one. Pure.

/// The name with the fewest edits to `wrong`, when they are few enough to be a slip.
pub fn nearest<'a>(wrong: &str, right: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = 1 + wrong.chars().count() / 3;
    right
        .into_iter()
        .map(|name| (edits(wrong, name), name))
        .filter(|(edits, _)| *edits <= most)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// Letters to put in, take out, change or swap with their neighbour (the distance of Damerau and Levenshtein between
/// strings, each place edited once), case and `_` for `-` counting nothing.
pub fn edits(a: &str, b: &str) -> usize {
    let plain = |text: &str| -> Vec<char> {
        let one = |c: char| if c == '_' { '-' } else { c.to_ascii_lowercase() };
        text.chars().map(one).collect()
    };
    let (a, b) = (plain(a), plain(b));
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let mut least = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        least = least.min(rows[i - 2][j - 2] + 1);
                    }
                    least
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_found() {
        let right = ["connections", "connect-rate", "hold", "every"];
        for (wrong, near) in [
            ("conections", Some("connections")),
            ("connect_rate", Some("connect-rate")),
            ("evrey", Some("every")),
            ("Hold", Some("hold")),
            ("spawn", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, right), near, "{wrong}");
        }
        assert_eq!((edits("ab", "ba"), edits("abc", ""), edits("a_b", "a-b")), (1, 3, 0));
    }
}
