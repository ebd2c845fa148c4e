//! Owns one Socket.IO server of the demo (protocol 5, Engine.IO 4; polling, upgrade and websocket): its
//! events, its `X-Backend` header, and telling the tally who connected. Never touches balancing.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::{IpAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, HttpExtension, SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::layer::SocketIoLayer;
use tokio::net::TcpStream;
use tower::Service;

use super::counts::Tally;
use super::listening::Listening;

/// The header by which every answer names its backend.
const X_BACKEND: HeaderName = HeaderName::from_static("x-backend");

/// How long Socket.IO clients have to take their leave before their connections are cut.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// One running backend.
pub(super) struct Backend {
    io: SocketIo,
    listening: Listening,
}

/// The address a request's connection came from.
#[derive(Debug, Clone, Copy)]
struct Source(IpAddr);

impl Backend {
    /// Starts the backend `name` on a free port of 127.0.0.1.
    pub(super) fn start(name: &'static str, tally: Arc<Tally>) -> io::Result<Self> {
        let (layer, io) = SocketIo::new_layer();
        serve_clients(&io, name, tally);
        let router = router(name, layer);
        let listening =
            Listening::start(move |stream, peer| serve_connection(stream, Source(peer.ip()), router.clone()))?;
        Ok(Self { io, listening })
    }

    pub(super) fn address(&self) -> SocketAddrV4 {
        self.listening.address()
    }

    /// Ends all Socket.IO sessions, then all connections.
    pub(super) async fn stop(&self) {
        let clients = self.io.sockets();
        // A client that reads no more could hold its session's end up for ever.
        let _ = tokio::time::timeout(CLOSE_GRACE, self.io.close()).await;
        for client in clients {
            // `close` ends the sessions but forgets the namespace first, and with it the disconnect
            // handlers: without this, each client would stay in memory and be counted as open.
            let _ = client.disconnect();
        }
        self.listening.stop().await;
    }
}

/// What Socket.IO clients of the namespace `/` find here: `echo` acknowledges with its first argument, any
/// other event is only counted.
fn serve_clients(io: &SocketIo, name: &'static str, tally: Arc<Tally>) {
    let counted = Arc::clone(&tally);
    // In a middleware, so that it stands before the client hears that it is connected and emits.
    let listen = async move |socket: SocketRef| -> Result<(), Infallible> {
        let others = Arc::clone(&counted);
        socket.on("echo", async move |argument: TryData<Value>, ack: AckSender| {
            counted.received(name);
            acknowledge(argument, ack);
        });
        socket.on_fallback(async move || others.received(name));
        Ok(())
    };
    // No async closure: the library would run it in a task of its own, some time later.
    let count = move |socket: SocketRef, HttpExtension(Source(address)): HttpExtension<Source>| {
        // Gone with the handler, also when the client left before it was in place.
        let visit = Arc::new(tally.connected(name, address));
        socket.on_disconnect(async move || drop(visit));
        ready(())
    };
    io.ns("/", count.with(listen));
}

fn acknowledge(TryData(argument): TryData<Value>, ack: AckSender) {
    // A client that left in between gets none.
    let _ = match argument {
        Ok(argument) => ack.send(&argument),
        Err(_) => ack.send::<[Value; 0]>(&[]),
    };
}

/// The backend's HTTP side: Socket.IO under `/socket.io`, a word under `/`, its name in every answer.
fn router(name: &'static str, socketio: SocketIoLayer) -> Router {
    Router::new()
        .route("/", get(move || async move { format!("swarm demo, backend {name}\n") }))
        .layer(socketio)
        .layer(map_response(move |mut response: Response| async move {
            response.headers_mut().insert(X_BACKEND, HeaderValue::from_static(name));
            response
        }))
}

async fn serve_connection(stream: TcpStream, source: Source, router: Router) {
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(source);
        router.clone().call(request)
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // It ends in an error when the client breaks off; that is the client's report to make.
    let _ = connection.with_upgrades().await;
}
