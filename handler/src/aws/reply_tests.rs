//! Replies against an HTTP server that answers as AppSync Events and API Gateway do.
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::IntoResponse,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use turn::replies::{Connection, MessageKind, ReplyFailure, ReplyMessage};

use super::{
    connections::{self, Connections},
    dynamodb::test_support::{embedded_table, key},
    events::{self, EventsApi},
    http_client,
    signed_http::{self, SignedHttp},
};

struct Request {
    path: String,
    authorization: String,
    body: String,
}

#[derive(Clone)]
struct Server {
    /// The statuses of the next responses, the last one for all later ones.
    statuses: Arc<Mutex<Vec<u16>>>,
    body: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Returns the server and its URL.
    async fn start(statuses: &[u16], body: Value) -> (Self, String) {
        let statuses = Arc::new(Mutex::new(statuses.iter().rev().copied().collect()));
        let server = Self { statuses, body: body.to_string(), requests: Arc::default() };
        let router = Router::new().fallback(answer).with_state(server.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (server, url)
    }

    fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

async fn answer(State(server): State<Server>, uri: Uri, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let authorization = headers["authorization"].to_str().unwrap().to_owned();
    let body = String::from_utf8(body.to_vec()).unwrap();
    server.requests.lock().unwrap().push(Request { path: uri.path().to_owned(), authorization, body });
    let mut statuses = server.statuses.lock().unwrap();
    let status = if statuses.len() > 1 { statuses.pop().unwrap() } else { statuses[0] };
    (StatusCode::from_u16(status).unwrap(), server.body.clone())
}

fn signed_http() -> SignedHttp {
    let credentials = Credentials::new("AKID", "secret", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    signed_http::from_config(http_client().unwrap(), &config).unwrap()
}

fn messages<const N: usize>(texts: [&str; N]) -> Vec<ReplyMessage> {
    let message = |(index, text): (usize, &str)| ReplyMessage {
        sequence: index as u32 + 1,
        text: text.to_owned(),
        kind: MessageKind::Delta,
    };
    texts.into_iter().enumerate().map(message).collect()
}

#[tokio::test]
async fn events_are_published_in_one_signed_request() {
    let (server, url) = Server::start(&[200], json!({ "failed": [], "successful": [] })).await;
    let events_api = EventsApi::new(signed_http(), &format!("{url}/event"));
    let texts = [r#"{"sequence":1}"#, r#"{"text":"é <b>"}"#];
    assert_eq!(events::publish(&events_api, "/chat/responses/ann", &messages(texts)).await, Ok(()));
    let [request] = server.take_requests().try_into().ok().unwrap();
    assert_eq!(request.path, "/event");
    assert!(request.authorization.contains("/eu-west-1/appsync/aws4_request"), "{}", request.authorization);
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body, json!({ "channel": "/chat/responses/ann", "events": texts }));
}

#[tokio::test]
async fn failed_event_of_a_publish_is_not_repeated() {
    let failed = json!({ "identifier": "a", "index": 0, "code": "EventTooLargeException", "message": "No." });
    for body in [json!({ "failed": [failed], "successful": [] }), json!({ "failed": [{ "index": 9 }] }), json!(7)] {
        let (server, url) = Server::start(&[200], body).await;
        let events_api = EventsApi::new(signed_http(), &url);
        assert_eq!(events::publish(&events_api, "/chat/responses/ann", &messages(["{}"])).await, Ok(()));
        assert_eq!(server.take_requests().len(), 1);
    }
}

#[tokio::test]
async fn errors_of_events_say_whether_to_try_again() {
    use ReplyFailure::{Refused, Retryable};
    let cases = [(400, Refused), (401, Refused), (404, Refused), (410, Refused), (429, Retryable), (503, Retryable)];
    for (status, expected) in cases {
        let (_, url) = Server::start(&[status], json!({ "errors": [] })).await;
        let events_api = EventsApi::new(signed_http(), &url);
        assert_eq!(events::publish(&events_api, "/a", &messages(["{}"])).await, Err(expected), "{status}");
    }
    let closed = EventsApi::new(signed_http(), "http://127.0.0.1:1/event");
    assert_eq!(events::publish(&closed, "/a", &messages(["{}"])).await, Err(Retryable));
}

#[tokio::test]
async fn connection_gets_each_message_as_it_is() {
    let (server, url) = Server::start(&[200], Value::Null).await;
    let connections = Connections::new(signed_http(), &format!("{url}/prod/"));
    let to = Connection { connection_id: "L0S+9c/vHw=".into(), user_id: "ann".into() };
    let table = embedded_table().await;
    assert_eq!(connections::send(&connections, &to, &messages(["{}", "é"]), &table).await, Ok(()));
    let [first, second] = server.take_requests().try_into().ok().unwrap();
    assert_eq!(first.path, "/prod/@connections/L0S%2B9c%2FvHw%3D");
    assert!(first.authorization.contains("/eu-west-1/execute-api/aws4_request"), "{}", first.authorization);
    assert_eq!((first.body.as_str(), second.body.as_str()), ("{}", "é"));
}

#[tokio::test]
async fn errors_of_a_connection_say_whether_it_is_gone_and_then_it_is_deleted() {
    use ReplyFailure::{Gone, Refused, Retryable};
    let cases = [(400, Refused), (403, Refused), (410, Gone), (413, Refused), (429, Retryable), (500, Retryable)];
    for (status, expected) in cases {
        let (server, url) = Server::start(&[200, status], Value::Null).await;
        let connections = Connections::new(signed_http(), &url);
        let to = Connection { connection_id: "abc=".into(), user_id: "https://a.example#ann".into() };
        let table = embedded_table().await;
        table.put_items([key("CONNECTIONS#https://a.example#ann", "abc=")]).await;
        let result = connections::send(&connections, &to, &messages(["1", "2", "3"]), &table).await;
        assert_eq!(result, Err(expected), "{status}");
        assert_eq!(table.all_items().await.is_empty(), expected == Gone, "{status}");
        assert_eq!(server.take_requests().len(), 2, "nothing is sent after a failure");
    }
}
