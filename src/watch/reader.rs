//! Reads one place once: a page over HTTP/1.1 with a connection of its own, or a runtime socket. Bounded in size; whoever
//! calls bounds the time. Never here: what the text means.

use super::address::{Address, Page};
use hyper::Request;
use hyper::body::Body;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, LOCATION, USER_AGENT};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// No page is longer.
const LONGEST: usize = 8 << 20;

/// Why a place could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No connection, or one that broke.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("did not answer within {0} s")]
    Silent(u64),
    /// No TLS with it.
    #[error("TLS: {0} (-k takes any certificate, --cacert FILE adds an authority)")]
    Tls(String),
    /// It wants a name and a password.
    #[error("wants a name and a password ({0})")]
    Login(u16),
    /// The name and the password are not right.
    #[error("does not take this name and password ({0})")]
    LoginRefused(u16),
    /// It answers with something else than a page.
    #[error("answers {0}")]
    Status(String),
    /// It is longer than any such page.
    #[error("is longer than {} MiB", LONGEST >> 20)]
    TooLong,
    /// It is not what it should be.
    #[error("{0}")]
    Odd(String),
}

impl ReadError {
    /// Whether the command line is what must be changed; else it may help to try again.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Login(_) | Self::LoginRefused(_) | Self::Odd(_) | Self::TooLong => true,
            Self::Status(text) => !text.starts_with('5'),
            Self::Unreachable(_) | Self::Silent(_) | Self::Tls(_) => false,
        }
    }
}

/// Reads one place.
pub struct Reader {
    address: Address,
    tls: Option<Arc<ClientConfig>>,
    agent: String,
    /// Where the name led the first time; it is not asked for again.
    peer: Option<SocketAddr>,
}

impl Reader {
    /// Of this place; `run` is told to it.
    pub fn new(address: Address, tls: Option<Arc<ClientConfig>>, run: &str) -> Self {
        Self {
            address,
            tls,
            agent: format!("swarm/{} (statistics; run {run})", env!("CARGO_PKG_VERSION")),
            peer: None,
        }
    }

    /// Its address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The page, with this behind its path; or what a runtime socket answers to `show stat`.
    pub async fn read(&mut self, more: &str) -> Result<String, ReadError> {
        let bytes = match self.address.clone() {
            Address::Page(page) => self.page(&page, more).await?,
            Address::Tcp(host, port) => ask(self.connect(&host, port).await?).await?,
            Address::Unix(path) => ask(open(&path).await?).await?,
        };
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    async fn connect(&mut self, host: &str, port: u16) -> Result<TcpStream, ReadError> {
        if let Some(peer) = self.peer {
            return TcpStream::connect(peer).await.map_err(unreachable);
        }
        let stream = TcpStream::connect((host, port)).await.map_err(unreachable)?;
        self.peer = stream.peer_addr().ok();
        Ok(stream)
    }

    async fn page(&mut self, page: &Page, more: &str) -> Result<Vec<u8>, ReadError> {
        let stream = self.connect(&page.host, page.port).await?;
        let request = self.request(page, more)?;
        if !page.tls {
            return exchange(stream, request, page.login.is_some()).await;
        }
        let config = self
            .tls
            .clone()
            .ok_or_else(|| ReadError::Tls("is not set up".to_owned()))?;
        let name = ServerName::try_from(page.host.clone()).map_err(|error| ReadError::Tls(error.to_string()))?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        let stream = stream.map_err(|error| ReadError::Tls(error.to_string()))?;
        exchange(stream, request, page.login.is_some()).await
    }

    fn request(&self, page: &Page, more: &str) -> Result<Request<String>, ReadError> {
        let mut request = Request::get(format!("{}{more}", page.path))
            .header(HOST, &page.authority)
            .header(USER_AGENT, &self.agent)
            .header(ACCEPT, "text/plain, */*")
            .header(CONNECTION, "close");
        if let Some(login) = &page.login {
            request = request.header(AUTHORIZATION, login.basic());
        }
        request
            .body(String::new())
            .map_err(|_| ReadError::Odd("has a path that cannot be asked for".to_owned()))
    }
}

fn unreachable(error: std::io::Error) -> ReadError {
    ReadError::Unreachable(error.to_string())
}

async fn open(path: &Path) -> Result<UnixStream, ReadError> {
    UnixStream::connect(path).await.map_err(unreachable)
}

/// `show stat`, until the socket is closed.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<Vec<u8>, ReadError> {
    stream.write_all(b"show stat\n").await.map_err(unreachable)?;
    let mut bytes = Vec::new();
    let mut limited = (&mut stream).take(LONGEST as u64 + 1);
    limited.read_to_end(&mut bytes).await.map_err(unreachable)?;
    match bytes.len() > LONGEST {
        true => Err(ReadError::TooLong),
        false => Ok(bytes),
    }
}

async fn exchange<S>(stream: S, request: Request<String>, logged_in: bool) -> Result<Vec<u8>, ReadError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| ReadError::Unreachable(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let answered = async {
        let mut answer = sender.send_request(request).await.map_err(broken)?;
        refuse(&answer, logged_in)?;
        let mut bytes = Vec::new();
        let mut body = Pin::new(answer.body_mut());
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            if let Ok(piece) = frame.map_err(broken)?.into_data() {
                bytes.extend_from_slice(&piece);
            }
            if bytes.len() > LONGEST {
                return Err(ReadError::TooLong);
            }
        }
        Ok(bytes)
    };
    // the connection is driven here, so that nothing of it outlives the reading
    tokio::pin!(connection, answered);
    tokio::select! {
        biased;
        answer = &mut answered => answer,
        ended = &mut connection => match ended {
            Ok(()) => answered.await,
            Err(error) => Err(broken(error)),
        },
    }
}

/// Anything but 200 is no page.
fn refuse<B>(answer: &hyper::Response<B>, logged_in: bool) -> Result<(), ReadError> {
    match answer.status().as_u16() {
        200 => Ok(()),
        code @ (401 | 403) if logged_in => Err(ReadError::LoginRefused(code)),
        401 => Err(ReadError::Login(401)),
        300..=399 => {
            let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let to = to.map_or_else(String::new, |to| format!(" to {}", super::address::shown(to)));
            Err(ReadError::Status(format!(
                "{}{to}: name that page itself",
                answer.status()
            )))
        }
        _ => Err(ReadError::Status(answer.status().to_string())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Answers one connection with this text, and returns what was asked.
    fn served(answer: &'static str) -> (u16, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![0; 4096];
            let n = stream.read(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked[..n].to_vec()).unwrap()
        });
        (port, serving)
    }

    async fn read(typed: &str, answer: &'static str) -> (Result<String, ReadError>, String) {
        let (port, serving) = served(answer);
        let address = Address::balancer(&typed.replace("PORT", &port.to_string()))
            .unwrap()
            .address;
        let text = Reader::new(address, None, "r1").read(";csv").await;
        (text, serving.join().unwrap())
    }

    #[tokio::test]
    async fn a_page_is_asked_for_with_its_login() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let (text, asked) = read("http://u:p@127.0.0.1:PORT/haproxy?stats", answer).await;
        assert_eq!(text.unwrap(), "ok");
        assert!(asked.starts_with("GET /haproxy?stats;csv HTTP/1.1\r\n"), "{asked}");
        assert!(
            asked.contains("authorization: Basic dTpw\r\n") && asked.contains("run r1"),
            "{asked}"
        );
    }

    #[tokio::test]
    async fn a_runtime_socket_is_asked_to_show_its_statistics() {
        let (text, asked) = read("tcp://127.0.0.1:PORT", "# pxname,svname\n").await;
        assert_eq!(
            (text.unwrap().as_str(), asked.as_str()),
            ("# pxname,svname\n", "show stat\n")
        );
    }

    #[tokio::test]
    async fn what_is_no_page_is_told_without_secrets() {
        for (login, answer, says, usage) in [
            (
                "",
                "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
                "wants a name and a password (401)",
                true,
            ),
            (
                "u:s3cret@",
                "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
                "does not take this name",
                true,
            ),
            (
                "",
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
                "answers 404 Not Found",
                true,
            ),
            (
                "",
                "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
                "answers 503",
                false,
            ),
            (
                "",
                "HTTP/1.1 301 Moved\r\nlocation: https://u:s3cret@h/x\r\ncontent-length: 0\r\n\r\n",
                "to https://h/x: name that page",
                true,
            ),
            ("u:s3cret@", "SSH-2.0-OpenSSH_9.2\r\n", "cannot be reached", false),
            (
                "",
                "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
                "cannot be reached",
                false,
            ),
        ] {
            let (read, _) = read(&format!("http://{login}127.0.0.1:PORT/"), answer).await;
            let error = read.unwrap_err();
            assert!(error.to_string().contains(says), "{answer}: {error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
            assert_eq!(error.is_usage(), usage, "{answer}");
        }
    }

    #[tokio::test]
    async fn a_page_without_end_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            let piece = vec![b'x'; 1 << 16];
            // until the reader goes away, and never more than this
            (0..LONGEST / piece.len() * 4).any(|_| stream.write_all(&piece).is_err())
        });
        let address = Address::page(&format!("http://127.0.0.1:{port}/")).unwrap();
        assert_eq!(Reader::new(address, None, "r1").read("").await, Err(ReadError::TooLong));
        assert!(serving.join().unwrap());
    }
}
