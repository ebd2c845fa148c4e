//! Tests of the requirements' grammar and of their judgement.

use super::*;

/// Figures of a made-up run.
struct Made;

fn figure(row: Option<&str>, number: f64, of: Option<f64>) -> Figure {
    Figure {
        row: row.map(String::from),
        number,
        of,
    }
}

impl Figures for Made {
    fn latency(&self, name: Latency, stat: Stat, by: Option<By>) -> Result<Vec<Figure>, String> {
        match (name, stat, by) {
            (Latency::Request, Stat::Permille(990), None) => Ok(vec![figure(None, 240_000.0, None)]),
            (Latency::Request, Stat::Permille(990), Some(By::Host)) => Ok(vec![
                figure(Some("a"), 200_000.0, None),
                figure(Some("b"), 300_000.0, None),
            ]),
            (Latency::Request, _, Some(By::Group)) => Ok(vec![]),
            (Latency::Ack, ..) => Err("no --ack was asked for".into()),
            (Latency::Tls, ..) => Ok(vec![figure(None, f64::NAN, None)]),
            _ => Ok(vec![figure(None, 1000.0, None)]),
        }
    }

    fn word(&self, word: Word, _: Option<By>) -> Result<Vec<Figure>, String> {
        match word {
            Word::Errors => Ok(vec![figure(None, 5.0, Some(1000.0))]),
            Word::Dropped => Ok(vec![figure(None, 0.0, Some(0.0))]),
            Word::Rps => Ok(vec![figure(None, 987.5, None)]),
            Word::Backends => Ok(vec![figure(None, 3.0, None)]),
            Word::Skew => Ok(vec![figure(None, 1200.0, None)]),
            Word::GeneratorBound => Ok(vec![figure(None, 0.0, Some(4.0))]),
            _ => Ok(vec![figure(None, 10.0, Some(10.0))]),
        }
    }
}

fn parse(text: &str) -> Result<Requirement, String> {
    Requirement::parse(text, Latency::Request)
}

#[test]
fn requirements_are_read() {
    for (text, subject, op, bound) in [
        ("p99<250ms", "request.p99", Op::Less, Bound::Time(250_000.0)),
        (
            " service.p99.9 <= 1.5s ",
            "service.p99.9",
            Op::AtMost,
            Bound::Time(1_500_000.0),
        ),
        ("p99.9<1s", "request.p99.9", Op::Less, Bound::Time(1_000_000.0)),
        ("max by host > 1us", "request.max by host", Op::More, Bound::Time(1.0)),
        ("errors<1%", "errors", Op::Less, Bound::Percent(1.0)),
        ("errors<1", "errors", Op::Less, Bound::Count(1.0)),
        (
            "errors.session_id_unknown=0",
            "errors.session_id_unknown",
            Op::Equal,
            Bound::Count(0.0),
        ),
        ("rps>=1k", "rps", Op::AtLeast, Bound::Rate(1000.0)),
        ("rps >= 6000/m", "rps", Op::AtLeast, Bound::Rate(100.0)),
        ("hosts==4", "hosts", Op::Equal, Bound::Count(4.0)),
        (
            "connected by backend>=99.5%",
            "connected by backend",
            Op::AtLeast,
            Bound::Percent(99.5),
        ),
        ("skew<5ms", "skew", Op::Less, Bound::Time(5000.0)),
        ("generator_bound=no", "generator_bound", Op::Equal, Bound::Count(0.0)),
        ("not_started!=0", "not_started", Op::Unequal, Bound::Count(0.0)),
    ] {
        let read = parse(text).unwrap();
        assert_eq!(
            (read.subject().as_str(), read.op, read.bound),
            (subject, op, bound),
            "{text}"
        );
    }
    assert_eq!(Requirement::parse("p99<1s", Latency::Ack).unwrap().subject(), "ack.p99");
}

#[test]
fn wrong_ones_are_refused_with_the_right_line() {
    for (text, says) in [
        ("p99", "quote it: --require 'p99<250ms'"),
        ("errors", "quote it: --require 'errors<1%'"),
        ("hosts", "quote it: --require 'hosts>=3'"),
        ("p99<250", "p99<250ms? a latency needs its unit"),
        ("skew<5", "a latency needs its unit"),
        ("p98<1s", "`p98` can't be required"),
        ("request<1s", "which statistic of `request`? request.p99"),
        ("reply.p99<1s", "no latency is called `reply`"),
        ("request.p97<1s", "no statistic is called `p97`"),
        ("errors.oops<1", "no kind of error is called `oops`"),
        ("p99 by rack<1s", "`by rack`: by host, backend, source, group or target"),
        ("skew by host<5ms", "leave out `by host`"),
        ("errors<101%", "no share between 0% and 100%"),
        ("errors<x", "errors<x: "),
        ("p99<", "has no value: --require 'p99<250ms'"),
        ("<5ms", "nothing before the comparison"),
        ("p99!5ms", "no comparison but"),
        ("backends<50%", "is no count"),
        ("", "empty"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn verdicts() {
    for (text, value, passed, shown) in [
        ("p99<250ms", 240_000.0, true, "240ms"),
        ("p99<240ms", 240_000.0, false, "240ms"),
        ("p99<=240ms", 240_000.0, true, "240ms"),
        ("p99 by host<250ms", 300_000.0, false, "300ms (b)"),
        ("p99 by host>250ms", 200_000.0, false, "200ms (a)"),
        ("errors<1%", 0.5, true, "0.5%"),
        ("errors<1", 5.0, false, "5"),
        ("rps>=987.5", 987.5, true, "987.5/s"),
        ("backends>=3", 3.0, true, "3"),
        ("skew<1ms", 1200.0, false, "1.2ms"),
        ("generator_bound=no", 0.0, true, "0"),
        ("hosts=100%", 100.0, true, "100%"),
    ] {
        let verdict = parse(text).unwrap().evaluate(&Made);
        assert_eq!(
            (verdict.value, verdict.passed, verdict.shown.as_str()),
            (Some(value), passed, shown),
            "{text}"
        );
        assert_eq!(verdict.reason.is_none(), passed, "{text}");
    }
    let reason = parse("p99 by host<250ms").unwrap().evaluate(&Made).reason.unwrap();
    assert_eq!(reason, "1 of 2 rows fail, the worst is 300ms (b)");
}

#[test]
fn not_measured_fails_with_the_reason() {
    for (text, says) in [
        ("ack.p99<1s", "ack.p99 was not measured: no --ack was asked for"),
        ("p99 by group<1s", "there are no rows"),
        ("tls.p99<1s", "there are no samples"),
        ("dropped<1%", "there was nothing to take a share of"),
        ("rps>1", ""),
    ] {
        let verdict = parse(text).unwrap().evaluate(&Made);
        if says.is_empty() {
            assert!(verdict.passed);
        } else {
            assert!(!verdict.passed && verdict.value.is_none(), "{text}");
            assert!(verdict.reason.unwrap().contains(says), "{text}");
        }
    }
}
