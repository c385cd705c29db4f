//! Subscriptions over WebSockets: AppSync's `graphql-ws` protocol.
mod connection;
mod credentials;
mod frames;

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use axum::{
    Router,
    extract::{
        ConnectInfo, FromRequestParts, Request, State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, StatusCode, Uri, request::Parts};

use crate::{
    graphql::Service,
    identity::{Denial, Presented},
};
use connection::Peer;

const PROTOCOL: &str = "graphql-ws";
/// The largest message a client may send, in one frame or in many; AppSync documents none.
const MESSAGE_BYTES: usize = 1024 * 1024;
/// What every connection keeps for reading, however idle it is.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Serves WebSockets at `/graphql/realtime`, and to whoever asks for one where `graphql` is served.
pub(crate) fn mounted(graphql: Router, service: Arc<Service>) -> Router {
    let graphql = graphql.route_layer(from_fn_with_state(service.clone(), connect_if_asked));
    Router::new().route("/graphql/realtime", get(connect)).with_state(service).merge(graphql)
}

async fn connect_if_asked(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => open(service, &parts, upgrade).await,
        Err(_) => next.run(Request::from_parts(parts, body)).await,
    }
}

async fn connect(
    State(service): State<Arc<Service>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    parts: Parts,
) -> Response {
    match upgrade {
        Ok(upgrade) => open(service, &parts, upgrade).await,
        Err(rejection) => rejection.into_response(),
    }
}

/// Opens a WebSocket. Bad credentials are told on it: a browser learns nothing from a refused upgrade.
async fn open(service: Arc<Service>, parts: &Parts, upgrade: WebSocketUpgrade) -> Response {
    if !credentials::protocols(&parts.headers).any(|protocol| protocol == PROTOCOL) {
        return (StatusCode::BAD_REQUEST, "NoProtocolError: a WebSocket of this API speaks graphql-ws").into_response();
    }
    let peer =
        Peer { address: parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip()) };
    let admitted = match credentials::of_handshake(parts) {
        Ok(headers) => admit(&service, &headers, peer).await,
        Err(denial) => Err(denial),
    };
    upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(MESSAGE_BYTES)
        .max_frame_size(MESSAGE_BYTES)
        .on_upgrade(move |socket| connection::serve(service, socket, peer, admitted))
}

/// A handshake is signed as a POST of `{}` to a path that serves nothing else.
async fn admit(service: &Service, headers: &HeaderMap, peer: Peer) -> Result<(), Denial> {
    let uri = Uri::from_static("/graphql/connect");
    let now = SystemTime::now();
    let presented = Presented { method: "POST", uri: &uri, headers, body: b"{}", peer: peer.address, now };
    service.directory.caller(&presented).await.map(|_| ())
}
