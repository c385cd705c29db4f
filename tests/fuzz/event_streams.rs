//! Event streams of a real model, forwarded to the handler and parsed there by the AWS SDK.
use std::sync::{Arc, Mutex};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_bedrockruntime::{
    Client, Config,
    config::{BehaviorVersion, Credentials as SdkCredentials, Region, retry::RetryConfig},
    types::{ContentBlock, ConversationRole, Message},
};
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message as Frame};
use axum::{Router, body::Bytes, http::header::CONTENT_TYPE, routing::post};
use local::bedrock::{Upstream, forwarding_router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    fuzzer::{Target, fuzz},
    mutator::Mutator,
};

struct EventStreams {
    /// The body of the model's next response.
    model_response: Arc<Mutex<Bytes>>,
    client: Client,
}

impl EventStreams {
    /// A client as the handler has it, the forwarding server, and a model behind it.
    async fn new() -> Self {
        let model_response = Arc::<Mutex<Bytes>>::default();
        let response = Arc::clone(&model_response);
        let respond = move || {
            let body = response.lock().expect("no holder panics").clone();
            async move { ([(CONTENT_TYPE, "application/vnd.amazon.eventstream")], body) }
        };
        let model_url = serve(Router::new().route("/model/{id}/converse-stream", post(respond))).await;
        let credentials = SharedCredentialsProvider::new(Credentials::new("AKIDCALLER", "secret", None, None, "fuzz"));
        let upstream = Upstream { url: model_url, region: "eu-west-1".into(), credentials };
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(serve(forwarding_router(upstream)).await)
            .credentials_provider(SdkCredentials::new("AKIDHANDLER", "secret", Some("token".into()), None, "fuzz"))
            .retry_config(RetryConfig::disabled())
            .build();
        Self { model_response, client: Client::from_conf(config) }
    }
}

/// Serves the routes on a free port and returns their URL.
pub async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("the listener has an address");
    tokio::spawn(async { axum::serve(listener, router).await });
    format!("http://{address}")
}

pub struct StreamMessage {
    message_type: &'static str,
    name: &'static str,
    pub payload: Value,
}

impl StreamMessage {
    pub fn event(name: &'static str, payload: Value) -> Self {
        Self { message_type: "event", name, payload }
    }

    pub fn content_block_delta(delta: Value) -> Self {
        Self::event("contentBlockDelta", json!({ "contentBlockIndex": 0, "delta": delta }))
    }

    /// The bytes of the event with another payload, with valid checksums.
    pub fn frame(&self, payload: &Value) -> Vec<u8> {
        let header = |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
        let name_header = if self.message_type == "event" { ":event-type" } else { ":exception-type" };
        let message = Frame::new(payload.to_string())
            .add_header(header(name_header, self.name))
            .add_header(header(":content-type", "application/json"))
            .add_header(header(":message-type", self.message_type));
        let mut bytes = Vec::new();
        write_message_to(&message, &mut bytes).expect("the frame is valid");
        bytes
    }
}

fn events() -> Vec<StreamMessage> {
    let usage = json!({ "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 });
    vec![
        StreamMessage::event("messageStart", json!({ "role": "assistant" })),
        StreamMessage::content_block_delta(json!({ "text": "Hello" })),
        StreamMessage::content_block_delta(json!({ "text": "🙂", "toolUse": { "input": "{" } })),
        StreamMessage::content_block_delta(json!({ "reasoningContent": { "redactedContent": "====" } })),
        StreamMessage::event("contentBlockStop", json!({ "contentBlockIndex": -1 })),
        StreamMessage::event("messageStop", json!({ "stopReason": "end_turn" })),
        StreamMessage::event("metadata", json!({ "usage": usage, "metrics": { "latencyMs": 4 } })),
        StreamMessage {
            message_type: "exception",
            name: "throttlingException",
            payload: json!({ "message": "Slow down." }),
        },
        StreamMessage::event("unknownEvent", json!([])),
    ]
}

impl Target for EventStreams {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let whole = events().iter().flat_map(|event| event.frame(&event.payload)).collect::<Vec<_>>();
        let half = whole[..whole.len() / 2].to_vec();
        let mut giant_length = whole.clone();
        giant_length[..4].copy_from_slice(&u32::MAX.to_be_bytes());
        let empty_message = [0, 0, 0, 16, 0, 0, 0, 0, 5, 194, 72, 235, 125, 152, 200, 255].to_vec();
        vec![whole, half, giant_length, empty_message, Vec::new(), vec![0; 100_000]]
    }

    /// In two cases of three, frames with valid checksums and mutated payloads.
    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        if mutator.one_in(3) {
            return mutator.mutate_any(corpus);
        }
        let events = events();
        let frames = (0..=mutator.below(6)).flat_map(|_| {
            let event = mutator.choose(&events);
            let payload = if mutator.one_in(2) { mutator.mutate_json(&event.payload) } else { event.payload.clone() };
            event.frame(&payload)
        });
        frames.collect()
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        *self.model_response.lock().expect("no holder panics") = Bytes::copy_from_slice(input);
        let question = Message::builder().role(ConversationRole::User).content(ContentBlock::Text("Hello?".into()));
        let question = question.build().expect("the message is complete");
        let Ok(response) = self.client.converse_stream().model_id("any").messages(question).send().await else {
            return Ok(());
        };
        let mut stream = response.stream;
        let read = tokio::spawn(async move { while let Ok(Some(_)) = stream.recv().await {} });
        read.await.map_err(|panic| panic.to_string())
    }
}

#[tokio::test]
async fn model_event_streams() {
    fuzz("event streams", 80, &mut EventStreams::new().await).await;
}
