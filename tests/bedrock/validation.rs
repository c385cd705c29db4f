//! Requests that Bedrock refuses with a ValidationException.
use serde_json::{Value, json};

use crate::sdk_client::Bedrock;

struct ErrorResponse {
    status: u16,
    error_type: String,
    message: String,
}

async fn send_invalid(bedrock: &Bedrock, body: String) -> ErrorResponse {
    send_invalid_to(bedrock, "any", body).await
}

async fn send_invalid_to(bedrock: &Bedrock, model_id: &str, body: String) -> ErrorResponse {
    let url = format!("http://{}/model/{model_id}/converse-stream", bedrock.address);
    let response = reqwest::Client::new().post(url).body(body).send().await.expect("a response");
    let error_type = response.headers().get("x-amzn-errortype");
    let error_type = error_type.map(|name| name.to_str().expect("a name").to_owned());
    ErrorResponse {
        status: response.status().as_u16(),
        error_type: error_type.unwrap_or_default(),
        message: response.json::<Value>().await.expect("JSON")["message"].as_str().expect("a message").to_owned(),
    }
}

#[tokio::test]
async fn invalid_transcript_is_refused_with_bedrocks_message() {
    let cases: Value = serde_json::from_str(include_str!("validation.json")).expect("JSON");
    let bedrock = Bedrock::start().await;
    for case in cases.as_array().expect("a list") {
        let model_id = case["model"].as_str().unwrap_or("any");
        let error = send_invalid_to(&bedrock, model_id, case["request"].to_string()).await;
        assert_eq!(error.message, case["message"], "{}", case["request"]);
        assert_eq!((error.status, error.error_type.as_str()), (400, "ValidationException"), "{}", case["request"]);
    }
}

#[tokio::test]
async fn too_many_stop_sequences_are_refused() {
    let messages = json!([{ "role": "user", "content": [{ "text": "Hello" }] }]);
    let body = json!({ "messages": messages, "inferenceConfig": { "stopSequences": vec!["x"; 2501] } });
    let error = send_invalid(&Bedrock::start().await, body.to_string()).await;
    assert!(error.message.ends_with("Member must have length less than or equal to 2500"), "{}", error.message);
}

#[tokio::test]
async fn body_must_be_json() {
    let error = send_invalid(&Bedrock::start().await, "{".into()).await;
    assert_eq!((error.status, error.error_type.as_str()), (400, "ValidationException"));
}

/// The handler and putAgent have the same rules. See tests/resolvers/rust_counterparts.rs.
#[tokio::test]
async fn scripted_claude_refuses_the_settings_of_the_cases() {
    let cases: Value = serde_json::from_str(include_str!("../model-settings.json")).expect("JSON");
    let bedrock = Bedrock::start().await;
    let client = reqwest::Client::new();
    for case in cases.as_array().expect("a list") {
        let model_id = case["modelId"].as_str().expect("a text").replace(':', "%3A").replace('/', "%2F");
        let url = format!("http://{}/model/{model_id}/converse-stream", bedrock.address);
        let messages = json!([{ "role": "user", "content": [{ "text": "Hello" }] }]);
        let body = json!({ "messages": messages, "inferenceConfig": case["inference"] });
        let response = client.post(url).body(body.to_string()).send().await.expect("a response");
        let is_refused = case["refused"] != json!([]);
        assert_eq!(response.status().as_u16(), if is_refused { 400 } else { 200 }, "{case}");
        if is_refused {
            let message = response.json::<Value>().await.expect("JSON")["message"].to_string();
            assert!(turn::model_settings::is_about_settings(&message), "{message}");
        }
    }
}
