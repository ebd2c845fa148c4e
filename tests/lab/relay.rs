//! Owns: a ProxyCommand that delays each direction of an SSH connection by a set time (this machine has no netem).
//! Must not: change order or bytes, or slow throughput: each piece waits on its own, not behind the last one's wait.
//! Run as `<this test binary> relay UP_MS DOWN_MS HOST PORT`, or `relay-to-machine MAP ADDRESS PORT`, which looks up
//! the machine that stands for a public address of the cloud. There is no other way to such an address.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// The way from the controller to the host, and back.
#[derive(Debug, Clone, Copy)]
pub struct Delay {
    pub up_ms: u64,
    pub down_ms: u64,
}

impl Delay {
    pub const fn same(ms: u64) -> Self {
        Self { up_ms: ms, down_ms: ms }
    }

    pub fn round_trip_ms(self) -> u64 {
        self.up_ms + self.down_ms
    }
}

pub fn main(words: Vec<String>) -> ExitCode {
    match relay(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay: {error}");
            ExitCode::FAILURE
        }
    }
}

pub fn to_machine(words: Vec<String>) -> ExitCode {
    let found = || -> crate::Result<Vec<String>> {
        let [map, address, port] = words.as_slice() else {
            return Err("wants MAP ADDRESS PORT".into());
        };
        let text = std::fs::read_to_string(map)?;
        let machine = text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(public, _)| public == address)
            .map(|(_, machine)| machine.to_owned())
            .ok_or_else(|| format!("connect to {address} port {port}: Connection refused"))?;
        Ok(vec!["0".into(), "0".into(), machine, port.clone()])
    };
    match found().and_then(|words| relay(&words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay: {error}");
            ExitCode::from(255)
        }
    }
}

fn relay(words: &[String]) -> crate::Result {
    let [up, down, host, port] = words else {
        return Err("wants UP_MS DOWN_MS HOST PORT".into());
    };
    let up = Duration::from_millis(up.parse()?);
    let down = Duration::from_millis(down.parse()?);
    let socket = TcpStream::connect((host.as_str(), port.parse::<u16>()?))?;
    socket.set_nodelay(true)?;
    // A host that is gone with its network never says so: notice it, rather than stay behind for ever.
    rustix::net::sockopt::set_socket_keepalive(&socket, true)?;
    rustix::net::sockopt::set_tcp_keepidle(&socket, Duration::from_secs(10))?;
    rustix::net::sockopt::set_tcp_keepintvl(&socket, Duration::from_secs(2))?;
    rustix::net::sockopt::set_tcp_keepcnt(&socket, 3)?;
    let (reading, writing, closing) = (socket.try_clone()?, socket.try_clone()?, socket);
    std::thread::spawn(move || {
        delayed(std::io::stdin(), writing, up);
        // ssh has gone: tell the server so.
        let _ = closing.shutdown(Shutdown::Write);
    });
    // When the server has closed, everything it said is out: leave, whatever ssh still wants to say.
    delayed(reading, std::io::stdout(), down);
    Ok(())
}

/// Copies until the end of input; every piece leaves `delay` after it came, in order.
fn delayed(mut from: impl Read + Send + 'static, mut to: impl Write, delay: Duration) {
    // Wide enough for what 16 MiB a second would put on an 80 ms path in small pieces.
    let (sender, receiver) = sync_channel::<(Instant, Vec<u8>)>(4096);
    std::thread::spawn(move || {
        let mut piece = [0; 64 * 1024];
        while let Ok(n @ 1..) = from.read(&mut piece) {
            if sender.send((Instant::now() + delay, piece[..n].to_vec())).is_err() {
                return;
            }
        }
    });
    for (due, piece) in receiver {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&piece).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}
