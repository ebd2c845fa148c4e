//! What stickiness hangs on: the source address, a cookie, both or nothing. Three tries: the same source without a cookie,
//! another source with the cookie, another source without one. Judged from counts.

use super::cookies::Jar;
use super::finding::{Code, Finding, Step};
use super::polling::{self, Count, Session, tries};
use super::scout::Scout;
use super::walk::{Walk, headers, list};
use swarm_agent::wire::look::Answered;

/// So many requests that went astray are enough to say "no".
const ENOUGH: u32 = 3;
/// Other sources that are tried.
const MOST: usize = 8;

/// What the tries came to. `None`: not tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tries {
    /// Sources that were there.
    pub sources: usize,
    /// Names of the cookies that are sent.
    pub cookies: Vec<String>,
    /// Cookies that are set and not sent, and why.
    pub lost: Vec<(String, String)>,
    /// Same source, no cookie.
    pub bare: Count,
    /// Same source, with the cookies.
    pub kept: Option<Count>,
    /// A source from which the session was not known without cookies.
    pub apart: Option<String>,
    /// From there with the cookies.
    pub apart_kept: Option<Count>,
}

/// What the clients need it for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Clients poll: without it nothing works.
    Polls,
    /// Clients could, and real ones do unless they are told otherwise.
    MayPoll,
    /// Each connection or request stands for itself.
    None,
}

/// Tries it with sessions of Engine.IO. `polled`: what the polls of the polling step came to, where there were some.
pub async fn look<S: Scout>(walk: &Walk<'_, S>, polled: Option<(&Session, &Count)>) -> Option<Tries> {
    let mut session = polling::session(walk, 0).await.ok()?;
    let most = tries(walk.backends().len());
    let path = walk.aim.engineio_path(walk.version.get(), "polling", "");
    let place = walk.place(&path);
    let mut found = Tries {
        sources: walk.origins.len(),
        cookies: session.jar.sent(place),
        lost: session.jar.lost(place),
        ..Tries::default()
    };
    let has_cookie = !found.cookies.is_empty();
    found.bare = match polled {
        // they were sent without cookies already
        Some((_, count)) if !has_cookie || !walk.aim.request.keep_cookies => count.clone(),
        _ => polling::polls(walk, &mut session, 0, false, (most, ENOUGH)).await,
    };
    if has_cookie {
        found.kept = match polled {
            Some((_, count)) if walk.aim.request.keep_cookies => Some(count.clone()),
            _ => Some(polling::polls(walk, &mut session, 0, true, (most, ENOUGH)).await),
        };
    }
    for origin in 1..walk.origins.len().min(MOST + 1) {
        let once = polling::polls(walk, &mut session, origin, false, (1, 1)).await;
        if once.astray > 0 {
            found.apart = Some(walk.origins[origin].to_string());
            if has_cookie {
                found.apart_kept = Some(polling::polls(walk, &mut session, origin, true, (most, ENOUGH)).await);
            }
            break;
        }
    }
    polling::leave(walk, &session, 0, &session.jar).await;
    Some(found)
}

/// Tries it with the names that answers give their backend, for clients without sessions of Engine.IO. `None`: they give none.
pub async fn look_by_name<S: Scout>(walk: &Walk<'_, S>) -> Option<Tries> {
    let path = walk.aim.target.path.clone();
    let (first, jar) = named(walk, 0, &path, &Jar::default()).await;
    let home = first?;
    let place = walk.place(&path);
    let mut found = Tries {
        sources: walk.origins.len(),
        cookies: jar.sent(place),
        lost: jar.lost(place),
        ..Tries::default()
    };
    let most = tries(2);
    found.bare = by_name(walk, 0, &path, &home, (&Jar::default(), most)).await;
    let has_cookie = !found.cookies.is_empty();
    if has_cookie {
        found.kept = Some(by_name(walk, 0, &path, &home, (&jar, most)).await);
    }
    for origin in 1..walk.origins.len().min(MOST + 1) {
        if by_name(walk, origin, &path, &home, (&Jar::default(), 1)).await.astray > 0 {
            found.apart = Some(walk.origins[origin].to_string());
            if has_cookie {
                found.apart_kept = Some(by_name(walk, origin, &path, &home, (&jar, most)).await);
            }
            break;
        }
    }
    Some(found)
}

async fn by_name<S: Scout>(walk: &Walk<'_, S>, origin: usize, path: &str, home: &str, how: (&Jar, u32)) -> Count {
    let mut count = Count::default();
    while count.asked < how.1 && count.astray < ENOUGH {
        count.asked += 1;
        match named(walk, origin, path, how.0).await.0 {
            Some(name) if name == home => {}
            Some(_) => count.astray += 1,
            None => count.failed.push("an answer without a name".to_owned()),
        }
    }
    count
}

/// The backend that answers there, and the cookies that it sets.
async fn named<S: Scout>(walk: &Walk<'_, S>, origin: usize, path: &str, jar: &Jar) -> (Option<String>, Jar) {
    let mut set = Jar::default();
    let mut take = |answered: &Answered| {
        set.take(headers(answered), walk.place(path));
        answered.backend.clone().map(|(_, name)| name)
    };
    let name = if walk.aim.speech == super::aim::Speech::Http {
        let answer = walk.ask(origin, walk.request("GET", path, jar, None)).await;
        answer.ok().and_then(|answered| take(&answered))
    } else {
        match walk.open(origin, path, jar).await {
            Ok((name, answered, _)) => {
                walk.close(origin, name).await;
                take(&answered)
            }
            Err(_) => None,
        }
    };
    (name, set)
}

/// What is said of it.
pub fn judge(tries: &Tries, need: Need) -> Finding {
    let step = Step::Stickiness;
    let counted = |count: &Count| format!("{} of {} went astray", count.astray, count.asked);
    let cookies = list(&tries.cookies, 3);
    if tries.bare.asked == 0 {
        return Finding::unknown(step, None, "nothing was tried");
    }
    let known = |count: &Option<Count>| count.as_ref().is_some_and(Count::all_known);
    if tries.bare.all_known() {
        return sticky_without_cookie(tries, known(&tries.apart_kept), &cookies);
    }
    if tries.bare.astray == 0 {
        let why = tries.bare.failed.first().map_or("", String::as_str);
        return Finding::unknown(step, None, format!("requests failed: {why}"));
    }
    if known(&tries.kept) {
        let seen = format!(
            "by cookie ({cookies}): with it all {} reached the same backend, without it {}",
            tries.kept.as_ref().map_or(0, |count| count.asked),
            counted(&tries.bare)
        );
        let why = "clients that keep no cookies (Node's without withCredentials or a jar) are dealt out anew with every request";
        return match &tries.apart_kept {
            Some(count) if !count.all_known() => {
                let seen = format!("{seen}; from another source it was not enough: {}", counted(count));
                Finding::warn(step, Code::NotSticky, seen).because("clients whose address changes lose their session")
            }
            _ => Finding::good(step, Code::StickyByCookie, seen).because(why),
        };
    }
    if let Some((name, why)) = tries.lost.first() {
        let seen = format!("cookie {name} is set, but a browser does not send it back: {why}");
        return Finding::fail(step, Code::CookieNotKept, seen)
            .because("the cookie that is to keep a client with its backend never comes back");
    }
    let with = match &tries.kept {
        Some(count) => format!("with cookie ({cookies}) {}, without ", counted(count)),
        None => "no cookie is set; from one source ".to_owned(),
    };
    let seen = format!("on nothing: {with}{}", counted(&tries.bare));
    match need {
        Need::Polls => Finding::fail(step, Code::NotSticky, seen)
            .because("long polling needs all requests of a client on one backend"),
        Need::MayPoll => Finding::warn(step, Code::NotSticky, seen)
            .because("clients that begin with WebSocket get by; clients that poll first, as Socket.IO's do unless told otherwise, fail"),
        Need::None => {
            Finding::good(step, Code::NotSticky, seen).because("fine where no backend keeps what the next request needs")
        }
    }
}

fn sticky_without_cookie(tries: &Tries, also_by_cookie: bool, cookies: &str) -> Finding {
    let step = Step::Stickiness;
    let all = tries.bare.asked;
    if let Some(apart) = &tries.apart {
        let (code, by) = if also_by_cookie {
            (
                Code::StickyByCookie,
                format!("by cookie ({cookies}), which holds from another source too; without it by source address"),
            )
        } else {
            (Code::StickyBySource, "by source address".to_owned())
        };
        let seen = format!(
            "{by}: all {all} from one source without a cookie reached the same backend, {apart} reached another"
        );
        let why = "all clients behind one address (an office, a mobile carrier's NAT) share one backend";
        let finding = Finding::good(step, code, seen);
        return if also_by_cookie { finding } else { finding.because(why) };
    }
    if tries.sources < 2 {
        let seen = format!("all {all} from the one source reached the same backend");
        return Finding::unknown(step, Some(Code::UnknownNoSecondSource), seen)
            .because("by address, by cookie or one backend only cannot be told apart from one source: add --source-ips LIST or --hosts");
    }
    let seen = format!(
        "all {all} from one source reached the same backend, and so did {} others",
        (tries.sources - 1).min(MOST)
    );
    Finding::unknown(step, Some(Code::NotKnownOneBackend), seen)
        .because("there may be one backend only, or a rule that takes these sources for one (nginx's ip_hash: one /24); look from other networks")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Verdict;

    fn count(asked: u32, astray: u32) -> Count {
        Count {
            asked,
            astray,
            failed: Vec::new(),
        }
    }

    #[test]
    fn what_it_hangs_on_is_judged() {
        use Code as C;
        use Verdict as V;
        let base = Tries {
            sources: 4,
            bare: count(20, 0),
            ..Tries::default()
        };
        let cookie = vec!["SERVERID".to_owned()];
        let apart = Some("127.0.0.9".to_owned());
        let table = [
            // HAProxy's source hash
            (
                Tries {
                    apart: apart.clone(),
                    ..base.clone()
                },
                Need::Polls,
                V::Pass,
                C::StickyBySource,
            ),
            // a cookie over round robin, one source or several
            (
                Tries {
                    sources: 1,
                    bare: count(5, 3),
                    cookies: cookie.clone(),
                    kept: Some(count(20, 0)),
                    ..base.clone()
                },
                Need::Polls,
                V::Pass,
                C::StickyByCookie,
            ),
            (
                Tries {
                    bare: count(5, 3),
                    cookies: cookie.clone(),
                    kept: Some(count(20, 0)),
                    apart: apart.clone(),
                    apart_kept: Some(count(20, 0)),
                    ..base.clone()
                },
                Need::Polls,
                V::Pass,
                C::StickyByCookie,
            ),
            // a cookie over source hash
            (
                Tries {
                    cookies: cookie.clone(),
                    kept: Some(count(20, 0)),
                    apart: apart.clone(),
                    apart_kept: Some(count(20, 0)),
                    ..base.clone()
                },
                Need::Polls,
                V::Pass,
                C::StickyByCookie,
            ),
            // an application's cookie over source hash
            (
                Tries {
                    cookies: cookie.clone(),
                    kept: Some(count(20, 0)),
                    apart: apart.clone(),
                    apart_kept: Some(count(3, 3)),
                    ..base.clone()
                },
                Need::Polls,
                V::Pass,
                C::StickyBySource,
            ),
            // round robin, with and without an application's cookie
            (
                Tries {
                    bare: count(20, 10),
                    ..base.clone()
                },
                Need::Polls,
                V::Fail,
                C::NotSticky,
            ),
            (
                Tries {
                    bare: count(20, 10),
                    ..base.clone()
                },
                Need::MayPoll,
                V::Warn,
                C::NotSticky,
            ),
            (
                Tries {
                    bare: count(20, 10),
                    ..base.clone()
                },
                Need::None,
                V::Pass,
                C::NotSticky,
            ),
            (
                Tries {
                    bare: count(6, 3),
                    cookies: cookie.clone(),
                    kept: Some(count(20, 9)),
                    ..base.clone()
                },
                Need::Polls,
                V::Fail,
                C::NotSticky,
            ),
            // the cookie does not come back
            (
                Tries {
                    bare: count(20, 10),
                    lost: vec![("SERVERID".into(), "its Path=/other".into())],
                    ..base.clone()
                },
                Need::Polls,
                V::Fail,
                C::CookieNotKept,
            ),
            (
                Tries {
                    sources: 1,
                    ..base.clone()
                },
                Need::Polls,
                V::Unknown,
                C::UnknownNoSecondSource,
            ),
            (base, Need::Polls, V::Unknown, C::NotKnownOneBackend),
        ];
        for (tries, need, verdict, code) in table {
            let finding = judge(&tries, need);
            assert_eq!(
                (finding.verdict, finding.code),
                (verdict, Some(code)),
                "{tries:?} {need:?}"
            );
        }
    }

    #[test]
    fn failures_are_no_stickiness() {
        let tries = Tries {
            sources: 2,
            bare: Count {
                asked: 3,
                astray: 0,
                failed: vec!["502".into(); 3],
            },
            ..Tries::default()
        };
        assert_eq!(judge(&tries, Need::Polls).verdict, Verdict::Unknown);
        assert_eq!(judge(&Tries::default(), Need::Polls).verdict, Verdict::Unknown);
    }
}
