//! Owns accepting: one listener on an ephemeral port of 127.0.0.1, its accept task and one task a connection.
//! Never touches what a connection carries.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// How long accepting pauses after it failed, which is mostly for want of file descriptors.
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(20);

/// A server that accepts: it ends, with all its connections, on `stop` or when it is dropped.
#[derive(Debug)]
pub(super) struct Listening {
    address: SocketAddrV4,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Listening {
    /// Binds a free port of 127.0.0.1 and gives every connection to `handle`, in a task of its own.
    pub(super) fn start<H, F>(handle: H) -> io::Result<Self>
    where
        H: Fn(TcpStream, SocketAddr) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (listener, address) = bind()?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(accept(listener, handle, stop.clone(), tasks.clone()));
        Ok(Self { address, stop, tasks })
    }

    pub(super) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Closes the port and every connection, and returns when the last task has ended.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn bind() -> io::Result<(TcpListener, SocketAddrV4)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = socket.listen(BACKLOG)?;
    match listener.local_addr()? {
        SocketAddr::V4(address) => Ok((listener, address)),
        SocketAddr::V6(_) => unreachable!("the socket was made for IPv4"),
    }
}

async fn accept<H, F>(listener: TcpListener, handle: H, stop: CancellationToken, tasks: TaskTracker)
where
    H: Fn(TcpStream, SocketAddr) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                // Without it small frames wait for the peer's delayed acknowledgement; a socket that
                // refuses it is dead already and says so when it is read.
                let _ = stream.set_nodelay(true);
                let connection = handle(stream, peer);
                let stop = stop.clone();
                tasks.spawn(async move { stop.run_until_cancelled(connection).await });
            }
            Err(_) => {
                stop.run_until_cancelled(tokio::time::sleep(PAUSE_AFTER_FAILED_ACCEPT))
                    .await;
            }
        }
    }
}
