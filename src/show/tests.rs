//! Tests of what is shown: snapshots, cleanliness, length.

use super::*;
use crate::conduct::outcome::{HostEnd, Outcome};
use crate::merge::fixture::{SECOND, closed_loop, held, open_loop, played, watched};
use crate::merge::merge;
use crate::merge::summary::Judged;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::Deserializer;
use serde_json::Value;
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::histogram::{highest_of, lowest_of};
use swarm_agent::wire::report::{Example, FaultRow, Latency};
use swarm_agent::wire::share::{BackOff, Load};

/// A small run in which everything that can be shown happened once.
fn full() -> Summary {
    let mut outcome = open_loop(3);
    let HostEnd::Reported(report) = &mut outcome.hosts[0].end else {
        panic!("the fixture's hosts report");
    };
    report.counts.faults.push(FaultRow {
        kind: FaultKind::HttpStatus,
        detail: "503".into(),
        count: 1,
        first_at_us: 3_900_000,
        examples: vec![Example {
            at_us: 3_900_000,
            source: Some([10, 0, 0, 1].into()),
            backend: Some("s0".into()),
            status: Some(503),
            excerpt: b"no \x1b[31mserver\r\nleft".to_vec(),
        }],
    });
    outcome.hosts[2].end = HostEnd::Lost {
        at_s: 4.1,
        why: "connection closed".into(),
    };
    outcome.plan.targets[0].url = "http://app.test/?token=secret".into();
    let mut summary = merge(&outcome);
    summary.requirements = vec![
        Judged {
            expr: "p99<250ms".into(),
            name: Some("request.p99".into()),
            value: Some(41_000.0),
            shown: "41 ms".into(),
            passed: true,
        },
        Judged {
            expr: "ack.p99<1s".into(),
            name: Some("ack.p99".into()),
            value: None,
            shown: "not measured: no acknowledgement was asked for".into(),
            passed: false,
        },
    ];
    summary
}

/// Compares with a checked-in file; `SWARM_BLESS=1` writes it anew.
fn snapshot(name: &str, shown: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/show/snapshots")
        .join(name);
    if std::env::var_os("SWARM_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, shown).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        shown, kept,
        "{name} differs from what is checked in; SWARM_BLESS=1 writes it anew"
    );
}

#[test]
fn the_json_report_is_the_contract() {
    let text = json::text(&full()).unwrap();
    snapshot("report.json", &text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn the_text_report_is_as_it_was() {
    snapshot("report.txt", &text::render(&full()));
    snapshot("held.txt", &text::render(&merge(&held(4, None))));
}

#[test]
fn steps_of_a_playbook_are_shown() {
    let summary = merge(&played(2));
    let text = text::render(&summary);
    let row = text.lines().find(|line| line.contains("2 emit say")).unwrap();
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    assert_eq!(cells[2], summary.whole.tally.requests.to_string(), "{row}");
    assert!(text.contains("chat (16)"), "{text}");
    let report: Value = serde_json::from_str(&json::text(&summary).unwrap()).unwrap();
    let flow = &report["flows"][0];
    assert_eq!(
        (flow["name"].as_str(), flow["clients"].as_u64()),
        (Some("chat"), Some(16))
    );
    let step = &flow["steps"][1];
    assert_eq!(step["label"].as_str(), Some("2 emit say"));
    assert_eq!(step["requests"].as_u64(), Some(summary.whole.tally.requests));
    assert_eq!(
        (step["failed"].as_u64(), step["latency"]["count"].as_u64()),
        (Some(0), step["ok"].as_u64())
    );
    assert!(json::text(&merge(&held(1, None))).unwrap().find("\"flows\"").is_none());
}

#[test]
fn histograms_decode_to_what_was_recorded() {
    let summary = full();
    let report: Value = serde_json::from_str(&json::text(&summary).unwrap()).unwrap();
    for (name, histogram) in &summary.whole.latency {
        let told = &report["latency"][name.word()];
        if histogram.count == 0 {
            assert!(told.is_null());
            continue;
        }
        let bytes = STANDARD.decode(told["histogram"].as_str().unwrap()).unwrap();
        let decoded: hdrhistogram::Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        assert_eq!(decoded.len(), histogram.count);
        assert_eq!(told["count"].as_u64(), Some(histogram.count));
        for (index, n) in &histogram.buckets {
            let (low, high) = (lowest_of(*index as usize), highest_of(*index as usize));
            assert_eq!(decoded.count_between(low, high), *n, "{name:?} {low}");
        }
        let p99 = decoded.value_at_quantile(0.99).min(histogram.max);
        assert_eq!(told["p99"].as_u64(), Some(p99), "{name:?}");
    }
}

#[test]
fn what_was_not_measured_is_absent() {
    let text = json::text(&merge(&closed_loop(1, None))).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let totals = report["totals"].as_object().unwrap();
    for absent in ["planned", "late", "messages"] {
        assert!(!totals.contains_key(absent), "{absent}");
    }
    assert!(report["latency"].get("request").is_none());
    assert!(report["latency"].get("service").is_some());
    assert!(report["affinity"].get("known").is_none());
    assert!(!text.contains("null"));
}

#[test]
fn the_way_back_is_told_where_clients_come_back() {
    let shown = |outcome: &Outcome| {
        let summary = merge(outcome);
        let report: Value = serde_json::from_str(&json::text(&summary).unwrap()).unwrap();
        (report, text::render(&summary))
    };
    let mut outcome = held(1, None);
    let (report, told) = shown(&outcome);
    assert!(report.get("events").is_none());
    assert!(report["totals"]["connections"].get("stormed").is_none());
    assert!(!told.contains("back again"));
    let Load::Held(load) = &mut outcome.plan.load else {
        panic!("held")
    };
    load.reconnect = Some(BackOff {
        least: SECOND,
        most: 5 * SECOND,
        jitter: 250,
        attempts: None,
    });
    // the run is over after 4 s
    load.storms = vec![2 * SECOND, 9 * SECOND];
    let (report, told) = shown(&outcome);
    let events = report["events"].as_array().unwrap();
    assert_eq!((events.len(), &events[0]["t_s"]), (1, &2.0.into()), "{events:?}");
    for counter in ["stormed", "reconnected", "gave_up", "away"] {
        assert_eq!(report["totals"]["connections"][counter], 0, "{counter}");
    }
    assert_eq!(report["load"]["reconnect"]["jitter"], 0.25);
    assert_eq!(report["load"]["storms_s"], serde_json::json!([2.0, 9.0]));
    assert!(
        told.contains("clients back again") && told.contains("clients that did not come back"),
        "{told}"
    );
}

#[test]
fn no_server_moves_the_cursor_and_no_secret_is_told() {
    let mut summary = full();
    summary.hosts[0].name = "h\x1b[2Jx".into();
    summary.matrix.backends[0] = "s\u{202e}0\r".into();
    summary.errors[0].detail = "\x07bell".into();
    summary.warnings[0].text = "a\x1b]0;title\x07".into();
    let text = text::render(&summary);
    let bad: Vec<char> = text
        .chars()
        .filter(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}')
        .collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert!(!text.contains("secret") && !json::text(&summary).unwrap().contains("secret"));
}

#[test]
fn long_tables_are_cut_and_say_so() {
    let outcome: Outcome = held(40, None);
    let text = text::render(&merge(&outcome));
    assert!(text.contains("and 10 more hosts"), "{text}");
    assert!(text.contains("10 more sources"), "{text}");
    assert!(text.lines().count() < 120, "{}", text.lines().count());
}

#[test]
fn the_text_says_how_many_hits_are_not_in_the_percentiles() {
    let summary = full();
    let missing = summary.whole.tally.failed;
    assert!(missing > 0);
    let text = text::render(&summary);
    let service = text.lines().find(|l| l.trim_start().starts_with("service")).unwrap();
    let cells: Vec<&str> = service.split('|').map(str::trim).collect();
    assert_eq!(cells[1], summary.latency(Latency::Service).unwrap().count.to_string());
    assert_eq!(cells[2], missing.to_string());
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    struct Closed(ErrorKind);
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert!(pipe(&mut Closed(ErrorKind::BrokenPipe), "x").is_ok());
    assert!(pipe(&mut Closed(ErrorKind::StorageFull), "x").is_err());
}

#[test]
fn what_the_balancer_counted_is_shown_beside() {
    let mut outcome = closed_loop(2, Some(40));
    outcome.watched = Some(watched(20, 29));
    let text = text::render(&merge(&outcome));
    for line in [
        " www/s0   | UP     |             0 |           0 |      0 |       0 |     20 |   20 | agrees",
        " www/s1   | UP     |             0 |           0 |      0 |       0 |     29 |   20 | +45.0 %",
        " www/s2   | DOWN   |             0 |           0 |      0 |       0 |      0 |    0 | agrees",
        "   2.0 s  balancer: www/s1 is UP (L4OK), was DOWN",
        "warning: the balancer's counts are others than these: s1: 29 by the balancer's hrsp_*, 20 here (+45.0 %)",
        "  -> that can be other clients' traffic over the same servers",
        "note: http://lb/stats: 1 of 2 readings failed, the first at 1.0 s: it did not answer within 1 s",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let report: Value = serde_json::from_str(&json::text(&merge(&outcome)).unwrap()).unwrap();
    let balancer = &report["balancer"];
    assert_eq!(
        (&balancer["kind"], &balancer["failed_reads"]),
        (&"haproxy".into(), &1.into())
    );
    for (list, stot) in [("before", 100), ("after", 129), ("delta", 29)] {
        let row = &balancer[list][1];
        assert_eq!((&row["svname"], &row["stot"]), (&"s1".into(), &stot.into()), "{list}");
    }
    assert_eq!(balancer["timeline"][0]["t_s"], 2.0);
    assert_eq!(balancer["timeline"][0]["rows"][1]["svname"], "s1");
    assert_eq!(balancer["compared"]["agrees"], false);
    assert_eq!(
        balancer["compared"]["servers"][1],
        serde_json::json!({ "name": "s1", "proxies": ["www"], "counter": "hrsp_*", "balancer": 29, "swarm": 20, "agrees": false })
    );
    assert_eq!(
        report["events"][0],
        serde_json::json!({ "t_s": 2.0, "text": "balancer: www/s1 is UP (L4OK), was DOWN", "status": "UP" })
    );
    assert_eq!(report["affinity"]["known"], 3);
    let without: Value = serde_json::from_str(&json::text(&merge(&closed_loop(2, Some(40)))).unwrap()).unwrap();
    assert!(without.get("balancer").is_none() && without.get("metrics").is_none());
}
