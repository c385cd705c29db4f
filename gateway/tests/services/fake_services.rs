//! One HTTP server with the GraphQL API, the Events API and the connections; its requests are recorded.
use std::{
    collections::VecDeque,
    future::pending,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use api::{
    delivery::{Connections, EventsApi},
    signed_http::SignedHttp,
};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use gateway::{connection_table::ConnectionTable, graphql::GraphqlApi};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const TABLE: &str = "parlance";

#[derive(Clone)]
pub struct FakeServices {
    url: String,
    state: Arc<Mutex<FakeState>>,
}

#[derive(Default)]
struct FakeState {
    requests: Vec<Request>,
    /// The next responses of the GraphQL API. Afterwards it accepts everything.
    graphql: VecDeque<(u16, Value)>,
    /// The next responses of the Events API and of the connections. Afterwards they accept everything.
    deliveries: VecDeque<(u16, Value)>,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub authorization: String,
    pub body: String,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl FakeServices {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let services = Self { url, state: Arc::default() };
        let router = Router::new().fallback(serve).with_state(services.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        services
    }

    pub fn graphql_responses(&self, responses: impl IntoIterator<Item = (u16, Value)>) {
        self.state.lock().unwrap().graphql.extend(responses);
    }

    pub fn delivery_responses(&self, responses: impl IntoIterator<Item = (u16, Value)>) {
        self.state.lock().unwrap().deliveries.extend(responses);
    }

    /// The requests since the last call.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// The variables of the calls of the GraphQL API, and the messages that were delivered, since the last
    /// call.
    pub fn take_calls_and_messages(&self) -> (Vec<Value>, Vec<Value>) {
        let requests = self.take_requests();
        let (calls, deliveries): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|request| request.path == "/graphql");
        let messages = deliveries.iter().flat_map(|request| match request.path.as_str() {
            "/event" => {
                let events = request.json()["events"].as_array().unwrap().clone();
                events.iter().map(|event| serde_json::from_str(event.as_str().unwrap()).unwrap()).collect()
            }
            _ => vec![request.json()],
        });
        (calls.iter().map(|call| call.json()["variables"].clone()).collect(), messages.collect())
    }

    pub fn api(&self) -> GraphqlApi {
        GraphqlApi::new(signed_http(), &format!("{}/graphql", self.url))
    }

    pub fn events_api(&self) -> EventsApi {
        EventsApi::new(signed_http(), &format!("{}/event", self.url))
    }

    pub fn connections(&self) -> Connections {
        Connections::new(signed_http(), &format!("{}/prod/", self.url))
    }

    fn respond(&self, request: Request) -> (StatusCode, String) {
        let mut state = self.state.lock().unwrap();
        let is_graphql = request.path == "/graphql";
        let responses = if is_graphql { &mut state.graphql } else { &mut state.deliveries };
        let (status, body) = responses.pop_front().unwrap_or_else(|| match is_graphql {
            true => (200, accepted(&request.json())),
            false => (200, json!({ "failed": [], "successful": [] })),
        });
        state.requests.push(request);
        (StatusCode::from_u16(status).unwrap(), body.to_string())
    }
}

/// A turn in the conversation of the variables, or in a new one.
fn accepted(request: &Value) -> Value {
    let variables = &request["variables"];
    let named = [&variables["input"]["conversationId"], &variables["conversationId"]];
    let conversation_id = named.into_iter().find_map(Value::as_str).unwrap_or("new");
    let id = [&variables["input"]["id"], &variables["id"]].into_iter().find_map(Value::as_str).unwrap_or("t1");
    let turn = json!({ "id": id, "conversationId": conversation_id, "status": "CANCELLING" });
    let fields = ["sendMessage", "cancelTurn", "retryTurn", "continueTurn", "answerToolCall", "getTurn"];
    let query = request["query"].as_str().unwrap();
    let field = fields.into_iter().find(|field| query.contains(&format!(" {field}("))).unwrap_or("getConversation");
    json!({ "data": { field: turn } })
}

async fn serve(
    State(services): State<FakeServices>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    services.respond(Request {
        path: uri.path().to_owned(),
        authorization: authorization.to_owned(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    })
}

pub fn graphql_error(error_type: &str, message: &str, info: Value) -> (u16, Value) {
    let error = json!({ "errorType": error_type, "message": message, "errorInfo": info, "path": [], "locations": [] });
    (200, json!({ "data": null, "errors": [error] }))
}

/// The end of an invocation.
pub fn in_20_seconds() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub fn signed_http() -> SignedHttp {
    let credentials = Credentials::new("AKIAEXAMPLE", "secret", Some("token".into()), None, "test");
    SignedHttp::new(reqwest::Client::new(), "eu-west-1", SharedCredentialsProvider::new(credentials))
}

/// The table in an embedded DynamoDB.
pub struct FakeTable {
    endpoint: String,
}

impl FakeTable {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let database = dynoxide::Database::memory().unwrap();
        tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, pending()));
        let table = Self { endpoint };
        let attribute = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
        let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
        let definition = json!({
            "TableName": TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [attribute("pk"), attribute("sk")],
            "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
        });
        table.call("CreateTable", definition).await;
        table
    }

    pub fn client(&self) -> ConnectionTable {
        ConnectionTable::new(signed_http(), Some(&self.endpoint), TABLE)
    }

    pub async fn put(&self, item: Value) {
        self.call("PutItem", json!({ "TableName": TABLE, "Item": item })).await;
    }

    pub async fn items(&self) -> Vec<Value> {
        self.call("Scan", json!({ "TableName": TABLE })).await["Items"].as_array().unwrap().clone()
    }

    async fn call(&self, operation: &str, request: Value) -> Value {
        let post = reqwest::Client::new()
            .post(&self.endpoint)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=b")
            .header("x-amz-date", "20260101T000000Z");
        let response = post.body(request.to_string()).send().await.unwrap();
        let status = response.status();
        let body = response.text().await.unwrap();
        assert!(status.is_success(), "{operation}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}
