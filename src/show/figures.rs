//! Numbers as a reader wants them. Pure.

/// A count with its thousands set apart: `12,345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Microseconds in milliseconds, three digits: `0.123`, `1.23`, `12.3`, `1,234`.
pub fn ms(us: f64) -> String {
    let ms = us / 1000.0;
    match ms {
        ms if ms < 1.0 => format!("{ms:.3}"),
        ms if ms < 10.0 => format!("{ms:.2}"),
        ms if ms < 100.0 => format!("{ms:.1}"),
        ms => count(ms.round() as u64),
    }
}

/// A rate: `0.25`, `12.3`, `1,234`.
pub fn rate(per_second: f64) -> String {
    match per_second {
        r if r < 1.0 => format!("{r:.2}"),
        r if r < 100.0 => format!("{r:.1}"),
        r => count(r.round() as u64),
    }
}

/// A share of one in percent.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Seconds: `4.2 s`, `2m05s`.
pub fn span(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole / 3600 {
        0 => format!("{}m{:02}s", whole / 60, whole % 60),
        hours => format!("{hours}h{:02}m{:02}s", whole % 3600 / 60, whole % 60),
    }
}

/// Bytes in the unit that fits.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{n} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        let shown = [
            count(0),
            count(999),
            count(1_234_567),
            ms(12.0),
            ms(1234.0),
            ms(12_345.0),
            ms(1_234_567.0),
            rate(0.5),
            rate(16.0),
            rate(12_345.6),
            span(4.25),
            span(125.0),
            span(3661.0),
            bytes(1023),
            bytes(1536),
        ];
        let expected = [
            "0",
            "999",
            "1,234,567",
            "0.012",
            "1.23",
            "12.3",
            "1,235",
            "0.50",
            "16.0",
            "12,346",
            "4.2 s",
            "2m05s",
            "1h01m01s",
            "1023 B",
            "1.5 KiB",
        ];
        assert_eq!(shown, expected);
    }
}
