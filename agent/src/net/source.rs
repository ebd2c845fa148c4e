//! Source addresses: which one a connection is bound to, and how.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use tokio::net::TcpSocket;

/// A list of local addresses, taken in turn.
pub struct Sources {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    next: Cell<usize>,
}

impl Sources {
    /// The list, begun at place `offset`.
    pub fn new(addresses: Vec<IpAddr>, offset: usize) -> Self {
        let (v4, v6) = addresses.into_iter().partition(IpAddr::is_ipv4);
        Self {
            v4,
            v6,
            next: Cell::new(offset),
        }
    }

    /// The next address of this family; `None` when there is none: the routes choose.
    pub fn next(&self, v4: bool) -> Option<IpAddr> {
        let list = if v4 { &self.v4 } else { &self.v6 };
        let turn = self.next.get();
        self.next.set(turn.wrapping_add(1));
        (!list.is_empty()).then(|| list[turn % list.len()])
    }
}

/// Binds to `source` and leaves the choice of the port to `connect`, which knows the target: without
/// `IP_BIND_ADDRESS_NO_PORT` one address would have one set of ephemeral ports for all targets together.
pub fn bind(socket: &TcpSocket, source: IpAddr) -> io::Result<()> {
    choose_port_late(socket)?;
    socket.bind(SocketAddr::new(source, 0))
}

/// The one place of this crate with `unsafe`: no well-kept crate in our tree offers this socket option.
#[allow(unsafe_code)]
fn choose_port_late(socket: &TcpSocket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the descriptor is open while `socket` is borrowed; the option's value points to an int that outlives the
    // call, and `length` is its size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            length,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
