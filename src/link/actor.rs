//! The task behind a link: three loops (write, read, standard error) over one stream, until the first of them ends.

use super::pings::Pings;
use super::{LinkEvent, LinkLimits, Order};
use crate::clock::now_ns;
use crate::transport::{Stream, plain};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use swarm_agent::wire::frame::{Inbox, Outbox};
use swarm_agent::wire::message::{FromAgent, ToAgent};
use swarm_agent::wire::{BUILD_ID, MAGIC};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The most bytes that may stand before the agent's magic line.
const NOISE_LIMIT: usize = 256 * 1024;
/// The most bytes of standard error that a reason carries.
const WORDS_KEPT: usize = 2048;
/// How long the last words may take after the output has ended.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// How long frames that are queued may take when the link is to end.
const FLUSH: Duration = Duration::from_secs(5);

/// What the loops share.
struct Shared {
    pings: Mutex<Pings>,
    words: Mutex<Vec<u8>>,
    events: mpsc::Sender<LinkEvent>,
    limits: LinkLimits,
}

/// Why a loop ended.
enum End {
    /// The handle is gone: leave quietly.
    Asked,
    /// The agent, or the way to it.
    Failed(String),
}

pub(super) async fn run(
    stream: Stream,
    nonce: String,
    limits: LinkLimits,
    orders: mpsc::UnboundedReceiver<Order>,
    events: mpsc::Sender<LinkEvent>,
) {
    let shared = Shared {
        pings: Mutex::default(),
        words: Mutex::default(),
        events,
        limits,
    };
    let Stream {
        mut input,
        mut output,
        mut errors,
        held,
    } = stream;
    let (greeted, greeting) = watch::channel(false);
    let end = {
        let mut listening = std::pin::pin!(listen(&mut errors, &shared));
        let mut listened = false;
        let reading = read(&mut output, &nonce, &shared, greeted);
        let writing = write(&mut input, orders, &shared, greeting);
        let mut work = std::pin::pin!(async {
            tokio::select! {
                end = reading => end,
                end = writing => end,
            }
        });
        let end = loop {
            tokio::select! {
                end = &mut work => break end,
                () = &mut listening, if !listened => listened = true,
            }
        };
        if !listened && matches!(end, End::Failed(_)) {
            timeout(LAST_WORDS, listening).await.ok();
        }
        end
    };
    let why = match end {
        End::Asked => "closed by the controller".to_owned(),
        End::Failed(why) => why,
    };
    let why = with_words(why, &locked(&shared.words));
    // The event comes before the farewell, which may take seconds on a host that hangs.
    timeout(FLUSH, shared.events.send(LinkEvent::Closed { why })).await.ok();
    drop(shared);
    Stream {
        input,
        output,
        errors,
        held,
    }
    .close()
    .await;
}

/// Skips to the magic line, takes the hello, then passes on what comes.
async fn read(
    output: &mut (impl AsyncRead + Unpin),
    nonce: &str,
    shared: &Shared,
    greeted: watch::Sender<bool>,
) -> End {
    match read_all(output, nonce, shared, &greeted).await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

async fn read_all(
    output: &mut (impl AsyncRead + Unpin),
    nonce: &str,
    shared: &Shared,
    greeted: &watch::Sender<bool>,
) -> Result<std::convert::Infallible, End> {
    let deadline = Instant::now() + shared.limits.hello;
    let late = |_| {
        failed(format!(
            "the agent said no hello within {} s",
            shared.limits.hello.as_secs_f32()
        ))
    };
    let rest = timeout_at(deadline, skip_to_magic(output, nonce))
        .await
        .map_err(late)??;
    let mut inbox = Inbox::default();
    inbox.feed(&rest);
    let mut at_ns = now_ns();
    let mut heard = Instant::now();
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        while let Some(message) = inbox
            .next_message::<FromAgent>()
            .map_err(|error| failed(format!("the agent sent {error}")))?
        {
            let event = event_of(message, at_ns, shared, *greeted.borrow())?;
            if matches!(event, LinkEvent::Hello(_)) {
                greeted.send_replace(true);
            }
            shared.events.send(event).await.map_err(|_| End::Asked)?;
        }
        let reading = output.read(&mut buffer);
        let read = if *greeted.borrow() {
            read_or_silence(reading, heard, shared).await?
        } else {
            timeout_at(deadline, reading).await.map_err(late)?
        };
        at_ns = now_ns();
        heard = Instant::now();
        let count = read.map_err(|error| failed(format!("reading from the agent failed: {error}")))?;
        if count == 0 {
            return Err(failed("the agent ended, or the connection to it did".to_owned()));
        }
        inbox.feed(&buffer[..count]);
    }
}

/// Reads; gives up when nothing came for the silence limit while the agent owed an answer.
async fn read_or_silence<T>(reading: impl Future<Output = T>, heard: Instant, shared: &Shared) -> Result<T, End> {
    let silence = shared.limits.silence;
    let mut reading = std::pin::pin!(reading);
    loop {
        tokio::select! {
            read = &mut reading => return Ok(read),
            () = sleep(silence / 8) => {
                let oldest = locked(&shared.pings).oldest_ns();
                let owed = oldest.is_some_and(|sent_ns| Duration::from_nanos(now_ns().saturating_sub(sent_ns)) > silence);
                if owed && heard.elapsed() > silence {
                    return Err(failed(format!("nothing was heard from the agent for {} s", silence.as_secs_f32())));
                }
            }
        }
    }
}

/// Reads past `swarm-agent/1 NONCE` at the start of a line, and returns what was read after it.
async fn skip_to_magic(output: &mut (impl AsyncRead + Unpin), nonce: &str) -> Result<Vec<u8>, End> {
    let magic = format!("{MAGIC}{nonce}\n").into_bytes();
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 4096];
    let mut line = 0;
    loop {
        while let Some(length) = bytes[line..].iter().position(|byte| *byte == b'\n') {
            let next = line + length + 1;
            if bytes[line..next] == magic[..] {
                return Ok(bytes.split_off(next));
            }
            line = next;
        }
        if bytes.len() > NOISE_LIMIT {
            return Err(failed(
                "what answers is not the agent: too much output before its first line".to_owned(),
            ));
        }
        let read = output.read(&mut buffer).await;
        match read {
            Ok(0) | Err(_) => {
                let said = String::from_utf8_lossy(&bytes);
                let said = said
                    .lines()
                    .map(str::trim)
                    .find(|line| !line.is_empty())
                    .map(|line| format!(" ({:?})", plain(line, 200)));
                return Err(failed(format!(
                    "the agent ended before its first line{}",
                    said.unwrap_or_default()
                )));
            }
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

fn event_of(message: FromAgent, at_ns: u64, shared: &Shared, greeted: bool) -> Result<LinkEvent, End> {
    match message {
        FromAgent::Hello(_) if greeted => Err(failed("the agent said hello twice".to_owned())),
        FromAgent::Hello(hello) if hello.build != BUILD_ID => Err(failed(format!(
            "the agent is of another build ({}) than this controller ({BUILD_ID}): give no --agent-binary, or one built from the same sources",
            plain(&hello.build, 40)
        ))),
        FromAgent::Hello(hello) => Ok(LinkEvent::Hello(hello)),
        _ if !greeted => Err(failed("the agent did not begin with a hello".to_owned())),
        FromAgent::Pong { seq, received, sent } => {
            let ping = locked(&shared.pings).answered(seq);
            let (sent_ns, queued) =
                ping.ok_or_else(|| failed(format!("the agent answered ping {seq}, which was never sent")))?;
            Ok(LinkEvent::Pong {
                seq,
                sent_ns,
                agent_received_ns: received,
                agent_sent_ns: sent,
                received_ns: at_ns,
                queued,
            })
        }
        message => Ok(LinkEvent::Message { message, at_ns }),
    }
}

/// What waits to be written.
#[derive(Default)]
struct Waiting {
    outbox: Outbox,
    pings: Vec<u32>,
}

impl Waiting {
    fn take(&mut self, order: Order) -> Result<(), End> {
        let queued = match order {
            Order::Ping(seq) => {
                self.pings.push(seq);
                Ok(())
            }
            Order::Send(message @ (ToAgent::Share(_) | ToAgent::Exec(_) | ToAgent::Look(_))) => {
                self.outbox.data(&message)
            }
            Order::Send(message) => self.outbox.control(&message),
        };
        queued.map_err(|error| failed(format!("a message for the agent cannot be sent: {error}")))
    }

    fn is_empty(&self) -> bool {
        self.outbox.is_empty() && self.pings.is_empty()
    }
}

/// Writes orders as they come, control before data, once the agent has said hello.
async fn write(
    input: &mut (impl AsyncWrite + Unpin),
    orders: mpsc::UnboundedReceiver<Order>,
    shared: &Shared,
    greeting: watch::Receiver<bool>,
) -> End {
    match write_all(input, orders, shared, greeting).await {
        Ok(()) => End::Asked,
        Err(end) => end,
    }
}

async fn write_all(
    input: &mut (impl AsyncWrite + Unpin),
    mut orders: mpsc::UnboundedReceiver<Order>,
    shared: &Shared,
    mut greeting: watch::Receiver<bool>,
) -> Result<(), End> {
    let mut waiting = Waiting::default();
    // Until the hello a shell may still stand before the agent and read ahead: not a byte goes out.
    loop {
        tokio::select! {
            // It fails only when the reader has ended, and then this loop is about to be ended with it.
            () = async { greeting.wait_for(|greeted| *greeted).await.map_or((), |_| ()) } => break,
            order = orders.recv() => match order {
                Some(order) => waiting.take(order)?,
                None => return Ok(()),
            },
        }
    }
    loop {
        if waiting.is_empty() {
            match orders.recv().await {
                Some(order) => waiting.take(order)?,
                None => return Ok(()),
            }
        }
        loop {
            match orders.try_recv() {
                Ok(order) => waiting.take(order)?,
                Err(mpsc::error::TryRecvError::Empty) => break,
                // An agent that reads no more must not hold up the end.
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    return timeout(FLUSH, flush(input, &mut waiting, shared))
                        .await
                        .unwrap_or(Ok(()));
                }
            }
        }
        write_once(input, &mut waiting, shared).await?;
    }
}

async fn flush(input: &mut (impl AsyncWrite + Unpin), waiting: &mut Waiting, shared: &Shared) -> Result<(), End> {
    while !waiting.is_empty() {
        write_once(input, waiting, shared).await?;
    }
    Ok(())
}

/// Writes the pings that wait, or else one frame.
async fn write_once(input: &mut (impl AsyncWrite + Unpin), waiting: &mut Waiting, shared: &Shared) -> Result<(), End> {
    if waiting.pings.is_empty()
        && let Some(frame) = waiting.outbox.next_frame()
    {
        locked(&shared.pings).wrote_another(now_ns());
        put(input, &frame).await?;
    }
    for seq in waiting.pings.drain(..) {
        let mut alone = Outbox::default();
        alone.control(&ToAgent::Ping { seq }).expect("a ping fits a frame");
        let frame = alone.next_frame().expect("what was queued is there");
        locked(&shared.pings).stamp(seq, now_ns());
        put(input, &frame).await?;
    }
    Ok(())
}

async fn put(input: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> Result<(), End> {
    let writing = async {
        input.write_all(frame).await?;
        input.flush().await
    };
    match writing.await {
        Ok(()) => Ok(()),
        Err(error) => {
            // The reader knows more about an agent that left; it gets a moment to say so.
            sleep(LAST_WORDS).await;
            Err(failed(format!("writing to the agent failed: {error}")))
        }
    }
}

/// Keeps the last words of standard error.
async fn listen(errors: &mut (impl AsyncRead + Unpin), shared: &Shared) {
    let mut buffer = [0u8; 1024];
    while let Ok(count @ 1..) = errors.read(&mut buffer).await {
        let mut words = locked(&shared.words);
        words.extend_from_slice(&buffer[..count]);
        let over = words.len().saturating_sub(WORDS_KEPT);
        words.drain(..over);
    }
}

fn failed(why: String) -> End {
    End::Failed(why)
}

fn with_words(why: String, words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    let lines: Vec<String> = text
        .lines()
        .map(|line| plain(line, WORDS_KEPT))
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        why
    } else {
        format!("{why}; it said last: {}", lines.join(" | "))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
