//! Forwarding to Amazon Bedrock, with a scripted Bedrock as the upstream.
use std::sync::{Arc, Mutex};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_bedrockruntime::types::StopReason;
use axum::{Json, Router, extract::Request, http::HeaderMap, middleware, routing::post};
use local::{
    bedrock::{Forwarder, Upstream, forwarding_router, router, with_iam_guard},
    identity::{Authenticator, Principal},
    knowledge_base::{self, Searches},
    stack::AuthMode,
};
use serde_json::{Value, json};

use crate::sdk_client::{Bedrock, Failure};

/// A forwarder whose upstream records the authorization headers.
async fn start_forwarder(authorizations: Arc<Mutex<Vec<String>>>) -> Bedrock {
    let record = move |request: Request| {
        let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        authorizations.lock().unwrap().extend(header.map(str::to_owned));
        std::future::ready(request)
    };
    let upstream = Bedrock::serve(router().layer(middleware::map_request(record))).await;
    let credentials = Credentials::new("AKIDCALLER", "secret", Some("token".into()), None, "test");
    let upstream = Upstream {
        url: format!("http://{}", upstream.address),
        region: "eu-west-1".into(),
        credentials: SharedCredentialsProvider::new(credentials),
    };
    Bedrock::serve(with_iam_guard(forwarding_router(upstream), authenticator())).await
}

/// Knows the credentials of the tests' SDK client as those of a process of the backend, and an administrator.
fn authenticator() -> Authenticator {
    let authenticator = Authenticator::new(vec![AuthMode::Iam], Vec::new());
    let credentials = ["AKIDEXAMPLE".into(), "secret".into(), "token".into()];
    let role = "arn:aws:iam::123456789012:role/Handler";
    let everything = json!({ "Effect": "Allow", "Action": "bedrock:*", "Resource": "*" });
    authenticator.add_principal(Principal::role_session(role, "run", credentials, &[everything]));
    authenticator.add_principal(Principal::administrator(
        "123456789012",
        "ann",
        "AKIDADMINISTRATOR".into(),
        "secret".into(),
    ));
    authenticator
}

#[tokio::test]
async fn frames_are_relayed_and_request_is_signed_with_upstream_credentials() {
    let authorizations = Arc::default();
    let result = start_forwarder(Arc::clone(&authorizations)).await.send_text("parlance.deltas-3-1", "Count").await;
    assert_eq!((result.deltas.concat().as_str(), result.stop), ("0001 0002 0003 ", Some(StopReason::EndTurn)));
    let authorizations = authorizations.lock().unwrap();
    assert_eq!(authorizations.len(), 1);
    assert!(
        authorizations[0].contains("Credential=AKIDCALLER/")
            && authorizations[0].contains("/eu-west-1/bedrock/aws4_request"),
        "{}",
        authorizations[0]
    );
    assert!(authorizations[0].contains("x-amz-security-token"), "{}", authorizations[0]);
}

#[tokio::test]
async fn error_is_relayed_with_its_code() {
    let bedrock = start_forwarder(Arc::default()).await;
    assert_eq!(
        bedrock.send_text("parlance.throttled", "Hello").await.failure,
        Some(Failure::Service("ThrottlingException".into()))
    );
    let profile = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/parlance.missing";
    assert_eq!(
        bedrock.send_text(profile, "Hello").await.failure,
        Some(Failure::Service("ResourceNotFoundException".into()))
    );
}

#[tokio::test]
async fn unreachable_upstream_is_unavailable() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let credentials = SharedCredentialsProvider::new(Credentials::new("AKIDCALLER", "secret", None, None, "test"));
    let upstream = Upstream { url: format!("http://{closed}"), region: "eu-west-1".into(), credentials };
    let result = Bedrock::serve(forwarding_router(upstream)).await.send_text("any", "Hello").await;
    assert_eq!(result.failure, Some(Failure::Service("ServiceUnavailableException".into())));
}

#[tokio::test]
async fn caller_that_is_no_process_of_the_backend_is_refused() {
    let authorizations = Arc::new(Mutex::new(Vec::new()));
    let url =
        format!("http://{}/model/any/converse-stream", start_forwarder(Arc::clone(&authorizations)).await.address);
    let body = r#"{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}"#;
    for authorization in [
        "",
        "Bearer token",
        "AWS4-HMAC-SHA256 Credential=AKIDSTRANGER/20260101/us-east-1/bedrock/aws4_request",
        "AWS4-HMAC-SHA256 Credential=AKIDADMINISTRATOR/20260101/us-east-1/bedrock/aws4_request",
    ] {
        let response =
            reqwest::Client::new().post(&url).header("authorization", authorization).body(body).send().await.unwrap();
        assert_eq!(response.status(), 403, "{authorization:?}");
    }
    assert!(authorizations.lock().unwrap().is_empty(), "no request was forwarded");
}

#[tokio::test]
async fn long_transcript_is_forwarded() {
    let text = "x".repeat(3_000_000);
    let result = start_forwarder(Arc::default()).await.send_text("parlance.deltas-1-0", &text).await;
    assert_eq!(result.failure, None);
}

/// The session's id of RetrieveAndGenerateStream.
const SESSION_ID: &str = "x-amzn-bedrock-knowledge-base-session-id";

/// Answers with the request's body and its signature.
async fn echo_search(headers: HeaderMap, Json(body): Json<Value>) -> Json<Value> {
    Json(json!({ "body": body, "authorization": headers["authorization"].to_str().unwrap() }))
}

#[tokio::test]
async fn generation_of_a_function_is_forwarded_with_its_session() {
    let answer = || async { ([(SESSION_ID, "session-1")], "frames") };
    let upstream = Router::new().route("/retrieveAndGenerateStream", post(answer));
    let credentials = Credentials::new("AKIDCALLER", "secret", None, None, "test");
    let upstream = Upstream {
        url: format!("http://{}", Bedrock::serve(upstream).await.address),
        region: "eu-west-1".into(),
        credentials: SharedCredentialsProvider::new(credentials),
    };
    let searches = Searches::Forwarded(Forwarder::new(upstream));
    let bedrock = Bedrock::serve(knowledge_base::router(searches, authenticator())).await;
    let url = format!("http://{}/retrieveAndGenerateStream", bedrock.address);
    let knowledge_base = json!({ "knowledgeBaseId": "ABCDEFGHIJ", "modelArn": "a.b" });
    let configuration = json!({ "type": "KNOWLEDGE_BASE", "knowledgeBaseConfiguration": knowledge_base });
    let valid = json!({ "input": { "text": "Why?" }, "retrieveAndGenerateConfiguration": configuration });
    for (key, body, status) in [
        ("AKIDEXAMPLE", &valid, 200),
        ("AKIDEXAMPLE", &json!({ "input": { "text": "Why?" } }), 400),
        ("AKIDADMINISTRATOR", &valid, 403),
    ] {
        let authorization = format!("AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/bedrock/aws4_request");
        let request = reqwest::Client::new().post(&url).header("authorization", authorization).json(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{key} {body}");
        if status == 200 {
            assert_eq!(response.headers()[SESSION_ID], "session-1");
            assert_eq!(response.text().await.unwrap(), "frames");
        }
    }
}

#[tokio::test]
async fn search_of_a_function_is_forwarded_with_upstream_credentials() {
    let upstream = Router::new().route("/knowledgebases/ABCDEFGHIJ/retrieve", post(echo_search));
    let credentials = Credentials::new("AKIDCALLER", "secret", None, None, "test");
    let upstream = Upstream {
        url: format!("http://{}", Bedrock::serve(upstream).await.address),
        region: "eu-west-1".into(),
        credentials: SharedCredentialsProvider::new(credentials),
    };
    let searches = Searches::Forwarded(Forwarder::new(upstream));
    let bedrock = Bedrock::serve(knowledge_base::router(searches, authenticator())).await;
    let url = format!("http://{}/knowledgebases/ABCDEFGHIJ/retrieve", bedrock.address);
    let search = json!({ "retrievalQuery": { "text": "Why?" } });
    for (key, status) in [("AKIDEXAMPLE", 200), ("AKIDADMINISTRATOR", 403), ("AKIDSTRANGER", 403)] {
        let authorization = format!("AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/bedrock/aws4_request");
        let request = reqwest::Client::new().post(&url).header("authorization", authorization).json(&search);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{key}");
        let body: Value = response.json().await.unwrap();
        if status == 200 {
            assert_eq!(body["body"], search);
            assert!(body["authorization"].as_str().unwrap().contains("Credential=AKIDCALLER/"), "{body}");
        }
    }
}
