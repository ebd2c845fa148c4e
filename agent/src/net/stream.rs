//! A connected stream, plain or TLS, and the words for its failures.

use crate::wire::fault::{Fault, FaultKind};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connected stream.
pub enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP; boxed, as its state is large and most runs hold plain streams.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

/// The fault that an input or output error stands for.
pub fn fault(error: &io::Error) -> Fault {
    use io::ErrorKind as E;
    let kind = match (error.kind(), error.raw_os_error()) {
        (_, Some(libc::EMFILE | libc::ENFILE)) => FaultKind::FilesExhausted,
        (_, Some(libc::EADDRNOTAVAIL)) | (E::AddrInUse, _) => FaultKind::PortExhausted,
        (E::ConnectionRefused, _) => FaultKind::ConnectRefused,
        (E::TimedOut, _) => FaultKind::ConnectTimeout,
        (E::ConnectionReset | E::BrokenPipe | E::ConnectionAborted | E::UnexpectedEof | E::NotConnected, _) => {
            FaultKind::ClosedByServer
        }
        (E::InvalidData, _) => FaultKind::Tls,
        (E::HostUnreachable | E::NetworkUnreachable, _) => FaultKind::ConnectFailed,
        _ => FaultKind::Local,
    };
    Fault::new(kind, error.to_string())
}
