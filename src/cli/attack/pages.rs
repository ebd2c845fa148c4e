//! The flags about what is read beside a run: the balancer's statistics, metrics of servers. Reads the files that they name
//! secrets by. Never here: reading the pages.

use super::Surroundings;
use super::args::AttackArgs;
use crate::cli::Usage;
use crate::secret;
use crate::watch::Watch;
use crate::watch::address::{Address, Marked, shown};
use crate::watch::login::Login;
use crate::watch::prometheus::{self, Wanted};

/// What is read beside the run.
pub(super) fn watch(args: &AttackArgs, around: &Surroundings) -> Result<Watch, Usage> {
    let metrics = args.watch_metrics.iter().map(|typed| metrics(typed));
    Ok(Watch {
        balancer: balancer(args, around)?,
        metrics: metrics.collect::<Result<_, _>>()?,
    })
}

fn balancer(args: &AttackArgs, around: &Surroundings) -> Result<Option<Marked>, Usage> {
    let Some(typed) = &args.lb_stats else {
        return match &args.lb_stats_auth {
            Some(_) => Err(Usage("--lb-stats-auth: for which page? add --lb-stats URL".into())),
            None => Ok(None),
        };
    };
    let wrong = |error: String| Usage(format!("--lb-stats {}: {error}", shown(typed)));
    let mut marked = Address::balancer(typed).map_err(wrong)?;
    let Some(auth) = &args.lb_stats_auth else {
        return Ok(Some(marked));
    };
    match &mut marked.address {
        Address::Page(page) if page.login.is_some() => {
            return Err(Usage(
                "--lb-stats-auth and a name in --lb-stats: give one of them".into(),
            ));
        }
        Address::Page(page) => page.login = Some(login(auth, around)?),
        Address::Tcp(..) | Address::Unix(_) => {
            return Err(Usage(
                "--lb-stats-auth: a runtime socket asks for no password; leave it out".into(),
            ));
        }
    }
    Ok(Some(marked))
}

/// `USER:PASS`, `USER:@FILE`, `USER:env:NAME`, or a pointer to the whole.
fn login(typed: &str, around: &Surroundings) -> Result<Login, Usage> {
    let value = |text: &str| secret::value(text, around.environment.as_ref());
    let pair = match typed.split_once(':') {
        _ if secret::is_pointer(typed) => value(typed),
        Some((name, password)) => value(password).map(|password| format!("{name}:{password}")),
        None => Ok(typed.to_owned()),
    };
    pair.and_then(|pair| Login::of(&pair))
        .map_err(|error| Usage(format!("--lb-stats-auth: {error}")))
}

/// `URL=name,name`. A URL may hold `=` itself: names begin behind the first one from which on everything is names.
fn metrics(typed: &str) -> Result<(Address, Vec<Wanted>), Usage> {
    let wrong = |url: &str, error: String| Usage(format!("--watch-metrics {}: {error}", shown(url)));
    let mut ends = typed.match_indices('=').map(|(at, _)| at);
    let read = ends.find_map(|at| Some((&typed[..at], prometheus::wanted(&typed[at + 1..]).ok()?)));
    let Some((url, wanted)) = read else {
        let url = typed.split_once('=').map_or(typed, |(url, _)| url);
        return Err(wrong(
            url,
            "URL=name,name: which metrics? a name may have labels, name{code=\"200\"}".into(),
        ));
    };
    let address = Address::page(url).map_err(|error| wrong(url, error))?;
    Ok((address, wanted))
}

/// Typed `--watch-metrics` as it may be shown.
pub(super) fn redact_metrics(typed: &str) -> String {
    match metrics(typed) {
        Ok((address, wanted)) => {
            let names: Vec<String> = wanted.iter().map(Wanted::to_string).collect();
            format!("{address}={}", names.join(","))
        }
        Err(_) => secret::HIDDEN.to_owned(),
    }
}
