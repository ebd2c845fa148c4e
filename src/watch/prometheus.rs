//! Prometheus text (exposition format 0.0.4) and the names that are wanted of it. Pure; the text is a stranger's.

use std::fmt;

/// Series kept of one wanted name.
pub const MOST_SERIES: usize = 64;
/// The most characters of a label's value.
const LONGEST: usize = 200;

/// A name, and labels that a series must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The metric's name.
    pub name: String,
    /// Names and values.
    pub labels: Vec<(String, String)>,
}

/// One line of the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Labels, as the text has them.
    pub labels: Vec<(String, String)>,
    /// Value; finite.
    pub value: f64,
}

/// What a page has of what is wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Samples, in the page's order, at most [`MOST_SERIES`] of each wanted name.
    pub samples: Vec<Sample>,
    /// Wanted names that the page does not know, as places in the list.
    pub missing: Vec<usize>,
    /// Samples beyond the most.
    pub beyond: usize,
    /// Names that the page has, the first few.
    pub there: Vec<String>,
}

impl Wanted {
    fn takes(&self, sample: &Sample) -> bool {
        self.name == sample.name && self.labels.iter().all(|label| sample.labels.contains(label))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.labels.is_empty() {
            return Ok(());
        }
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        write!(f, "{{{}}}", labels.join(","))
    }
}

/// Reads `name,name{label="value"}`.
pub fn wanted(text: &str) -> Result<Vec<Wanted>, String> {
    let mut all = Vec::new();
    let mut rest = text.trim();
    loop {
        let (name, after) = name(rest).ok_or_else(|| "names of metrics, parted by commas".to_owned())?;
        let (labels, after) = match after.strip_prefix('{') {
            Some(inside) => labels(inside).ok_or_else(|| format!("{name}{{LABEL=\"VALUE\",...}}"))?,
            None => (Vec::new(), after),
        };
        all.push(Wanted {
            name: name.to_owned(),
            labels,
        });
        rest = match after.trim_start().strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.trim().is_empty() => return Ok(all),
            None => return Err("names of metrics, parted by commas".to_owned()),
        };
    }
}

/// What a page has of it. A text without a single line that could be a sample is refused.
pub fn find(text: &str, wanted: &[Wanted]) -> Result<Found, String> {
    let mut found = Found::default();
    let mut counts = vec![0usize; wanted.len()];
    let mut declared = vec![false; wanted.len()];
    let (mut good, mut bad) = (0usize, 0usize);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.split_whitespace();
            if matches!(words.next(), Some("TYPE" | "HELP"))
                && let Some(name) = words.next()
            {
                for (place, one) in wanted.iter().enumerate() {
                    declared[place] |= one.name == name;
                }
            }
            continue;
        }
        let Some(sample) = sample(line) else {
            bad += 1;
            continue;
        };
        good += 1;
        if found.there.len() < 200 && found.there.last() != Some(&sample.name) {
            found.there.push(sample.name.clone());
        }
        let takers: Vec<usize> = (0..wanted.len())
            .filter(|place| wanted[*place].takes(&sample))
            .collect();
        takers.iter().for_each(|place| counts[*place] += 1);
        if takers.is_empty() || !sample.value.is_finite() {
            continue;
        }
        match takers.iter().any(|place| counts[*place] <= MOST_SERIES) {
            true => found.samples.push(sample),
            false => found.beyond += 1,
        }
    }
    if good == 0 || bad > good {
        return Err("it is no Prometheus text".to_owned());
    }
    found.missing = (0..wanted.len())
        .filter(|place| counts[*place] == 0 && !(declared[*place] && wanted[*place].labels.is_empty()))
        .collect();
    Ok(found)
}

fn sample(line: &str) -> Option<Sample> {
    let (name, after) = name(line)?;
    let (labels, after) = match after.trim_start().strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), after),
    };
    // a time stamp may follow
    let mut words = after.split_whitespace();
    let value = match words.next()? {
        "NaN" => f64::NAN,
        "+Inf" | "Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().ok()?,
    };
    Some(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

fn name(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let sound = !name.is_empty() && name.len() <= LONGEST && !name.starts_with(|c: char| c.is_ascii_digit());
    sound.then_some((name, rest))
}

/// Names with values.
type Labels = Vec<(String, String)>;

/// What stands between the braces, and what follows them.
fn labels(text: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        if labels.len() >= 64 {
            return None;
        }
        let (label, after) = name(rest)?;
        let after = after.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
        let (value, after) = quoted(after)?;
        labels.push((label.to_owned(), value));
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None => after,
        };
        if !rest.starts_with('}') && rest.len() == after.len() {
            return None;
        }
    }
}

/// A quoted text after its first quote, and what follows the last.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value.chars().take(LONGEST).collect(), &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const PAGE: &str = "# HELP process_cpu_seconds_total Total CPU.\n# TYPE process_cpu_seconds_total counter\n\
        process_cpu_seconds_total 1.5 1395066363000\n\n# TYPE nodejs_eventloop_lag_seconds gauge\n\
        nodejs_eventloop_lag_seconds NaN\n# TYPE later_total counter\n\
        http_requests_total{method=\"post\",code=\"200\",} 1027\nhttp_requests_total{method=\"post\", code=\"400\"} 3\n\
        odd{path=\"C:\\\\DIR\\n\\\"x\\\"\"} 1e3\nup +Inf\n";

    fn found(names: &str) -> Found {
        find(PAGE, &wanted(names).unwrap()).unwrap()
    }

    #[test]
    fn samples_are_found_by_name_and_label() {
        let values = |names: &str| found(names).samples.iter().map(|s| s.value).collect::<Vec<f64>>();
        assert_eq!(values("process_cpu_seconds_total"), [1.5]);
        assert_eq!(values("http_requests_total"), [1027.0, 3.0]);
        assert_eq!(values("http_requests_total{code=\"400\"}"), [3.0]);
        assert_eq!(
            values("odd{path=\"C:\\\\DIR\\n\\\"x\\\"\"},process_cpu_seconds_total"),
            [1.5, 1000.0]
        );
        // no point of a chart
        assert_eq!(values("nodejs_eventloop_lag_seconds,up"), [0.0; 0]);
    }

    #[test]
    fn missing_names_are_told_from_those_that_come_later() {
        assert_eq!(found("later_total,up").missing, [0usize; 0]);
        assert_eq!(found("up,nonsense,later_total{a=\"b\"}").missing, [1, 2]);
        assert!(found("up").there.contains(&"http_requests_total".to_owned()));
    }

    #[test]
    fn series_are_bounded() {
        let page: String = (0..MOST_SERIES + 9).map(|n| format!("x{{n=\"{n}\"}} {n}\n")).collect();
        let found = find(&page, &wanted("x").unwrap()).unwrap();
        assert_eq!((found.samples.len(), found.beyond), (MOST_SERIES, 9));
    }

    #[test]
    fn names_are_read_and_shown() {
        let read = wanted("a:b, c{x=\"1,2\",y=\"\\\"\"} ,d{}").unwrap();
        let shown: Vec<String> = read.iter().map(Wanted::to_string).collect();
        assert_eq!(shown, ["a:b", "c{x=\"1,2\",y=\"\\\"\"}", "d"]);
        for wrong in ["", "1a", "a b", "a{x=1}", "a,", "a{x=\"1\"", "a{x=\"1\" y=\"2\"}"] {
            assert!(wanted(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_such_text_is_told() {
        for text in ["", "<html>\n<body>", "# pxname,svname", "a b c\nd e f\nx 1"] {
            assert!(find(text, &wanted("a").unwrap()).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn hostile_text_is_read_or_refused(text in "(x 1\n)?[ -~\n\\\\\"{}=,\u{e9}]{0,200}") {
            if let Ok(found) = find(&text, &wanted("x,a{b=\"c\"}").unwrap()) {
                prop_assert!(found.samples.len() <= 2 * MOST_SERIES);
                prop_assert!(found.samples.iter().all(|sample| sample.value.is_finite()));
            }
        }

        #[test]
        fn labels_come_back(value in "[ -~\u{e9}\n]{0,30}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let found = find(&format!("x{{l=\"{escaped}\"}} 2"), &wanted("x").unwrap()).unwrap();
            prop_assert_eq!(&found.samples[0].labels[0].1, &value);
        }
    }
}
