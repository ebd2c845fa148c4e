//! Units of the command line: durations, rates, counts and shares, read and written. Pure.
//!
//! Durations are whole nanoseconds, rates whole microhertz (1/s = 1,000,000), as on the wire. Errors are lower-case
//! fragments without the flag's name, which the caller puts before them.

use swarm_agent::wire::share::PER_SECOND;

/// One second in the wire's unit of time.
pub const SECOND: u64 = 1_000_000_000;
/// The longest time that is taken: 365 days.
pub const LONGEST: u64 = 365 * 86_400 * SECOND;
/// The largest count and rate that are taken.
const MOST: f64 = 1e9;

/// Reads `500ms`, `30s`, `1.5m`, `1h30m`. A bare number is refused with the question what it means.
pub fn duration(text: &str) -> Result<u64, String> {
    let typed = text.trim();
    if typed.is_empty() {
        return Err("empty: a time is written 500ms, 30s, 2m or 1h".into());
    }
    if decimal(typed).is_some() {
        return Err(format!("{typed}s? a time needs its unit: 500ms, 30s, 2m, 1h"));
    }
    let wrong = || format!("`{typed}` is no time: 500ms, 30s, 2m, 1h");
    let mut rest = typed;
    let mut total = 0.0;
    while !rest.is_empty() {
        let split = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number = decimal(&rest[..split]).ok_or_else(wrong)?;
        let end = rest[split..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |n| split + n);
        let unit = match &rest[split..end] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" | "min" => 60e9,
            "h" => 3600e9,
            "d" => 86_400e9,
            _ => return Err(wrong()),
        };
        total += number * unit;
        rest = &rest[end..];
    }
    if total > LONGEST as f64 {
        return Err(format!("`{typed}` is longer than 365 days"));
    }
    Ok(total.round() as u64)
}

/// Reads a time that must not be zero.
pub fn duration_above_zero(text: &str) -> Result<u64, String> {
    match duration(text)? {
        0 => Err("must be longer than zero".into()),
        time => Ok(time),
    }
}

/// Reads `500`, `500/s`, `6000/m`, `10k`, in uHz, above zero.
pub fn rate(text: &str) -> Result<u64, String> {
    let typed = text.trim();
    let (number, seconds) = match typed.split_once('/') {
        None => (typed, 1.0),
        Some((number, "s")) => (number, 1.0),
        Some((number, "m" | "min")) => (number, 60.0),
        Some((number, "h")) => (number, 3600.0),
        Some(_) => return Err(format!("`{typed}` is no rate: 500, 500/s, 6000/m, 10k")),
    };
    let number = scaled(number).ok_or_else(|| format!("`{typed}` is no rate: 500, 500/s, 6000/m, 10k"))?;
    if number / seconds > MOST {
        return Err(format!("`{typed}` is more than {}/s", comma(MOST as u64)));
    }
    match (number * PER_SECOND as f64 / seconds).round() as u64 {
        0 => Err("must be above zero".into()),
        rate => Ok(rate),
    }
}

/// Reads a rate that may be zero (the ends of a ramp), in uHz.
pub fn rate_or_zero(text: &str) -> Result<u64, String> {
    match scaled(text.trim()) {
        Some(0.0) => Ok(0),
        _ => rate(text),
    }
}

/// Reads `500`, `10k`, `1.5M`: a whole number, zero allowed.
pub fn count_or_zero(text: &str) -> Result<u64, String> {
    let typed = text.trim();
    let number = scaled(typed).ok_or_else(|| format!("`{typed}` is no count: 500, 10k, 1M"))?;
    if number.fract() != 0.0 {
        return Err(format!("`{typed}` is no whole number"));
    }
    if number > MOST {
        return Err(format!("`{typed}` is more than {}", comma(MOST as u64)));
    }
    Ok(number as u64)
}

/// Reads a count of at least one.
pub fn count(text: &str) -> Result<u64, String> {
    match count_or_zero(text)? {
        0 => Err("must be at least 1".into()),
        n => Ok(n),
    }
}

/// Reads `95%` as 95.0; `None` when it isn't a percentage.
pub fn percent(text: &str) -> Option<f64> {
    decimal(text.trim().strip_suffix('%')?.trim_end())
}

/// A plain decimal number: digits and at most one point. No sign, exponent, `inf` or `nan`.
pub fn decimal(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if plain { text.parse().ok() } else { None }
}

/// A decimal number with `k` or `M`.
fn scaled(text: &str) -> Option<f64> {
    // multiplied as a decimal would leave 1.1k at 1100.0000000000002
    let exact = |digits: &str, factor: f64| decimal(digits).map(|n| (n * factor * 1e6).round() / 1e6);
    match text.strip_suffix(['k', 'K']) {
        Some(digits) => exact(digits, 1e3),
        None => match text.strip_suffix('M') {
            Some(digits) => exact(digits, 1e6),
            None => decimal(text),
        },
    }
}

/// Writes a time (ns): `5m20s`, `1.5s`, `250ms`, `0s`.
pub fn show_duration(ns: u64) -> String {
    if ns == 0 {
        return "0s".into();
    }
    if ns < 1_000_000 {
        return format!("{}us", trimmed(ns as f64 / 1e3));
    }
    if ns < SECOND {
        return format!("{}ms", trimmed(ns as f64 / 1e6));
    }
    // whole milliseconds are enough from here on, and rounding first keeps 59.9996s from being written 60s
    let ms = (ns + 500_000) / 1_000_000;
    let (hours, minutes, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    let mut out = String::new();
    if hours > 0 {
        out.push_str(&format!("{hours}h"));
    }
    if minutes > 0 {
        out.push_str(&format!("{minutes}m"));
    }
    if rest > 0 {
        out.push_str(&format!("{}s", trimmed(rest as f64 / 1e3)));
    }
    out
}

/// Writes a rate (uHz): `500/s`, `62.5/s`, `1,000/s`.
pub fn show_rate(rate: u64) -> String {
    format!("{}/s", show_number(rate as f64 / PER_SECOND as f64))
}

/// Writes a number with at most three decimals and thousands apart.
pub fn show_number(number: f64) -> String {
    let text = trimmed(number);
    match text.split_once('.') {
        Some((whole, part)) => format!("{}.{part}", comma(whole.parse().unwrap_or_default())),
        None => comma(text.parse().unwrap_or_default()),
    }
}

/// Writes a count with thousands apart: `10,000`.
pub fn comma(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn trimmed(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, ns) in [
            ("30s", 30 * SECOND),
            ("2m", 120 * SECOND),
            ("1h", 3600 * SECOND),
            ("1h30m", 5400 * SECOND),
            ("1.5s", SECOND * 3 / 2),
            ("250ms", SECOND / 4),
            ("10us", 10_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(ns), "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_asked_back() {
        assert!(duration("30").unwrap_err().starts_with("30s? "));
        assert!(duration("0.5").unwrap_err().starts_with("0.5s? "));
        for text in ["", "s", "-5s", "5x", "5s3", "1e3s", "1..5s", "inf", "400d"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration_above_zero("0s").is_err());
    }

    #[test]
    fn rates_are_read() {
        for (text, uhz) in [
            ("500", 500_000_000),
            ("500/s", 500_000_000),
            ("6000/m", 100_000_000),
            ("10k", 10_000_000_000),
            ("0.5", 500_000),
            ("3600/h", 1_000_000),
        ] {
            assert_eq!(rate(text), Ok(uhz), "{text}");
        }
        for text in ["0", "-1", "5/x", "", "k", "1e9", "nan", "2000M", "1/s/s"] {
            assert!(rate(text).is_err(), "{text}");
        }
        assert_eq!(rate_or_zero("0"), Ok(0));
    }

    #[test]
    fn counts_are_read() {
        for (text, n) in [("500", 500), ("10k", 10_000), ("1M", 1_000_000), ("1.1k", 1100)] {
            assert_eq!(count(text), Ok(n), "{text}");
        }
        for text in ["0", "1.5", "-3", "ten", "1G", "5000M", ""] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_are_written() {
        assert_eq!(show_duration(320 * SECOND), "5m20s");
        assert_eq!(show_duration(9660 * SECOND), "2h41m");
        assert_eq!(show_duration(1_500_000_000), "1.5s");
        assert_eq!(show_duration(59_999_600_000), "1m");
        assert_eq!(show_duration(250_000_000), "250ms");
        assert_eq!(show_duration(0), "0s");
        assert_eq!(show_rate(62_500_000), "62.5/s");
        assert_eq!(show_rate(1_000_000_000), "1,000/s");
        assert_eq!(comma(1_234_567), "1,234,567");
        assert_eq!(comma(12), "12");
    }
}
