//! Upgrades to WebSockets, which wait for the authorizer and `$connect`.
use std::{sync::Arc, time::SystemTime};

use axum::{
    extract::{
        Path, State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    response::{IntoResponse, Response},
};
use http::{
    StatusCode,
    header::{CONTENT_TYPE, SEC_WEBSOCKET_PROTOCOL},
    request::Parts,
};
use uuid::Uuid;

use super::{
    close_cause::CloseCause,
    connection,
    handshake::Handshake,
    request_context::ConnectionInfo,
    service::{Accepted, ConnectRefusal, MAX_MESSAGE_BYTES, Service},
};
use crate::{identity::peer_address, realtime::client_socket::READ_BUFFER_BYTES};

/// API Gateway's limit on a frame. Larger messages have several frames.
const MAX_FRAME_BYTES: usize = 32 * 1024;
/// API Gateway's limit on a URL.
const MAX_URL_LENGTH: usize = 4096;

/// The bodies of refusals that name neither connection nor request.
const FORBIDDEN_BODY: &str = r#"{"message":"Forbidden"}"#;
const TOO_MANY_BODY: &str = r#"{"message":"Too Many Requests"}"#;
const TOO_LONG_BODY: &str = r#"{"message":"The URL of a WebSocket has at most 4096 characters."}"#;

pub async fn handle_upgrade(
    State(service): State<Arc<Service>>,
    Path(stage): Path<String>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    parts: Parts,
) -> Response {
    if stage != service.api.stage {
        return refusal(StatusCode::FORBIDDEN, FORBIDDEN_BODY.into());
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    if parts.uri.to_string().len() > MAX_URL_LENGTH {
        return refusal(StatusCode::URI_TOO_LONG, TOO_LONG_BODY.into());
    }
    let Some(registration) = service.connections.register() else {
        return refusal(StatusCode::TOO_MANY_REQUESTS, TOO_MANY_BODY.into());
    };
    let (handshake, info) = read_handshake(&service, &parts, registration.id());
    let Accepted { info, subprotocol } = match service.connect(&handshake, info).await {
        Ok(accepted) => accepted,
        Err(ConnectRefusal { status, body }) => return refusal(status, body),
    };
    let info = Arc::new(info);
    let messages = registration.open(info.clone());
    let (failed_service, failed_info) = (service.clone(), info.clone());
    let mut response = upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .on_failed_upgrade(move |_: axum::Error| failed_service.disconnect(&failed_info, &CloseCause::Lost))
        .on_upgrade(move |socket| connection::serve(service, socket, registration, info, messages));
    if let Some(protocol) = subprotocol {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

fn read_handshake(service: &Service, parts: &Parts, connection_id: &str) -> (Handshake, ConnectionInfo) {
    let source_ip = peer_address(parts).map_or_else(|| "127.0.0.1".to_owned(), |address| address.to_string());
    let port = service.api.domain_name.rsplit_once(':').map_or("80", |(_, port)| port);
    let connected_at = SystemTime::now();
    let trace_id = trace_id(connected_at);
    let handshake = Handshake::new(&parts.headers, &parts.uri, &source_ip, port, &trace_id);
    let info = ConnectionInfo {
        id: connection_id.to_owned(),
        connected_at,
        source_ip,
        user_agent: handshake.user_agent(),
        authorizer: None,
    };
    (handshake, info)
}

/// The header by which X-Ray follows a request: `Root=1-65c66a6f-…`.
fn trace_id(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let random = Uuid::new_v4().simple().to_string();
    format!("Root=1-{seconds:08x}-{}", &random[..24])
}

fn refusal(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
