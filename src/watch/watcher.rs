//! The tasks that read: each page has one of its own, so that one that hangs keeps no other from being read. What is read is
//! handed on as it comes; nothing is kept here.

use super::Watch;
use super::prometheus::Wanted;
use super::reader::{ReadError, Reader};
use super::record::{Ask, Reading};
use super::source::{Content, Kind, Source};
use super::tls;
use crate::clock::now_ns;
use std::sync::Arc;
use std::time::Duration;
use swarm_agent::wire::share::Tls;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// From one reading to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Why the pages can't be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// A page can't be read.
    #[error("{flag} {address}: {error}{advice}")]
    Page {
        /// The flag that names it.
        flag: &'static str,
        /// Its address, as it may be shown.
        address: String,
        /// Why.
        error: ReadError,
        /// What to do.
        advice: &'static str,
    },
    /// A page has not what is wanted of it.
    #[error("--watch-metrics {address}: no `{name}` there; there are {there}")]
    Missing {
        /// Its address, as it may be shown.
        address: String,
        /// What is not there.
        name: String,
        /// What is, in part.
        there: String,
    },
    /// A proxy that was named is not in the statistics.
    #[error("--lb-stats {address}: no proxy `{name}` with servers there; there are {there}")]
    NoProxy {
        /// Its address, as it may be shown.
        address: String,
        /// What is not there.
        name: String,
        /// What is.
        there: String,
    },
    /// TLS could not be set up.
    #[error("{0}")]
    Tls(String),
}

impl WatchError {
    /// Whether the command line is what must be changed; else it may help to try again.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Page { error, .. } => error.is_usage(),
            Self::Missing { .. } | Self::NoProxy { .. } | Self::Tls(_) => true,
        }
    }
}

/// Pages that have been read once.
pub struct Watcher {
    sources: Vec<Source>,
    /// What each said, and when.
    first: Vec<(u64, Content)>,
}

impl Watcher {
    /// Reads every page for the first time, side by side. Returns with what they said, as a line each for the head of the run.
    pub async fn begin(watch: &Watch, tls: &Tls, run: &str) -> Result<(Self, Vec<String>), WatchError> {
        let config = Arc::new(tls::config(tls).map_err(WatchError::Tls)?);
        let reader = |address: &super::address::Address| Reader::new(address.clone(), Some(Arc::clone(&config)), run);
        let balancer = watch
            .balancer
            .iter()
            .map(|marked| Source::balancer(reader(&marked.address)));
        let metrics = watch.metrics.iter();
        let metrics = metrics.map(|(address, wanted)| Source::metrics(reader(address), wanted.clone()));
        let mut sources: Vec<Source> = balancer.chain(metrics).collect();
        let read = futures_util::future::join_all(sources.iter_mut().map(Source::first)).await;
        let at_ns = now_ns();
        let (mut first, mut lines) = (Vec::with_capacity(sources.len()), Vec::new());
        for (place, content) in read.into_iter().enumerate() {
            let address = sources[place].address().to_string();
            let content = content.map_err(|error| unread(place, watch, address.clone(), error))?;
            match &content {
                Content::Balancer(kind, rows) => {
                    let named = watch.balancer.as_ref().map_or(&[][..], |marked| &marked.marks);
                    lines.push(balancer_line(&address, *kind, rows, named)?);
                }
                Content::Metrics(found) => {
                    let wanted = &watch.metrics[place - usize::from(watch.balancer.is_some())].1;
                    if let Some(missing) = found.missing.first() {
                        return Err(missing_name(address, &wanted[*missing], &found.there));
                    }
                }
            }
            first.push((at_ns, content));
        }
        Ok((Self { sources, first }, lines))
    }

    /// Goes on reading, every second and whenever it is asked. `told` is given each reading, the first ones too; false: nobody
    /// listens any more.
    pub fn follow(self, told: impl Fn(Reading) -> bool + Clone + Send + 'static) -> Following {
        let (asks, asked) = watch::channel(Ask::Tick);
        let mut tasks = JoinSet::new();
        for (page, (source, (at_ns, content))) in self.sources.into_iter().zip(self.first).enumerate() {
            let first = Reading {
                page,
                at_ns,
                ask: Ask::Tick,
                content: Ok(content),
            };
            if told(first) {
                tasks.spawn(follow(page, source, asked.clone(), told.clone()));
            }
        }
        Following { asks, tasks }
    }
}

/// Pages that are being read.
pub struct Following {
    asks: watch::Sender<Ask>,
    tasks: JoinSet<()>,
}

impl Following {
    /// By which readings at a certain moment are asked for.
    pub fn asks(&self) -> watch::Sender<Ask> {
        self.asks.clone()
    }

    /// Ends the reading.
    pub async fn close(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn follow(page: usize, mut source: Source, mut asked: watch::Receiver<Ask>, told: impl Fn(Reading) -> bool) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // the first tick comes at once, and the page was read a moment ago
    ticks.tick().await;
    loop {
        let ask = tokio::select! {
            changed = asked.changed() => match changed {
                Ok(()) => {
                    ticks.reset();
                    *asked.borrow_and_update()
                }
                Err(_) => return,
            },
            _ = ticks.tick() => Ask::Tick,
        };
        let content = source.read().await;
        let reading = Reading {
            page,
            at_ns: now_ns(),
            ask,
            content,
        };
        if !told(reading) || ask == Ask::After {
            return;
        }
    }
}

fn balancer_line(address: &str, kind: Kind, rows: &[super::row::Row], named: &[String]) -> Result<String, WatchError> {
    let servers = rows.iter().filter(|row| row.kind == super::row::Kind::Server);
    let mut proxies: Vec<(&str, usize, Vec<&str>)> = Vec::new();
    for row in servers {
        let place = proxies.iter().position(|(proxy, ..)| *proxy == row.proxy);
        let place = place.unwrap_or_else(|| {
            proxies.push((&row.proxy, 0, Vec::new()));
            proxies.len() - 1
        });
        proxies[place].1 += 1;
        if !row.is_up() {
            proxies[place].2.push(&row.name);
        }
    }
    if let Some(name) = named
        .iter()
        .find(|name| !proxies.iter().any(|(proxy, ..)| proxy == name))
    {
        let there: Vec<&str> = proxies.iter().take(20).map(|(proxy, ..)| *proxy).collect();
        return Err(WatchError::NoProxy {
            address: address.to_owned(),
            name: name.clone(),
            there: if there.is_empty() {
                "none".to_owned()
            } else {
                there.join(", ")
            },
        });
    }
    proxies.retain(|(proxy, ..)| named.is_empty() || named.iter().any(|name| name == proxy));
    let each = proxies
        .iter()
        .take(6)
        .map(|(proxy, servers, down)| match down.as_slice() {
            [] => format!("{proxy} {servers} servers"),
            down => format!("{proxy} {servers} servers, not up: {}", down.join(" ")),
        });
    let mut parts: Vec<String> = each.collect();
    if proxies.len() > 6 {
        parts.push(format!("and {} more", proxies.len() - 6));
    }
    Ok(match parts.is_empty() {
        true => format!("balancer {} at {address}", kind.word()),
        false => format!("balancer {} at {address}: {}", kind.word(), parts.join("; ")),
    })
}

fn unread(place: usize, watch: &Watch, address: String, error: ReadError) -> WatchError {
    let balancer = watch.balancer.is_some() && place == 0;
    let advice = match (&error, balancer) {
        (ReadError::Login(_), true) => ": --lb-stats-auth USER:PASS, @FILE or env:NAME",
        (ReadError::LoginRefused(_), true) => ": see --lb-stats-auth",
        (ReadError::Login(_) | ReadError::LoginRefused(_), false) => ": http://USER:PASS@...",
        _ => "",
    };
    WatchError::Page {
        flag: if balancer { "--lb-stats" } else { "--watch-metrics" },
        address,
        error,
        advice,
    }
}

fn missing_name(address: String, wanted: &Wanted, there: &[String]) -> WatchError {
    // names that share a beginning come first
    let shared = |name: &String| {
        name.bytes()
            .zip(wanted.name.bytes())
            .take_while(|(a, b)| a == b)
            .count()
    };
    let mut near: Vec<&String> = there.iter().collect();
    near.sort_by_key(|name| std::cmp::Reverse(shared(name)));
    let near: Vec<&str> = near.into_iter().take(8).map(String::as_str).collect();
    WatchError::Missing {
        address,
        name: wanted.to_string(),
        there: near.join(", "),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::watch::address::Address;
    use crate::watch::haproxy;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;

    const PAGE: &str = "# pxname,svname,type,status,stot\nwww,s1,2,UP,1\nwww,s2,2,DOWN,0\napi,a1,2,no check,0\n";

    fn answer(mut stream: TcpStream, text: &str) {
        let mut asked = [0; 4096];
        let _ = stream.read(&mut asked);
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
    }

    fn watch(port: u16, typed: &str) -> Watch {
        Watch {
            balancer: Some(Address::balancer(&format!("http://127.0.0.1:{port}/{typed}")).unwrap()),
            metrics: Vec::new(),
        }
    }

    #[tokio::test]
    async fn it_reads_whenever_it_is_asked_and_ends_with_the_run() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = std::thread::spawn(move || {
            // the first, the one before and the one after
            (0..3).for_each(|_| answer(listener.accept().unwrap().0, PAGE));
        });
        let (watcher, lines) = Watcher::begin(&watch(port, "x;csv"), &Tls::default(), "r1")
            .await
            .unwrap();
        assert_eq!(
            lines,
            [format!(
                "balancer haproxy at http://127.0.0.1:{port}/x;csv: www 2 servers, not up: s2; api 1 servers"
            )]
        );
        let (sender, mut readings) = tokio::sync::mpsc::unbounded_channel();
        let following = watcher.follow(move |reading| sender.send(reading).is_ok());
        let asks = following.asks();
        assert_eq!(readings.recv().await.unwrap().ask, Ask::Tick);
        for ask in [Ask::Before, Ask::After] {
            asks.send_replace(ask);
            let reading = readings.recv().await.unwrap();
            assert_eq!(reading.ask, ask);
            let rows = haproxy::rows(PAGE).unwrap();
            assert_eq!(reading.content, Ok(Content::Balancer(Kind::Haproxy, rows)));
        }
        // its task is over: nobody can send any more
        assert_eq!(readings.recv().await, None);
        following.close().await;
        serving.join().unwrap();
    }

    #[tokio::test]
    async fn a_page_that_hangs_is_given_up_and_read_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (release, held) = mpsc::channel::<()>();
        let serving = std::thread::spawn(move || {
            answer(listener.accept().unwrap().0, PAGE);
            let hung = listener.accept().unwrap().0;
            answer(listener.accept().unwrap().0, PAGE);
            held.recv().unwrap();
            drop(hung);
        });
        let (watcher, _) = Watcher::begin(&watch(port, "x"), &Tls::default(), "r1").await.unwrap();
        let (sender, mut readings) = tokio::sync::mpsc::unbounded_channel();
        let following = watcher.follow(move |reading| sender.send(reading).is_ok());
        let asks = following.asks();
        assert!(readings.recv().await.unwrap().content.is_ok());
        asks.send_replace(Ask::Before);
        assert_eq!(readings.recv().await.unwrap().content, Err(ReadError::Silent(1)));
        asks.send_replace(Ask::After);
        assert!(readings.recv().await.unwrap().content.is_ok());
        following.close().await;
        release.send(()).unwrap();
        serving.join().unwrap();
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_refused_before_the_run() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = std::thread::spawn(move || {
            answer(listener.accept().unwrap().0, "hello");
            answer(listener.accept().unwrap().0, "hello");
            answer(listener.accept().unwrap().0, PAGE);
            answer(listener.accept().unwrap().0, "cpu_seconds 1\nup 1\n");
        });
        let begin = async |watch: Watch| Watcher::begin(&watch, &Tls::default(), "r1").await.err().unwrap();
        let error = begin(watch(port, "x")).await;
        assert!(
            error.is_usage() && error.to_string().contains("neither HAProxy's"),
            "{error}"
        );
        let error = begin(watch(port, "x#web,www")).await;
        assert!(
            error
                .to_string()
                .ends_with("no proxy `web` with servers there; there are www, api"),
            "{error}"
        );
        let metrics = Watch {
            balancer: None,
            metrics: vec![(
                Address::page(&format!("http://127.0.0.1:{port}/m")).unwrap(),
                super::super::prometheus::wanted("cpu_second").unwrap(),
            )],
        };
        let error = begin(metrics).await;
        assert!(error.is_usage(), "{error}");
        assert!(
            error
                .to_string()
                .ends_with("no `cpu_second` there; there are cpu_seconds, up"),
            "{error}"
        );
        serving.join().unwrap();
        let gone = begin(watch(port, "x")).await;
        assert!(
            !gone.is_usage() && gone.to_string().contains("cannot be reached"),
            "{gone}"
        );
    }
}
