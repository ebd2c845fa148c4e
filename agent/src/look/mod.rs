//! Looking at a target for `swarm check`: single connections, requests and WebSockets, each ordered by the controller and
//! bounded in time and bytes. Never here: load, judgement, following anything by itself.

mod exchange;
mod hello;
mod kept;
mod shake;

use crate::net::tls::TlsSetup;
use crate::net::{Stream, connect_tcp, resolve};
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::look::{KEPT, Look, ORDERS, Order, Saw, Sight, Talk, Way};
use crate::wire::message::FromAgent;
use kept::Kept;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

/// A look that has not ended by itself so long after its time is over.
const ROOM: Duration = Duration::from_millis(500);
/// How long one may take, whatever its order says.
const LONGEST: Duration = Duration::from_secs(3600);

/// The looks of one agent. Dropping it ends them all.
pub struct Looks {
    lines: UnboundedSender<FromAgent>,
    kept: Shelf,
    tasks: JoinSet<()>,
    begun: u32,
}

/// WebSockets that stay open between orders, by name.
type Shelf = Arc<Mutex<HashMap<u32, Arc<tokio::sync::Mutex<Kept>>>>>;

impl Looks {
    /// None yet; what they see goes to `lines`.
    pub fn new(lines: UnboundedSender<FromAgent>) -> Self {
        Self {
            lines,
            kept: Shelf::default(),
            tasks: JoinSet::new(),
            begun: 0,
        }
    }

    /// Begins one; what it sees is sent by itself.
    pub fn begin(&mut self, look: Look) {
        while self.tasks.try_join_next().is_some() {}
        self.begun += 1;
        let allowed = self.begun <= ORDERS;
        let (lines, kept) = (self.lines.clone(), Arc::clone(&self.kept));
        self.tasks.spawn(async move {
            let since = Instant::now();
            let sight = if allowed {
                within(look.order, Duration::from_nanos(look.within).min(LONGEST), &kept).await
            } else {
                Err(Fault::new(FaultKind::Local, format!("more than {ORDERS} orders")))
            };
            let saw = Saw {
                id: look.id,
                took: u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX),
                sight,
            };
            // an agent on its way out tells nothing any more
            lines.send(FromAgent::Saw(Box::new(saw))).ok();
        });
    }
}

async fn within(order: Order, limit: Duration, kept: &Shelf) -> Result<Sight, Fault> {
    let until = Instant::now() + limit;
    // what is heard until then is told by the talk itself
    let hard = if matches!(order, Order::Talk(_)) {
        until + ROOM
    } else {
        until
    };
    let silent = || {
        let text = format!("no answer within {:.1} s", limit.as_secs_f64());
        Fault::new(FaultKind::Timeout, text)
    };
    tokio::time::timeout_at(hard.into(), obey(order, until, kept))
        .await
        .unwrap_or_else(|_| Err(silent()))
}

async fn obey(order: Order, until: Instant, kept: &Shelf) -> Result<Sight, Fault> {
    match order {
        Order::Resolve { host } => resolve::all(&host)
            .await
            .map(Sight::Resolved)
            .map_err(|error| Fault::new(FaultKind::Dns, error)),
        Order::Connect(way) => {
            let stream = connect_tcp(way.to, way.source).await?;
            let local = stream.local_addr().map_err(|error| crate::net::stream::fault(&error))?;
            Ok(Sight::Connected { local: local.ip() })
        }
        Order::Shake { way, offer } => shake::shake(&way, offer).await,
        Order::Exchange { way, asked } => {
            let (mut stream, local) = reach(&way).await?;
            let (mut answered, _) = exchange::exchange(&mut stream, &asked, &[]).await?;
            answered.local = Some(local);
            Ok(Sight::Answered(answered))
        }
        Order::Open { name, way, asked } => {
            if shelf(kept).len() >= KEPT {
                return Err(Fault::new(FaultKind::Local, format!("more than {KEPT} WebSockets")));
            }
            let (stream, local) = reach(&way).await?;
            let (mut answered, upgrade, opened) = kept::open(stream, &asked).await?;
            answered.local = Some(local);
            if let Some(opened) = opened {
                shelf(kept).insert(name, Arc::new(tokio::sync::Mutex::new(opened)));
            }
            Ok(Sight::Opened { answered, upgrade })
        }
        Order::Talk(talk) => talked(&talk, until, kept).await,
        Order::Close { name } => {
            let gone = shelf(kept).remove(&name);
            if let Some(gone) = gone {
                gone.lock().await.leave().await;
            }
            Ok(Sight::Closed)
        }
    }
}

async fn talked(talk: &Talk, until: Instant, kept: &Shelf) -> Result<Sight, Fault> {
    let found = shelf(kept).get(&talk.name).cloned();
    let Some(socket) = found else {
        return Err(Fault::new(FaultKind::NotConnected, "no WebSocket of this name"));
    };
    let heard = socket.lock().await.talk(talk, until).await;
    Ok(Sight::Heard(heard))
}

fn shelf(kept: &Shelf) -> std::sync::MutexGuard<'_, HashMap<u32, Arc<tokio::sync::Mutex<Kept>>>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connected stream over a way, and our end of it.
async fn reach(way: &Way) -> Result<(Stream, IpAddr), Fault> {
    let stream = connect_tcp(way.to, way.source).await?;
    let local = stream.local_addr().map_err(|error| crate::net::stream::fault(&error))?;
    let stream = match &way.tls {
        None => Stream::Plain(stream),
        Some(tls) => {
            let setup = TlsSetup::new(&tls.settings).map_err(|error| Fault::new(FaultKind::Tls, error))?;
            setup.handshake(&tls.host, stream).await?
        }
    };
    Ok((stream, local.ip()))
}
