//! Subscriptions over WebSockets: AppSync's `graphql-ws` protocol.
mod connection;
mod credentials;
mod filter;
mod frames;
mod hub;

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use axum::{
    extract::{ConnectInfo, ws::WebSocketUpgrade},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, Uri, request::Parts};

pub use filter::Filter;
pub(crate) use hub::Hub;

use crate::{
    graphql::Service,
    identity::{Denial, Presented},
};
use connection::Peer;

const PROTOCOL: &str = "graphql-ws";
/// The largest frame a client may send; AppSync documents none.
const FRAME_BYTES: usize = 1024 * 1024;

/// Opens a WebSocket. Bad credentials are told on it: a browser learns nothing from a refused upgrade.
pub(crate) fn connect(service: Arc<Service>, parts: &Parts, upgrade: WebSocketUpgrade) -> Response {
    if !credentials::protocols(&parts.headers).any(|protocol| protocol == PROTOCOL) {
        return (StatusCode::BAD_REQUEST, "NoProtocolError: a WebSocket of this API speaks graphql-ws").into_response();
    }
    let peer =
        Peer { address: parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip()) };
    let admitted = credentials::of_handshake(parts).and_then(|headers| admit(&service, &headers, peer));
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(FRAME_BYTES)
        .on_upgrade(move |socket| connection::serve(service, socket, peer, admitted))
}

/// A handshake is signed as a POST of `{}` to a path that serves nothing else.
fn admit(service: &Service, headers: &HeaderMap, peer: Peer) -> Result<(), Denial> {
    let uri = Uri::from_static("/graphql/connect");
    let now = SystemTime::now();
    let presented = Presented { method: "POST", uri: &uri, headers, body: b"{}", peer: peer.address, now };
    service.directory.caller(&presented).map(|_| ())
}
