//! Idle subscribers, each with a connection of its own.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{SinkExt, StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::server::Server;

/// How many subscribers connect at the same time.
const CONCURRENT_CONNECTS: usize = 50;
/// The subscribers are distributed over this many conversations, which have no messages.
const CONVERSATIONS: usize = 100;

pub struct Subscribers {
    sockets: Vec<WebSocketStream<TcpStream>>,
}

impl Subscribers {
    pub async fn connect(server: &Server, count: usize) -> Self {
        let conversations = create_conversations(server).await;
        let connecting = (0..count).map(|number| subscribe(server, &conversations[number % CONVERSATIONS]));
        let sockets = stream::iter(connecting).buffer_unordered(CONCURRENT_CONNECTS).try_collect().await;
        Self { sockets: sockets.expect("every subscription is acknowledged") }
    }

    pub fn connections(&self) -> usize {
        self.sockets.len()
    }
}

async fn create_conversations(server: &Server) -> Vec<String> {
    let key = client::Credentials::ApiKey(server.api_key.clone());
    let api = client::AppSync::new(&server.url, key).expect("the URL is valid");
    let mut ids = Vec::new();
    for _ in 0..CONVERSATIONS {
        let request = client::requests::CreateConversation::default();
        ids.push(api.call(&request).await.expect("the conversation is created").id);
    }
    ids
}

async fn subscribe(server: &Server, conversation_id: &str) -> Result<WebSocketStream<TcpStream>, String> {
    let host = format!("localhost:{}", server.address().port());
    let authorization = json!({ "host": host, "x-api-key": server.api_key });
    let mut request = format!("ws://{host}/graphql/realtime").into_client_request().map_err(to_text)?;
    let header = URL_SAFE_NO_PAD.encode(authorization.to_string());
    let protocols = format!("graphql-ws, header-{header}").parse().map_err(to_text)?;
    request.headers_mut().insert("sec-websocket-protocol", protocols);
    let stream = TcpStream::connect(server.address()).await.map_err(to_text)?;
    let (mut socket, _) = client_async(request, stream).await.map_err(to_text)?;
    let variables = json!({ "conversationId": conversation_id });
    let data = json!({ "query": client::documents::ON_CONVERSATION_UPDATE, "variables": variables }).to_string();
    let payload = json!({ "data": data, "extensions": { "authorization": authorization } });
    for frame in [json!({ "type": "connection_init" }), json!({ "id": "s", "type": "start", "payload": payload })] {
        socket.send(Message::text(frame.to_string())).await.map_err(to_text)?;
    }
    loop {
        let message = socket.next().await.ok_or("the connection is closed")?.map_err(to_text)?;
        let frame: Value = serde_json::from_slice(&message.into_data()).unwrap_or_default();
        match frame["type"].as_str() {
            Some("start_ack") => return Ok(socket),
            Some("error" | "connection_error") => return Err(frame.to_string()),
            _ => {}
        }
    }
}

fn to_text(error: impl ToString) -> String {
    error.to_string()
}
