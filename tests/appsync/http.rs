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
    api::{KEY, PATIENCE, Server, api},
    signing::{ADMINISTRATOR, PUBLISHER, Signer},
};

const QUERY: &str = r#"{"query":"{ thing(id: 1) { id } }"}"#;

type Headers<'a> = &'a [(&'a str, &'a str)];

pub struct Told {
    pub status: u16,
    pub error_type: String,
    pub body: Value,
}

pub async fn post(server: &Server, headers: Headers<'_>, body: &str) -> Told {
    let mut request = Client::new().post(server.url()).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let error_type = response.headers().get("x-amzn-errortype").map_or("", |value| value.to_str().unwrap()).to_owned();
    Told { status: response.status().as_u16(), error_type, body: response.json().await.unwrap() }
}

async fn post_signed(server: &Server, signer: Signer, signed: &str, sent: &str) -> Told {
    let headers = signer.headers(&server.address.to_string(), "/graphql", signed);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    post(server, &headers, sent).await
}

#[tokio::test]
async fn what_is_not_a_request_is_refused_in_appsyncs_words() {
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
        let told = post(&server, headers, body).await;
        assert_eq!((told.status, told.error_type.as_str()), (status, error_type), "{body}");
        assert_eq!(told.body, json!({ "errors": [{ "errorType": error_type, "message": message }] }), "{body}");
    }
}

#[tokio::test]
async fn halves_of_surrogate_pairs_reach_resolvers() {
    let server = Server::start().await;
    let query = "query($text: String) { halves(text: $text) }";
    let halves = r#""variables":{"text":"a\ud83d\ud83d\ude00"}"#;
    let told = post(&server, &[("x-api-key", KEY)], &format!(r#"{{"query":"{query}",{halves}}}"#)).await;
    assert_eq!(told.body, json!({ "data": { "halves": 4 } }));
}

#[tokio::test]
async fn a_signed_request_is_answered_and_a_changed_one_is_not() {
    let server = Server::start().await;
    let told = post_signed(&server, ADMINISTRATOR, QUERY, QUERY).await;
    assert_eq!((told.status, told.body), (200, json!({ "data": { "thing": { "id": "1" } } })));
    let told = post_signed(&server, ADMINISTRATOR, QUERY, &format!("{QUERY} ")).await;
    assert_eq!((told.status, told.error_type.as_str()), (403, "InvalidSignatureException"));
    let unknown = Signer { access_key: "AKIANOBODY", ..ADMINISTRATOR };
    let told = post_signed(&server, unknown, QUERY, QUERY).await;
    assert_eq!((told.status, told.error_type.as_str()), (403, "UnrecognizedClientException"));
}

#[tokio::test]
async fn a_role_may_call_only_the_fields_it_was_granted() {
    let server = Server::start().await;
    let publish = r#"{"query":"mutation { publish(id: 1) { id } }"}"#;
    let told = post_signed(&server, PUBLISHER, publish, publish).await;
    assert_eq!((told.status, told.body), (200, json!({ "data": { "publish": { "id": "1" } } })));
    let both = r#"{"query":"mutation { publish(id: 1) { id } sign(id: 1) { id } }"}"#;
    for denied in [QUERY, both] {
        let told = post_signed(&server, PUBLISHER, denied, denied).await;
        let entry = json!({ "errorType": "UnauthorizedException", "message": "Permission denied" });
        assert_eq!((told.status, told.body), (401, json!({ "errors": [entry] })));
    }
}

#[tokio::test]
async fn a_browser_may_ask_from_anywhere_with_the_headers_clients_send() {
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
    let asked = Client::new().post(server.url()).header("x-api-key", KEY).body(QUERY).send().await.unwrap();
    assert_eq!(asked.headers()["access-control-allow-origin"], "*");
    assert_eq!(asked.headers()["content-type"], "application/json;charset=UTF-8");
}

#[tokio::test]
async fn a_query_may_be_asked_by_get() {
    let server = Server::start().await;
    let query = [("query", "query Q($id: ID!) { thing(id: $id) { id } }"), ("variables", r#"{"id":5}"#)];
    let url = reqwest::Url::parse_with_params(&server.url(), query).unwrap();
    let response = Client::new().get(url).header("x-api-key", KEY).send().await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap(), json!({ "data": { "thing": { "id": "5" } } }));
}

#[tokio::test]
async fn resolvers_see_the_request_and_may_add_headers_to_the_response() {
    let server = Server::start().await;
    let request =
        Client::new().post(server.url()).header("x-api-key", KEY).header("X-Twice", "a").header("x-twice", "b");
    let request =
        request.header("cookie", "c=1").header("x-forwarded-for", "10.0.0.1").body(r#"{"query":"{ context }"}"#);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-answer"], "yes");
    let body: Value = response.json().await.unwrap();
    let seen: Value = serde_json::from_str(body["data"]["context"].as_str().unwrap()).unwrap();
    assert_eq!(seen["headers"]["x-twice"], json!(["a", "b"]));
    assert_eq!(seen["headers"]["x-api-key"], json!(KEY));
    assert_eq!(seen["headers"].get("cookie"), None);
    assert_eq!(seen["env"], json!({ "TABLE": "t" }));
    assert_eq!((&seen["identity"], &seen["source"], &seen["domainName"]), (&Value::Null, &Value::Null, &Value::Null));
}

#[tokio::test]
async fn introspection_answers_unless_the_api_switches_it_off() {
    let query =
        "{ schema: __schema { queryType { name } } __type(name: \"Pet\") { possibleTypes { name } } __typename }";
    let open = Server::start().await.ask(query, json!({})).await;
    let pets = json!({ "possibleTypes": [{ "name": "Cat" }, { "name": "Dog" }] });
    assert_eq!(
        open["data"],
        json!({ "schema": { "queryType": { "name": "Query" } }, "__type": pets, "__typename": "Query" })
    );
    let mut closed = api();
    closed.introspection = false;
    let closed = Server::start_with(closed, local::graphql::ApiSettings::default()).await.ask(query, json!({})).await;
    let message = "Validation error of type FieldUndefined: Field '__schema' in type 'Query' is undefined @ '__schema'";
    assert_eq!((&closed["data"], &closed["errors"][0]["message"]), (&Value::Null, &json!(message)));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_refused() {
    let settings = ApiSettings { request_timeout: Duration::from_millis(200), ..ApiSettings::default() };
    let server = Server::start_with(api(), settings).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("POST /graphql HTTP/1.1\r\nhost: localhost\r\nx-api-key: {KEY}\r\ncontent-length: 9\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    let length = timeout(PATIENCE, stream.read(&mut answer)).await.expect("it is refused").unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("RequestTimeoutException"), "{answer}");
}
