//! The way to Amazon Bedrock itself, with a scripted one at its end.
use std::sync::{Arc, Mutex};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_bedrockruntime::types::StopReason;
use axum::{extract::Request, middleware};
use local::{
    bedrock::{Upstream, forward, guarded, router},
    identity::{Authenticator, Principal},
    stack::AuthMode,
};
use serde_json::json;

use crate::listener::{Bedrock, Failure};

/// A forwarder to a Bedrock that remembers who asked it.
async fn forwarder(seen: Arc<Mutex<Vec<String>>>) -> Bedrock {
    let remember = move |request: Request| {
        let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        seen.lock().unwrap().extend(header.map(str::to_owned));
        std::future::ready(request)
    };
    let upstream = Bedrock::serving(router().layer(middleware::map_request(remember))).await;
    let credentials = Credentials::new("AKIDCALLER", "secret", Some("token".into()), None, "test");
    let upstream = Upstream {
        url: format!("http://{}", upstream.address),
        region: "eu-west-1".into(),
        credentials: SharedCredentialsProvider::new(credentials),
    };
    Bedrock::serving(guarded(forward(upstream), authenticator())).await
}

/// Whom the SDK of these tests asks as, taken for a process of the backend's own; and a user, who is not.
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
async fn an_answer_comes_through_frame_by_frame_in_the_callers_name() {
    let seen = Arc::default();
    let heard = forwarder(Arc::clone(&seen)).await.ask("parlance.deltas-3-1", "Count").await;
    assert_eq!((heard.deltas.concat().as_str(), heard.stop), ("0001 0002 0003 ", Some(StopReason::EndTurn)));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert!(
        seen[0].contains("Credential=AKIDCALLER/") && seen[0].contains("/eu-west-1/bedrock/aws4_request"),
        "{}",
        seen[0]
    );
    assert!(seen[0].contains("x-amz-security-token"), "{}", seen[0]);
}

#[tokio::test]
async fn a_refusal_comes_through_with_its_name() {
    let bedrock = forwarder(Arc::default()).await;
    assert_eq!(
        bedrock.ask("parlance.throttled", "Hello").await.failure,
        Some(Failure::Service("ThrottlingException".into()))
    );
    let profile = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/parlance.missing";
    assert_eq!(bedrock.ask(profile, "Hello").await.failure, Some(Failure::Service("ResourceNotFoundException".into())));
}

#[tokio::test]
async fn a_bedrock_that_cannot_be_reached_is_unavailable() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let credentials = SharedCredentialsProvider::new(Credentials::new("AKIDCALLER", "secret", None, None, "test"));
    let upstream = Upstream { url: format!("http://{closed}"), region: "eu-west-1".into(), credentials };
    let heard = Bedrock::serving(forward(upstream)).await.ask("any", "Hello").await;
    assert_eq!(heard.failure, Some(Failure::Service("ServiceUnavailableException".into())));
}

#[tokio::test]
async fn who_is_not_one_of_the_backends_own_processes_is_refused() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let url = format!("http://{}/model/any/converse-stream", forwarder(Arc::clone(&seen)).await.address);
    let body = r#"{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}"#;
    for authorization in [
        "",
        "Bearer token",
        "AWS4-HMAC-SHA256 Credential=AKIDSTRANGER/20260101/us-east-1/bedrock/aws4_request",
        "AWS4-HMAC-SHA256 Credential=AKIDADMINISTRATOR/20260101/us-east-1/bedrock/aws4_request",
    ] {
        let asked =
            reqwest::Client::new().post(&url).header("authorization", authorization).body(body).send().await.unwrap();
        assert_eq!(asked.status(), 403, "{authorization:?}");
    }
    assert!(seen.lock().unwrap().is_empty(), "nothing was signed for a stranger");
}

#[tokio::test]
async fn a_long_transcript_passes() {
    let text = "x".repeat(3_000_000);
    let heard = forwarder(Arc::default()).await.ask("parlance.deltas-1-0", &text).await;
    assert_eq!(heard.failure, None);
}
