//! Those who subscribe and then hear nothing.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{SinkExt, StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::server::Server;

/// How many come in at once.
const AT_ONCE: usize = 50;
/// In how many conversations the crowd listens; nobody speaks there.
const CONVERSATIONS: usize = 100;

pub struct Crowd {
    sockets: Vec<WebSocketStream<TcpStream>>,
}

impl Crowd {
    /// One connection for each subscription.
    pub async fn gather(server: &Server, subscriptions: usize) -> Self {
        let conversations = conversations(server).await;
        let joining = (0..subscriptions).map(|number| join(server, &conversations[number % CONVERSATIONS]));
        let sockets = stream::iter(joining).buffer_unordered(AT_ONCE).try_collect().await;
        Self { sockets: sockets.expect("everybody subscribes") }
    }

    pub fn connections(&self) -> usize {
        self.sockets.len()
    }
}

async fn conversations(server: &Server) -> Vec<String> {
    let key = client::Credentials::ApiKey(server.api_key.clone());
    let api = client::AppSync::new(&server.url, key).expect("an URL");
    let mut ids = Vec::new();
    for _ in 0..CONVERSATIONS {
        ids.push(api.call(&client::requests::CreateConversation::default()).await.expect("a conversation").id);
    }
    ids
}

async fn join(server: &Server, conversation_id: &str) -> Result<WebSocketStream<TcpStream>, String> {
    let host = format!("localhost:{}", server.address().port());
    let authorization = json!({ "host": host, "x-api-key": server.api_key });
    let mut request = format!("ws://{host}/graphql/realtime").into_client_request().map_err(told)?;
    let header = URL_SAFE_NO_PAD.encode(authorization.to_string());
    let protocols = format!("graphql-ws, header-{header}").parse().map_err(told)?;
    request.headers_mut().insert("sec-websocket-protocol", protocols);
    let stream = TcpStream::connect(server.address()).await.map_err(told)?;
    let (mut socket, _) = client_async(request, stream).await.map_err(told)?;
    let variables = json!({ "conversationId": conversation_id });
    let data = json!({ "query": client::documents::ON_CONVERSATION_UPDATE, "variables": variables }).to_string();
    let payload = json!({ "data": data, "extensions": { "authorization": authorization } });
    for frame in [json!({ "type": "connection_init" }), json!({ "id": "s", "type": "start", "payload": payload })] {
        socket.send(Message::text(frame.to_string())).await.map_err(told)?;
    }
    loop {
        let heard = socket.next().await.ok_or("closed")?.map_err(told)?;
        let frame: Value = serde_json::from_slice(&heard.into_data()).unwrap_or_default();
        match frame["type"].as_str() {
            Some("start_ack") => return Ok(socket),
            Some("error" | "connection_error") => return Err(frame.to_string()),
            _ => {}
        }
    }
}

fn told(fault: impl ToString) -> String {
    fault.to_string()
}
