//! Handshakes of WebSockets: the subprotocols, the credentials, the limit on connections.
use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{
        State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};

use super::{
    connection::{self, authenticate_headers},
    events_error::{ErrorEntry, EventsError},
    http::MAX_BODY_BYTES,
    service::Service,
};
use crate::{
    identity::peer_address,
    realtime::{client_socket::READ_BUFFER_BYTES, credentials},
};

const PROTOCOL: &str = "aws-appsync-event-ws";
/// The largest number of open connections. AppSync limits only how many are opened in a second.
const MAX_CONNECTIONS: usize = 10_000;

/// Accepts a WebSocket. Errors of the handshake are sent on the WebSocket, because a browser cannot read the
/// response to a refused upgrade.
pub async fn handle_upgrade(
    State(service): State<Arc<Service>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    parts: Parts,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    if service.open_connections.len() >= MAX_CONNECTIONS {
        let message = format!("The local server has at most {MAX_CONNECTIONS} connections of the Events API.");
        return (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    }
    let peer = peer_address(&parts);
    let handshake = check_handshake(&service, &parts, peer).await;
    upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(MAX_BODY_BYTES)
        .max_frame_size(MAX_BODY_BYTES)
        .on_upgrade(move |socket| connection::serve(service, socket, peer, handshake))
}

async fn check_handshake(service: &Service, parts: &Parts, peer: Option<IpAddr>) -> Result<(), ErrorEntry> {
    check_protocol(parts)?;
    authenticate(service, parts, peer).await.map_err(|error| error.connection_entry())
}

fn check_protocol(parts: &Parts) -> Result<(), ErrorEntry> {
    let offered: Vec<_> = credentials::subprotocols(&parts.headers).filter(|protocol| !protocol.is_empty()).collect();
    if offered.contains(&PROTOCOL) {
        return Ok(());
    }
    let error_type = if offered.is_empty() { "NoProtocolError" } else { "SubProtocolNotSupportedError" };
    Err(ErrorEntry { error_type: error_type.into(), error_code: Some(400), message: Some(error_type.into()) })
}

/// Clients sign a handshake as a POST of `{}` to `/event`.
async fn authenticate(service: &Service, parts: &Parts, peer: Option<IpAddr>) -> Result<(), EventsError> {
    let headers = credentials::from_subprotocol_or_headers(parts)?;
    let requester = authenticate_headers(service, peer, &headers, "{}").await?;
    service.authorize_connection(&requester.caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_offers_the_protocol_of_events() {
        let check = |protocols: &[&str]| {
            let mut request = http::Request::builder();
            for protocol in protocols {
                request = request.header("sec-websocket-protocol", *protocol);
            }
            check_protocol(&request.body(()).unwrap().into_parts().0).map_err(|entry| entry.error_type)
        };
        assert_eq!(check(&["header-e30, aws-appsync-event-ws"]), Ok(()));
        assert_eq!(check(&["header-e30", "aws-appsync-event-ws"]), Ok(()));
        assert_eq!(check(&[]), Err("NoProtocolError".into()));
        assert_eq!(check(&["graphql-ws, header-e30"]), Err("SubProtocolNotSupportedError".into()));
    }
}
