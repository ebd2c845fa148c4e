//! Owns: the way from swarm to EC2 (moto): a log of every call, faults that a case asks for, and points at which the
//! caller can be killed, before a call takes effect or after it did. Must not: know EC2's rules (moto does) or swarm.

use crate::Result;
use crate::fault::{Effect, Fault};
use crate::net::BRIDGE_ADDRESS;
use crate::process::wait_until;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One request of the API.
#[derive(Debug, Clone)]
pub struct Call {
    /// From 1, counted from the last reset in the order of arrival.
    pub number: usize,
    /// `ec2`, `sts`
    pub service: String,
    pub action: String,
    pub region: String,
    /// As sent: `InstanceId.1`, `TagSpecification.1.Tag.2.Key`
    pub parameters: BTreeMap<String, String>,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} in {}", self.number, self.action, self.region)
    }
}

/// Where a held call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It has arrived and not taken effect.
    Before,
    /// It has taken effect and is not answered.
    After,
}

struct Hold {
    number: usize,
    when: When,
    reached: Sender<Call>,
}

#[derive(Default)]
struct Inner {
    calls: Vec<Call>,
    faults: Vec<Fault>,
    hold: Option<Hold>,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    /// Requests under way.
    busy: AtomicUsize,
    ending: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends with its listener when dropped.
pub struct CloudProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    listener: Option<std::thread::JoinHandle<()>>,
}

/// A hold that is set. While it lasts, the held call and all that come later wait; when it is dropped, their
/// connections are closed without an answer.
pub struct Held<'a> {
    proxy: &'a CloudProxy,
    reached: Receiver<Call>,
}

impl Held<'_> {
    /// The call, when it is there within the time.
    pub fn reached(&self, within: Duration) -> Option<Call> {
        self.reached.recv_timeout(within).ok()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.proxy.shared.lock().hold = None;
        if let Err(error) = self.proxy.settle() {
            eprintln!("cloud proxy: {error}");
        }
    }
}

impl CloudProxy {
    /// On the bridge, so that hosts without any other way can reach it.
    pub fn start(moto: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((BRIDGE_ADDRESS, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let listener = std::thread::spawn(move || {
            std::thread::scope(|scope| {
                for socket in listener.incoming().flatten() {
                    if own.ending.load(Ordering::Acquire) {
                        return;
                    }
                    let own = &own;
                    scope.spawn(move || {
                        // A broken connection is the caller's to notice.
                        let _ = serve(&socket, own, moto);
                        let _ = socket.shutdown(Shutdown::Both);
                    });
                }
            });
        });
        Ok(Self {
            shared,
            address,
            listener: Some(listener),
        })
    }

    /// What swarm takes for AWS.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn fault(&self, fault: Fault) {
        self.shared.lock().faults.push(fault);
    }

    /// No faults, no calls.
    pub fn reset(&self) {
        let mut inner = self.shared.lock();
        inner.faults.clear();
        inner.calls.clear();
    }

    /// All calls since the last reset, also those that were refused.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().calls.clone()
    }

    pub fn count(&self, action: &str) -> usize {
        self.calls().iter().filter(|c| c.action == action).count()
    }

    /// How often each action was called.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.calls() {
            *counts.entry(call.action).or_default() += 1;
        }
        counts
    }

    /// Holds the n-th call, counted from the last reset, and all that come after it.
    pub fn hold(&self, number: usize, when: When) -> Held<'_> {
        let (sender, reached) = channel();
        self.shared.lock().hold = Some(Hold {
            number,
            when,
            reached: sender,
        });
        Held { proxy: self, reached }
    }

    /// Waits until no request is under way.
    pub fn settle(&self) -> Result {
        wait_until("calls under way to end", Duration::from_secs(20), || {
            Ok(self.shared.busy.load(Ordering::Acquire) == 0)
        })
    }
}

impl Drop for CloudProxy {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        self.shared.lock().hold = None;
        // Wakes the listener; idle connections notice within their read's time.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

struct Request {
    head: Vec<String>,
    body: Vec<u8>,
}

/// One connection's requests, one after the other.
fn serve(socket: &TcpStream, shared: &Shared, moto: SocketAddr) -> Result {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut reader = BufReader::new(socket);
    loop {
        // Idle between requests: look now and then whether it is over.
        match reader.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                if shared.ending.load(Ordering::Acquire) {
                    return Ok(());
                }
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let request = read_request(&mut reader)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        shared.busy.fetch_add(1, Ordering::AcqRel);
        let answer = handle(&request, shared, moto);
        let written = answer.and_then(|answer| match answer {
            Some(bytes) => (&*socket).write_all(&bytes).map(|()| true).map_err(Into::into),
            None => Ok(false),
        });
        shared.busy.fetch_sub(1, Ordering::AcqRel);
        if !written? {
            return Ok(());
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Result<Request> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err("closed within a head".into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        head.push(line.to_owned());
    }
    let length = header(&head, "content-length").map_or(Ok(0), str::parse)?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { head, body })
}

fn header<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    head.iter()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// The bytes to answer with, or None where the connection is to be closed.
fn handle(request: &Request, shared: &Shared, moto: SocketAddr) -> Result<Option<Vec<u8>>> {
    let (call, effect, held) = {
        let mut inner = shared.lock();
        let call = recognize(request, inner.calls.len() + 1);
        inner.calls.push(call.clone());
        let caught = inner.faults.iter_mut().find(|fault| fault.catches(&call));
        let effect = caught.map(|fault| {
            fault.times = fault.times.saturating_sub(1);
            fault.effect.clone()
        });
        let held = inner.hold.as_ref().filter(|h| call.number >= h.number).map(|h| {
            let own = call.number == h.number;
            (if own { h.when } else { When::Before }, own.then(|| h.reached.clone()))
        });
        (call, effect, held)
    };
    if let Some((When::Before, reached)) = held {
        return wait_for_release(shared, call, reached);
    }
    let answer = match effect {
        Some(Effect::Refused { status, code, message }) => Some(refusal(&call.service, status, &code, &message)),
        Some(Effect::Dropped) => None,
        Some(Effect::AnswerLost) => {
            forward(request, moto)?;
            None
        }
        None => forward(request, moto)?,
    };
    if let Some((When::After, reached)) = held {
        return wait_for_release(shared, call, reached);
    }
    Ok(answer)
}

/// Until the hold is gone; then the connection is closed.
fn wait_for_release(shared: &Shared, call: Call, reached: Option<Sender<Call>>) -> Result<Option<Vec<u8>>> {
    if let Some(reached) = reached {
        // Nobody waits any more: the hold is about to go.
        let _ = reached.send(call);
    }
    while shared.lock().hold.is_some() {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(None)
}

fn recognize(request: &Request, number: usize) -> Call {
    let parameters: BTreeMap<String, String> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    // AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, ...
    let scope: Vec<&str> = header(&request.head, "authorization")
        .and_then(|value| value.split_once("Credential="))
        .and_then(|(_, rest)| rest.split(',').next())
        .map(|scope| scope.split('/').collect())
        .unwrap_or_default();
    let part = |i: usize| scope.get(i).copied().unwrap_or_default().to_owned();
    Call {
        number,
        service: part(3),
        action: parameters
            .get("Action")
            .cloned()
            .unwrap_or_else(|| request.head[0].clone()),
        region: part(2),
        parameters,
    }
}

fn refusal(service: &str, status: u16, code: &str, message: &str) -> Vec<u8> {
    let id = "00000000-0000-0000-0000-000000000000";
    let body = if service == "ec2" {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{message}\
             </Message></Error></Errors><RequestID>{id}</RequestID></Response>"
        )
    } else {
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
             <RequestId>{id}</RequestId></ErrorResponse>"
        )
    };
    format!(
        "HTTP/1.1 {status} Lab\r\nContent-Type: text/xml;charset=UTF-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// moto's answer, ready to be passed on. None: there is no such endpoint in the real world.
fn forward(request: &Request, moto: SocketAddr) -> Result<Option<Vec<u8>>> {
    let mut socket = TcpStream::connect(moto)?;
    socket.set_nodelay(true)?;
    let mut sent = Vec::new();
    for line in &request.head {
        if !line.to_ascii_lowercase().starts_with("connection:") {
            write!(sent, "{line}\r\n")?;
        }
    }
    sent.extend_from_slice(b"Connection: close\r\n\r\n");
    sent.extend_from_slice(&request.body);
    socket.write_all(&sent)?;
    let mut reader = BufReader::new(socket);
    let mut head = Vec::new();
    for line in reader.by_ref().lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let mut body = Vec::new();
    reader.read_to_end(&mut body)?;
    if header(&head, "x-lab-drop").is_some() || head.is_empty() {
        return Ok(None);
    }
    let mut answer = format!("{}\r\n", head[0]).into_bytes();
    if let Some(kind) = header(&head, "content-type") {
        write!(answer, "Content-Type: {kind}\r\n")?;
    }
    write!(answer, "Content-Length: {}\r\n\r\n", body.len())?;
    answer.extend_from_slice(&body);
    Ok(Some(answer))
}
