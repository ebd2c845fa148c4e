//! What `swarm check` found, as text and as JSON (schema `swarm.check/1`).

use super::{ShowError, clean, out};
use crate::check::Report;
use crate::check::finding::{Finding, Verdict};
use crate::check::mend::Mend;
use serde::Serialize;
use std::fmt::Write;

/// Characters of a line of text, beyond which it goes on below.
const WIDTH: usize = 110;
/// What stands before a step's text.
const INDENT: usize = 26;

/// Prints it.
pub fn finish(report: &Report, json: bool) -> Result<(), ShowError> {
    match json {
        true => out(&as_json(report)?),
        false => out(&text(report)),
    }
}

/// One line a step, then what it means and the lines that mend it.
pub fn text(report: &Report) -> String {
    let mut text = format!("target    {}\n", clean::url(&report.target));
    let from: Vec<String> = report.from.iter().map(ToString::to_string).collect();
    let _ = writeln!(text, "from      {}", clean::line(&from.join(", ")));
    if let Some((kind, how)) = &report.balancer {
        let _ = writeln!(text, "balancer  {} ({})", kind.word(), clean::line(how));
    }
    text.push('\n');
    for (finding, mends) in &report.steps {
        step(&mut text, finding, mends);
    }
    let count = |verdict: Verdict| {
        report
            .steps
            .iter()
            .filter(|(finding, _)| finding.verdict == verdict)
            .count()
    };
    let _ = writeln!(
        text,
        "\n{} fail, {} warn, {} unknown, {} pass, {} skipped; {} connections",
        count(Verdict::Fail),
        count(Verdict::Warn),
        count(Verdict::Unknown),
        count(Verdict::Pass),
        count(Verdict::Skipped),
        report.requests
    );
    text
}

fn step(text: &mut String, finding: &Finding, mends: &[Mend]) {
    let mark = match finding.verdict {
        Verdict::Fail => "FAIL",
        Verdict::Warn => "WARN",
        Verdict::Unknown => "?",
        Verdict::Pass => "ok",
        Verdict::Skipped => "-",
    };
    let head = format!("{mark:<5} {:<19} ", finding.step.word());
    let code = finding
        .code
        .map(|code| format!(" [{}]", code.word()))
        .unwrap_or_default();
    wrapped(text, &head, &format!("{}{code}", clean::line(&finding.seen)));
    if let Some(why) = &finding.why {
        wrapped(text, &" ".repeat(INDENT), &format!("so: {}", clean::line(why)));
    }
    for mend in mends {
        // a line of a configuration is to be copied: it is not cut
        let _ = writeln!(text, "{}{}: {}", " ".repeat(INDENT), mend.of, clean::line(&mend.line));
    }
}

/// Appends words, going on below where the line is full.
fn wrapped(text: &mut String, head: &str, words: &str) {
    let mut line = head.to_owned();
    let mut room = false;
    for word in words.split(' ') {
        if room && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(INDENT);
            room = false;
        }
        if room {
            line.push(' ');
        }
        line.push_str(word);
        room = true;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    target: String,
    from: Vec<FromJson<'a>>,
    balancer: Option<BalancerJson<'a>>,
    steps: Vec<StepJson<'a>>,
    requests: u32,
    version: &'static str,
}

#[derive(Serialize)]
struct FromJson<'a> {
    host: &'a str,
    /// The source address; `null`: as the host's routes choose.
    address: Option<String>,
}

#[derive(Serialize)]
struct BalancerJson<'a> {
    kind: &'static str,
    how: &'a str,
}

#[derive(Serialize)]
struct StepJson<'a> {
    step: &'static str,
    verdict: &'static str,
    finding: Option<&'static str>,
    seen: &'a str,
    why: Option<&'a str>,
    mend: Vec<MendJson<'a>>,
}

#[derive(Serialize)]
struct MendJson<'a> {
    #[serde(rename = "for")]
    of: &'static str,
    line: &'a str,
}

fn as_json(report: &Report) -> Result<String, serde_json::Error> {
    let json = Json {
        schema: "swarm.check/1",
        target: clean::url(&report.target),
        from: report
            .from
            .iter()
            .map(|origin| FromJson {
                host: &origin.host,
                address: origin.source.map(|source| source.to_string()),
            })
            .collect(),
        balancer: report
            .balancer
            .as_ref()
            .map(|(kind, how)| BalancerJson { kind: kind.word(), how }),
        steps: report
            .steps
            .iter()
            .map(|(finding, mends)| step_json(finding, mends))
            .collect(),
        requests: report.requests,
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(serde_json::to_string_pretty(&json)? + "\n")
}

fn step_json<'a>(finding: &'a Finding, mends: &'a [Mend]) -> StepJson<'a> {
    let line = |mend: &'a Mend| MendJson {
        of: mend.of,
        line: &mend.line,
    };
    StepJson {
        step: finding.step.word(),
        verdict: finding.verdict.word(),
        finding: finding.code.map(|code| code.word()),
        seen: &finding.seen,
        why: finding.why.as_deref(),
        mend: mends.iter().map(line).collect(),
    }
}
