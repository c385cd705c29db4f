use serde_json::{Value, json};

use crate::listener::Bedrock;

struct Refused {
    status: u16,
    kind: String,
    message: String,
}

async fn refuse(bedrock: &Bedrock, body: String) -> Refused {
    let url = format!("http://{}/model/any/converse-stream", bedrock.address);
    let response = reqwest::Client::new().post(url).body(body).send().await.expect("a response");
    let kind = response.headers().get("x-amzn-errortype").map(|kind| kind.to_str().expect("a name").to_owned());
    Refused {
        status: response.status().as_u16(),
        kind: kind.unwrap_or_default(),
        message: response.json::<Value>().await.expect("JSON")["message"].as_str().expect("a message").to_owned(),
    }
}

#[tokio::test]
async fn a_transcript_that_breaks_a_rule_is_refused_in_bedrocks_words() {
    let cases: Value = serde_json::from_str(include_str!("refusals.json")).expect("JSON");
    let bedrock = Bedrock::start().await;
    for case in cases.as_array().expect("a list") {
        let refused = refuse(&bedrock, case["request"].to_string()).await;
        assert_eq!(refused.message, case["message"], "{}", case["request"]);
        assert_eq!((refused.status, refused.kind.as_str()), (400, "ValidationException"), "{}", case["request"]);
    }
}

#[tokio::test]
async fn too_many_stop_sequences_are_refused() {
    let messages = json!([{ "role": "user", "content": [{ "text": "Hello" }] }]);
    let body = json!({ "messages": messages, "inferenceConfig": { "stopSequences": vec!["x"; 2501] } });
    let refused = refuse(&Bedrock::start().await, body.to_string()).await;
    assert!(refused.message.ends_with("Member must have length less than or equal to 2500"), "{}", refused.message);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let refused = refuse(&Bedrock::start().await, "{".into()).await;
    assert_eq!((refused.status, refused.kind.as_str()), (400, "ValidationException"));
}
