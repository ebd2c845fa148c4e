//! Owns the demo's balancer: TCP connections in, one backend chosen by the client's source address, bytes
//! copied both ways. Never touches what the bytes mean, and adds nothing to them.
//!
//! The outgoing connection is bound to the client's own address, so that the backend sees the real source
//! without a header and without root: on Linux all of 127.0.0.0/8 is local.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpSocket, TcpStream};

use super::counts::Tally;
use super::listening::Listening;

/// Bytes of buffer for each direction of a connection. The demo's frames are short.
const BUFFER: usize = 4096;

/// Starts the balancer in front of `backends`.
pub(super) fn start(backends: Vec<SocketAddrV4>, tally: Arc<Tally>) -> io::Result<Listening> {
    let backends: Arc<[SocketAddrV4]> = backends.into();
    Listening::start(move |client, peer| {
        let (backends, tally) = (Arc::clone(&backends), Arc::clone(&tally));
        async move {
            match to_backend(peer.ip(), &backends).await {
                Ok(server) => relay(client, server).await,
                Err(_) => tally.unrouted(),
            }
        }
    })
}

/// HAProxy's `balance source` in its default, map-based form over servers of equal weight: the IPv4 address
/// as a 32-bit number, modulo the number of servers.
fn pick(source: Ipv4Addr, backends: usize) -> usize {
    u32::from(source) as usize % backends
}

async fn to_backend(source: IpAddr, backends: &[SocketAddrV4]) -> io::Result<TcpStream> {
    let IpAddr::V4(source) = source else {
        unreachable!("the balancer listens on an IPv4 address")
    };
    connect_from(source, backends[pick(source, backends.len())]).await
}

/// Connects to `server` from the address `source`, any port.
async fn connect_from(source: Ipv4Addr, server: SocketAddrV4) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // The port is chosen at connect, where it needs to be free only towards this server. Chosen at bind it
    // would be taken from the load's own connections, too.
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind(SocketAddr::from((source, 0)))?;
    let stream = socket.connect(SocketAddr::V4(server)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Copies both ways until both sides have ended. The end of one direction is passed on while the other one
/// still flows; an error in either ends both.
async fn relay(mut client: TcpStream, mut server: TcpStream) {
    // What breaks here broke at one of the two peers, which sees it as its own connection's end.
    let _ = copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[test]
    fn the_backend_is_the_address_modulo_the_servers() {
        // The first four were seen on HAProxy 2.6 with three servers; then the demo's own.
        let table = [
            ([10, 77, 0, 1], 1),
            ([10, 77, 0, 2], 2),
            ([10, 77, 0, 3], 0),
            ([10, 77, 0, 4], 1),
            ([127, 0, 0, 1], 2),
            ([127, 0, 0, 2], 0),
            ([127, 0, 0, 3], 1),
            ([127, 0, 0, 9], 1),
            ([255, 255, 255, 255], 0),
        ];
        for (address, backend) in table {
            assert_eq!(pick(Ipv4Addr::from(address), 3), backend, "{address:?}");
        }
    }

    /// A balancer before one server, and a connection through it from 127.0.0.7.
    async fn through_balancer() -> (Listening, TcpStream, TcpStream, SocketAddr) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let SocketAddr::V4(address) = server.local_addr().unwrap() else {
            unreachable!()
        };
        let balancer = start(vec![address], Tally::new(&["s1"])).unwrap();
        let client = connect_from(Ipv4Addr::new(127, 0, 0, 7), balancer.address())
            .await
            .unwrap();
        let (server, peer) = server.accept().await.unwrap();
        (balancer, client, server, peer)
    }

    #[tokio::test]
    async fn the_server_sees_the_clients_address_and_a_half_close_leaves_the_other_half_open() {
        let (balancer, mut client, mut server, peer) = through_balancer().await;
        assert_eq!(peer.ip(), IpAddr::from([127, 0, 0, 7]));

        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = String::new();
        server.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");

        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        balancer.stop().await;
    }

    #[tokio::test]
    async fn stop_ends_open_connections_and_frees_the_port() {
        let (balancer, mut client, mut server, _) = through_balancer().await;
        balancer.stop().await;
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
        let refused = TcpStream::connect(balancer.address()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_backend_that_is_gone_ends_the_client_and_is_counted() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let SocketAddr::V4(address) = gone.local_addr().unwrap() else {
            unreachable!()
        };
        drop(gone);
        let tally = Tally::new(&["s1"]);
        let balancer = start(vec![address], Arc::clone(&tally)).unwrap();
        let mut client = TcpStream::connect(balancer.address()).await.unwrap();
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(tally.counts().unrouted, 1);
        balancer.stop().await;
    }
}
