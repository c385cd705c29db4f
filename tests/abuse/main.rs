//! Abuse tests: clients that send too much, send too slowly or never read. A healthy client must be served
//! meanwhile, and the server's memory must stay within bounds.
mod exhaustion;
mod healthy_client;
mod idle_connections;
mod slowloris;
#[path = "../support/mod.rs"]
mod support;

use healthy_client::HealthyClient;
use serde_json::json;
use support::{
    server_under_test::{Endpoint, ServerUnderTest},
    websocket::WebSocket,
};

/// A scripted model whose answer takes 50 ms.
const SHORT_MODEL: &str = "parlance.deltas-5-10";

/// Checks the healthy client and the server's health for as long as the abuse lasts.
async fn serves_during(
    server: &mut ServerUnderTest,
    max_growth_megabytes: u64,
    abuse: impl Future<Output = ()> + Send + 'static,
) {
    let healthy_client = HealthyClient::new(server, SHORT_MODEL).await;
    let abuse = tokio::spawn(abuse);
    loop {
        healthy_client.converse().await;
        server.check_health(max_growth_megabytes).unwrap();
        if abuse.is_finished() {
            return abuse.await.unwrap();
        }
    }
}

/// A WebSocket whose `connection_init` is acknowledged.
async fn open_initialized(endpoint: &Endpoint) -> WebSocket {
    let mut socket = WebSocket::open(endpoint).await;
    socket.send(&json!({ "type": "connection_init" })).await;
    assert_eq!(socket.receive().await.expect("the server acknowledges")["type"], "connection_ack");
    assert_eq!(socket.receive().await.expect("the server sends a keep-alive")["type"], "ka");
    socket
}

/// Requests a subscription without waiting for the response.
async fn send_start(socket: &mut WebSocket, id: &str, conversation_id: &str) {
    let frame = socket.start_frame(id, conversation_id);
    socket.send(&frame).await;
}
