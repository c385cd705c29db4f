//! Subscriptions over WebSockets: AppSync's `graphql-ws` protocol.
pub(crate) mod client_socket;
mod connection;
pub(crate) mod credentials;
mod frames;

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    extract::{
        FromRequestParts, Request, State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, Uri, request::Parts};

use crate::{
    graphql::Service,
    identity::{AuthError, AuthRequest, peer_address},
};
use client_socket::READ_BUFFER_BYTES;
use frames::HandshakeError;

const PROTOCOL: &str = "graphql-ws";
/// The largest message of a client, in one frame or several. AppSync documents no limit.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Adds WebSockets to the routes of `graphql`: at `/graphql/realtime`, and as upgrades of requests to
/// `/graphql`.
pub(crate) fn add_routes(graphql: Router, service: Arc<Service>) -> Router {
    let graphql = graphql.route_layer(from_fn_with_state(service.clone(), upgrade_if_requested));
    Router::new().route("/graphql/realtime", get(handle_upgrade)).with_state(service).merge(graphql)
}

async fn upgrade_if_requested(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => accept(service, &parts, upgrade).await,
        Err(_) => next.run(Request::from_parts(parts, body)).await,
    }
}

async fn handle_upgrade(
    State(service): State<Arc<Service>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    parts: Parts,
) -> Response {
    match upgrade {
        Ok(upgrade) => accept(service, &parts, upgrade).await,
        Err(rejection) => rejection.into_response(),
    }
}

/// Accepts a WebSocket. Errors of the handshake are sent on the WebSocket.
async fn accept(service: Arc<Service>, parts: &Parts, upgrade: WebSocketUpgrade) -> Response {
    let peer = peer_address(parts);
    let handshake = check_handshake(&service, parts, peer).await;
    upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .on_upgrade(move |socket| connection::serve(service, socket, peer, handshake))
}

async fn check_handshake(service: &Service, parts: &Parts, peer: Option<IpAddr>) -> Result<(), HandshakeError> {
    check_protocol(&parts.headers)?;
    let headers = credentials::from_handshake(parts).map_err(HandshakeError::Unauthorized)?;
    authenticate_handshake(service, &headers, peer).await.map_err(HandshakeError::Unauthorized)
}

fn check_protocol(headers: &HeaderMap) -> Result<(), HandshakeError> {
    let mut protocols = credentials::subprotocols(headers).filter(|protocol| !protocol.is_empty()).peekable();
    if protocols.peek().is_none() {
        return Err(HandshakeError::NoProtocol);
    }
    let is_supported = protocols.any(|protocol| protocol == PROTOCOL);
    if is_supported { Ok(()) } else { Err(HandshakeError::UnsupportedProtocol) }
}

/// Clients sign a handshake as a POST of `{}` to `/graphql/connect`.
async fn authenticate_handshake(service: &Service, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<(), AuthError> {
    let uri = Uri::from_static("/graphql/connect");
    let request = AuthRequest::unsent_post(&uri, headers, b"{}", peer);
    service.authenticator.authenticate(&request).await.map(drop)
}
