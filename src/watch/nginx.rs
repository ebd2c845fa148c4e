//! nginx's `stub_status`: the whole of one nginx in six figures. Pure; the text is a stranger's.

use super::row::{Figures, Kind, Row};

/// Whether a text is such a page.
pub fn is_page(text: &str) -> bool {
    text.trim_start().starts_with("Active connections:")
}

/// Reads the page: one row. `accepts` and `requests` count since nginx was started; so does `handled`, which is not kept, as
/// it differs only where a limit of nginx's was reached.
pub fn row(text: &str) -> Result<Row, String> {
    let wrong = || "it is no page of nginx's stub_status".to_owned();
    let mut lines = text.trim().lines();
    let number = |text: &str| text.trim().parse::<u64>().ok().filter(|n| *n < 1 << 60);
    let active = lines
        .next()
        .and_then(|line| line.strip_prefix("Active connections:"))
        .and_then(number)
        .ok_or_else(wrong)?;
    let heads = lines.next().filter(|line| line.contains("requests"));
    heads.ok_or_else(wrong)?;
    let counts: Vec<u64> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(number)
        .collect();
    let (accepts, requests) = match counts[..] {
        [accepts, _, requests] => (accepts, requests),
        _ => return Err(wrong()),
    };
    let words: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1).and_then(|text| number(text))
    };
    let mut gauges = Figures::default();
    gauges.set("active", active);
    for (name, word) in [
        ("reading", "Reading:"),
        ("writing", "Writing:"),
        ("waiting", "Waiting:"),
    ] {
        gauges.set(name, after(word).ok_or_else(wrong)?);
    }
    let mut counters = Figures::default();
    counters.set("accepts", accepts);
    counters.set("requests", requests);
    Ok(Row {
        proxy: String::new(),
        name: "nginx".to_owned(),
        kind: Kind::Whole,
        mode: "http".to_owned(),
        status: String::new(),
        check_status: String::new(),
        counters,
        gauges,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const PAGE: &str = "Active connections: 291 \nserver accepts handled requests\n 16630948 16630948 31070465 \n\
        Reading: 6 Writing: 179 Waiting: 106 \n";

    #[test]
    fn the_page_is_read() {
        let row = row(PAGE).unwrap();
        assert_eq!(row.counters.get("requests"), Some(31_070_465));
        let gauges: Vec<u64> = row.gauges.iter().map(|(_, n)| n).collect();
        assert_eq!(gauges, [291, 6, 179, 106]);
        // some builds have a fourth column of times
        assert!(super::row(&PAGE.replace("31070465", "31070465 12")).is_err());
    }

    #[test]
    fn anything_else_is_told() {
        for text in [
            "",
            "Active connections: x",
            "Active connections: 1\n\n1 1 1\nReading: 1",
            "<html>",
        ] {
            assert!(row(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn hostile_text_is_read_or_refused(text in "(Active connections: [0-9]{1,25}\nserver accepts handled requests\n)?[ -~\n]{0,80}") {
            let _ = row(&text);
        }
    }
}
