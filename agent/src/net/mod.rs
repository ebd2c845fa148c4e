//! From a target to a connected stream: source address, TCP, TLS, each stage timed. Never here: protocols, pacing.

pub mod paths;
pub mod resolve;
pub mod source;
pub mod stream;
pub mod tls;

pub use stream::Stream;

use crate::wire::fault::{Fault, FaultKind};
use crate::wire::share::{Share, Target};
use source::Sources;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tls::TlsSetup;
use tokio::net::{TcpSocket, TcpStream};

/// Connects one worker's sockets.
pub struct Dialer {
    targets: Vec<Endpoint>,
    sources: Sources,
    tls: Option<Arc<TlsSetup>>,
    limit: Duration,
}

struct Endpoint {
    target: Target,
    /// Those of the start, which were agreed to, and those in use now.
    approved: Vec<IpAddr>,
    addresses: RefCell<Vec<IpAddr>>,
    next: Cell<usize>,
}

/// A connected stream.
pub struct Dialed {
    /// Plain or TLS.
    pub stream: Stream,
    /// Our end.
    pub local: SocketAddr,
    /// Their end.
    pub remote: SocketAddr,
    /// Time of the TCP connect.
    pub tcp: Duration,
    /// Time of the TLS handshake.
    pub tls: Option<Duration>,
}

impl Dialer {
    /// A dialer for the share's targets at their `resolved` addresses. `offset` is where this worker begins in the
    /// lists of addresses and sources, so that workers do not all begin at the first.
    pub fn new(share: &Share, resolved: &[Vec<IpAddr>], tls: Option<Arc<TlsSetup>>, offset: usize) -> Rc<Self> {
        let targets = share.targets.iter().zip(resolved);
        Rc::new(Self {
            targets: targets
                .map(|(target, addresses)| Endpoint {
                    target: target.clone(),
                    approved: addresses.clone(),
                    addresses: RefCell::new(addresses.clone()),
                    next: Cell::new(offset),
                })
                .collect(),
            sources: Sources::new(share.sources.clone(), offset),
            tls,
            limit: Duration::from_nanos(share.limits.connect),
        })
    }

    /// The target of this number.
    pub fn target(&self, number: u16) -> &Target {
        &self.targets[usize::from(number)].target
    }

    /// The next source address in turn that can reach the target; `None` where the host's routes choose.
    pub fn next_source(&self, target: u16) -> Option<IpAddr> {
        let wants_v4 = self.targets[usize::from(target)]
            .addresses
            .borrow()
            .first()
            .is_none_or(IpAddr::is_ipv4);
        self.sources.next(wants_v4)
    }

    /// The address that the host's routes choose towards the target. Sends nothing: a connected datagram socket knows it.
    pub fn route(&self, target: u16) -> IpAddr {
        let endpoint = &self.targets[usize::from(target)];
        let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let Some(address) = endpoint.addresses.borrow().first().copied() else {
            return unknown;
        };
        let any = if address.is_ipv4() {
            unknown
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        let local = UdpSocket::bind((any, 0)).and_then(|socket| {
            socket.connect((address, endpoint.target.port))?;
            socket.local_addr()
        });
        local.map_or(unknown, |local| local.ip())
    }

    /// Takes what the names stand for now, for connections that are opened from here on. An address that nobody has
    /// agreed to (neither known from the start nor on this machine or a private network) is left out; a name that is
    /// left with none keeps what it had.
    pub fn readdress(&self, resolved: &[Vec<IpAddr>]) {
        for (endpoint, found) in self.targets.iter().zip(resolved) {
            let agreed = |address: &&IpAddr| endpoint.approved.contains(address) || resolve::is_near(**address);
            let fresh: Vec<IpAddr> = found.iter().filter(agreed).copied().collect();
            if !fresh.is_empty() {
                *endpoint.addresses.borrow_mut() = fresh;
            }
        }
    }

    /// The time limit of a connect, name to handshake.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Connects to a target from `source`, TLS included where the target wants it, within `deadline`.
    pub async fn dial(&self, target: u16, source: Option<IpAddr>, deadline: Instant) -> Result<Dialed, Fault> {
        let endpoint = &self.targets[usize::from(target)];
        let attempt = Box::pin(self.connect(endpoint, source));
        match tokio::time::timeout_at(deadline.into(), attempt).await {
            Ok(done) => done,
            Err(_) => Err(Fault::new(
                FaultKind::ConnectTimeout,
                "no connection within --connect-timeout",
            )),
        }
    }

    async fn connect(&self, endpoint: &Endpoint, source: Option<IpAddr>) -> Result<Dialed, Fault> {
        let turn = endpoint.next.get();
        endpoint.next.set(turn.wrapping_add(1));
        let count = endpoint.addresses.borrow().len();
        if count == 0 {
            return Err(Fault::new(
                FaultKind::Dns,
                format!("{} has no address", endpoint.target.host),
            ));
        }
        let address = endpoint.addresses.borrow()[turn % count];
        let remote = SocketAddr::new(address, endpoint.target.dialed_port());
        let begin = Instant::now();
        let stream = connect_tcp(remote, source).await?;
        let tcp = begin.elapsed();
        let local = stream.local_addr().map_err(|error| stream::fault(&error))?;
        match (&self.tls, endpoint.target.tls) {
            (Some(setup), true) => {
                let begin = Instant::now();
                let stream = setup.handshake(&endpoint.target.host, stream).await?;
                Ok(Dialed {
                    stream,
                    local,
                    remote,
                    tcp,
                    tls: Some(begin.elapsed()),
                })
            }
            _ => Ok(Dialed {
                stream: Stream::Plain(stream),
                local,
                remote,
                tcp,
                tls: None,
            }),
        }
    }
}

/// Connects to an address, from `source` where the host's routes shall not choose.
pub async fn connect_tcp(remote: SocketAddr, source: Option<IpAddr>) -> Result<TcpStream, Fault> {
    let stream = open_tcp(remote, source).await.map_err(|error| stream::fault(&error))?;
    // without it a small frame waits for the acknowledgement of the last one
    stream.set_nodelay(true).map_err(|error| stream::fault(&error))?;
    Ok(stream)
}

async fn open_tcp(remote: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(source) = source {
        source::bind(&socket, source)?;
    }
    socket.connect(remote).await
}
