//! The HTTP endpoint: errors, signatures, CORS, request headers.
use std::time::Duration;

use local::graphql::ApiSettings;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    fixture::{KEY, Server, TIMEOUT, api},
    signing::{ADMINISTRATOR, PUBLISHER, Signer},
    socket::{Socket, data_frame},
};

const QUERY: &str = r#"{"query":"{ thing(id: 1) { id } }"}"#;

type Headers<'a> = &'a [(&'a str, &'a str)];

pub struct HttpResponse {
    pub status: u16,
    pub error_type: String,
    pub body: Value,
}

pub async fn post(server: &Server, headers: Headers<'_>, body: &str) -> HttpResponse {
    let mut request = Client::new().post(server.url()).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let error_type = response.headers().get("x-amzn-errortype").map_or("", |value| value.to_str().unwrap()).to_owned();
    HttpResponse { status: response.status().as_u16(), error_type, body: response.json().await.unwrap() }
}

async fn post_signed(server: &Server, signer: Signer, signed: &str, sent: &str) -> HttpResponse {
    let headers = signer.headers("appsync", "POST", &server.address.to_string(), "/graphql", signed.as_bytes());
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    post(server, &headers, sent).await
}

#[tokio::test]
async fn invalid_requests_have_appsyncs_errors() {
    let server = Server::start().await;
    let key = [("x-api-key", KEY)];
    let wrong = [("x-api-key", "da2-wrong")];
    let unparsable = "Unable to parse GraphQL query.";
    let cases: [(Headers, &str, u16, &str, &str); 9] = [
        (&[], QUERY, 401, "UnauthorizedException", "Valid authorization header not provided."),
        (&[("authorization", "meow")], QUERY, 401, "UnauthorizedException", "Valid authorization header not provided."),
        (&wrong, QUERY, 401, "UnauthorizedException", "You are not authorized to make this call."),
        (&key, "", 400, "MalformedHttpRequestException", "Request body is empty."),
        (&key, "meow", 400, "MalformedHttpRequestException", unparsable),
        (&key, "{}", 400, "MalformedHttpRequestException", unparsable),
        (&key, "[]", 400, "MalformedHttpRequestException", unparsable),
        (&key, r#"{"query":""}"#, 400, "MalformedHttpRequestException", unparsable),
        (&key, r#"{"query":7}"#, 400, "MalformedHttpRequestException", unparsable),
    ];
    for (headers, body, status, error_type, message) in cases {
        let response = post(&server, headers, body).await;
        assert_eq!((response.status, response.error_type.as_str()), (status, error_type), "{body}");
        assert_eq!(response.body, json!({ "errors": [{ "errorType": error_type, "message": message }] }), "{body}");
    }
}

#[tokio::test]
async fn json_that_is_no_request_object_is_unparsable() {
    let server = Server::start().await;
    let query = "{ thing(id: 1) { id } }";
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let bodies = [
        format!(r#"["{query}"]"#),
        format!(r#"["{query}", null, null]"#),
        format!(r#"{{"query":"{query}","variables":[]}}"#),
        format!(r#"{{"query":"{query}","variables":"{{}}"}}"#),
        format!(r#"{{"query":"{query}","operationName":{{}}}}"#),
        format!(r#"{{"query":"{query}"}} x"#),
        format!(r#"{{"query":"{query}",}}"#),
        format!(r#"{{"query":"{query}","variables":{{"x":01}}}}"#),
        format!("{{\"query\":\"{query}\u{1}\"}}"),
        format!(r#"{{"query":"{query}","variables":{{"x":{}}}}}"#, nested(999)),
        nested(100_000),
        "\u{feff}".to_owned(),
        r#"{"query":"\ud"}"#.to_owned(),
    ];
    for body in bodies {
        let response = post(&server, &[("x-api-key", KEY)], &body).await;
        let start: String = body.chars().take(60).collect();
        assert_eq!((response.status, response.error_type.as_str()), (400, "MalformedHttpRequestException"), "{start}");
    }
}

#[tokio::test]
async fn request_is_parsed_as_jackson_parses_json() {
    let server = Server::start().await;
    let query = "{ thing(id: 1) { id } }";
    let nested = format!("{}{}", "[".repeat(998), "]".repeat(998));
    let bodies = [
        format!("\u{feff}{{\"query\":\"{query}\"}}"),
        format!(r#"{{"query":"{{ nope }}","query":"{query}","variables":{{}},"variables":null}}"#),
        format!(r#"{{"query":"{query}","variables":{{"unused":{nested}}}}}"#),
        format!(r#"{{"query":"{query}","operationName":null,"extensions":{{"a":[1.5e3,true,null]}},"id":7}}"#),
        format!(" \r\n\t{{ \"query\" : \"{query}\" }} \n"),
    ];
    for body in bodies {
        let response = post(&server, &[("x-api-key", KEY)], &body).await;
        let start: String = body.chars().take(60).collect();
        assert_eq!(response.body, json!({ "data": { "thing": { "id": "1" } } }), "{start}");
    }
}

#[tokio::test]
async fn private_use_characters_survive_beside_lone_surrogates() {
    let server = Server::start().await;
    let query = "query($ids: [ID!], $text: String) { echo(ids: $ids) textLength(text: $text) }";
    let escape = "\u{10ffff}";
    let raw = "\u{10d800}\u{10dfff}";
    let ids = format!(r#"["\ud83d", "\udbf6\udc00", "{raw}", "{escape}{escape}", "\ud83d\ude00"]"#);
    let variables = format!(r#"{{"ids":{ids},"text":"\ud83d{escape}"}}"#);
    let body = format!(r#"{{"query":"{query}","variables":{variables}}}"#);
    let response = post(&server, &[("x-api-key", KEY)], &body).await;
    let echoed: Value = serde_json::from_str(response.body["data"]["echo"].as_str().unwrap()).unwrap();
    // A handler's result is UTF-8, in which a lone surrogate is a question mark.
    let expected = ["?", "\u{10d800}", "\u{10d800}\u{10dfff}", "\u{10ffff}\u{10ffff}", "\u{1f600}"];
    assert_eq!(echoed["ids"], json!(expected));
    assert_eq!(response.body["data"]["textLength"], 3);
}

#[tokio::test]
async fn lone_surrogates_reach_resolvers() {
    let server = Server::start().await;
    let query = "query($text: String) { textLength(text: $text) }";
    let variables = r#""variables":{"text":"a\ud83d\ud83d\ude00"}"#;
    let response = post(&server, &[("x-api-key", KEY)], &format!(r#"{{"query":"{query}",{variables}}}"#)).await;
    assert_eq!(response.body, json!({ "data": { "textLength": 4 } }));
}

#[tokio::test]
async fn signature_of_a_changed_request_is_rejected() {
    let server = Server::start().await;
    let response = post_signed(&server, ADMINISTRATOR, QUERY, QUERY).await;
    assert_eq!((response.status, response.body), (200, json!({ "data": { "thing": { "id": "1" } } })));
    let response = post_signed(&server, ADMINISTRATOR, QUERY, &format!("{QUERY} ")).await;
    assert_eq!((response.status, response.error_type.as_str()), (403, "InvalidSignatureException"));
    let unknown = Signer { access_key: "AKIANOBODY", ..ADMINISTRATOR };
    let response = post_signed(&server, unknown, QUERY, QUERY).await;
    assert_eq!((response.status, response.error_type.as_str()), (403, "UnrecognizedClientException"));
}

#[tokio::test]
async fn role_may_access_only_the_fields_of_its_policy() {
    let server = Server::start().await;
    let publish = r#"{"query":"mutation { publish(id: 1) { id } }"}"#;
    let response = post_signed(&server, PUBLISHER, publish, publish).await;
    assert_eq!((response.status, response.body), (200, json!({ "data": { "publish": { "id": "1" } } })));
    let both = r#"{"query":"mutation { publish(id: 1) { id } sign(id: 1) { id } }"}"#;
    for denied in [QUERY, both] {
        let response = post_signed(&server, PUBLISHER, denied, denied).await;
        let entry = json!({ "errorType": "UnauthorizedException", "message": "Permission denied" });
        assert_eq!((response.status, response.body), (401, json!({ "errors": [entry] })));
    }
}

#[tokio::test]
async fn cors_allows_any_origin_and_the_headers_of_clients() {
    let server = Server::start().await;
    let preflight = Client::new().request(Method::OPTIONS, server.url());
    let response = preflight.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("access-control-allow-origin"), "*");
    for name in ["authorization", "content-type", "x-api-key", "x-amz-date", "x-amz-security-token", "x-amz-user-agent"]
    {
        assert!(header("access-control-allow-headers").split(", ").any(|allowed| allowed == name), "{name}");
    }
    let response = Client::new().post(server.url()).header("x-api-key", KEY).body(QUERY).send().await.unwrap();
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    assert_eq!(response.headers()["content-type"], "application/json;charset=UTF-8");
}

#[tokio::test]
async fn query_may_be_sent_by_get() {
    let server = Server::start().await;
    let query = [("query", "query Q($id: ID!) { thing(id: $id) { id } }"), ("variables", r#"{"id":5}"#)];
    let url = reqwest::Url::parse_with_params(&server.url(), query).unwrap();
    let response = Client::new().get(url).header("x-api-key", KEY).send().await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap(), json!({ "data": { "thing": { "id": "5" } } }));
    for (variables, expected) in [("null", 200), ("", 400), ("[]", 400), ("7", 400)] {
        let query = [("query", "{ thing(id: 5) { id } }"), ("variables", variables)];
        let url = reqwest::Url::parse_with_params(&server.url(), query).unwrap();
        let response = Client::new().get(url).header("x-api-key", KEY).send().await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{variables}");
    }
}

#[tokio::test]
async fn every_response_has_cors_headers_and_a_request_id() {
    let server = Server::start().await;
    let (other, realtime) = (server.url().replace("/graphql", "/other"), format!("{}/realtime", server.url()));
    let cases = [
        (Method::POST, server.url(), 200),
        (Method::OPTIONS, server.url(), 200),
        (Method::PUT, server.url(), 405),
        (Method::DELETE, server.url(), 405),
        (Method::HEAD, server.url(), 405),
        (Method::GET, server.url(), 400),
        (Method::GET, other.clone(), 404),
        (Method::POST, other, 404),
        (Method::GET, realtime.clone(), 400),
        (Method::POST, realtime, 405),
    ];
    let mut request_ids = std::collections::BTreeSet::new();
    for (method, url, status) in cases.clone() {
        let request = Client::new().request(method.clone(), &url).header("x-api-key", KEY).body(QUERY);
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{method} {url}");
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("access-control-allow-origin").as_deref(), Some("*"), "{method} {url}");
        request_ids.extend(header("x-amzn-requestid"));
    }
    assert_eq!(request_ids.len(), cases.len(), "each response has an id of its own");
}

#[tokio::test]
async fn head_request_runs_nothing() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    socket.start("s", "subscription { onUpdate { id } }").await;
    for (method, id) in [(Method::HEAD, "1"), (Method::GET, "2")] {
        let query = [("query", format!("mutation {{ publish(id: {id}) {{ id }} }}"))];
        let url = reqwest::Url::parse_with_params(&server.url(), query).unwrap();
        Client::new().request(method, url).header("x-api-key", KEY).send().await.unwrap();
    }
    assert_eq!(socket.receive().await, data_frame("s", json!({ "onUpdate": { "id": "2" } })));
}

#[tokio::test]
async fn resolvers_see_request_headers_and_add_response_headers() {
    let server = Server::start().await;
    let request =
        Client::new().post(server.url()).header("x-api-key", KEY).header("X-Twice", "a").header("x-twice", "b");
    let request =
        request.header("cookie", "c=1").header("x-forwarded-for", "10.0.0.1").body(r#"{"query":"{ context }"}"#);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-answer"], "yes");
    let body: Value = response.json().await.unwrap();
    let context: Value = serde_json::from_str(body["data"]["context"].as_str().unwrap()).unwrap();
    assert_eq!(context["headers"]["x-twice"], json!(["a", "b"]));
    assert_eq!(context["headers"]["x-api-key"], json!(KEY));
    assert_eq!(context["headers"].get("cookie"), None);
    assert_eq!(context["env"], json!({ "TABLE": "t" }));
    assert_eq!(
        (&context["identity"], &context["source"], &context["domainName"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn introspection_can_be_disabled() {
    let query =
        "{ schema: __schema { queryType { name } } __type(name: \"Pet\") { possibleTypes { name } } __typename }";
    let enabled = Server::start().await.execute(query, json!({})).await;
    let pets = json!({ "possibleTypes": [{ "name": "Cat" }, { "name": "Dog" }] });
    assert_eq!(
        enabled["data"],
        json!({ "schema": { "queryType": { "name": "Query" } }, "__type": pets, "__typename": "Query" })
    );
    let mut api = api();
    api.introspection = false;
    let disabled = Server::start_with(api, ApiSettings::default()).await.execute(query, json!({})).await;
    let message = "Validation error of type FieldUndefined: Field '__schema' in type 'Query' is undefined @ '__schema'";
    assert_eq!((&disabled["data"], &disabled["errors"][0]["message"]), (&Value::Null, &json!(message)));
}

#[tokio::test]
async fn late_body_is_rejected() {
    let settings = ApiSettings { request_timeout: Duration::from_millis(200), ..ApiSettings::default() };
    let server = Server::start_with(api(), settings).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("POST /graphql HTTP/1.1\r\nhost: localhost\r\nx-api-key: {KEY}\r\ncontent-length: 9\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut received = vec![0; 1024];
    let length = timeout(TIMEOUT, stream.read(&mut received)).await.expect("a response").unwrap();
    let received = String::from_utf8_lossy(&received[..length]);
    assert!(received.starts_with("HTTP/1.1 408 ") && received.contains("RequestTimeoutException"), "{received}");
}
