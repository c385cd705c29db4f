//! Event streams of models, passed on to the handler and read there by the SDK.
use std::sync::{Arc, Mutex};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_bedrockruntime::{
    Client, Config,
    config::{BehaviorVersion, Credentials as Keys, Region, retry::RetryConfig},
    types::{ContentBlock, ConversationRole, Message},
};
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message as Frame};
use axum::{Router, body::Bytes, http::header::CONTENT_TYPE, routing::post};
use local::bedrock::{Upstream, forwarding_router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Target, besiege};
use crate::dice::Dice;

struct Streams {
    /// What the model answers next.
    answer: Arc<Mutex<Bytes>>,
    handler: Client,
}

async fn served(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async { axum::serve(listener, router).await });
    format!("http://{address}")
}

impl Streams {
    /// A handler's SDK, the forwarder, and a model that answers what it is told to.
    async fn new() -> Self {
        let answer = Arc::<Mutex<Bytes>>::default();
        let said = Arc::clone(&answer);
        let answered = move || {
            let bytes = said.lock().expect("nobody panicked").clone();
            async move { ([(CONTENT_TYPE, "application/vnd.amazon.eventstream")], bytes) }
        };
        let model = served(Router::new().route("/model/{id}/converse-stream", post(answered))).await;
        let credentials = SharedCredentialsProvider::new(Credentials::new("AKIDCALLER", "secret", None, None, "siege"));
        let upstream = Upstream { url: model, region: "eu-west-1".into(), credentials };
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(served(forwarding_router(upstream)).await)
            .credentials_provider(Keys::new("AKIDHANDLER", "secret", Some("token".into()), None, "siege"))
            .retry_config(RetryConfig::disabled())
            .build();
        Self { answer, handler: Client::from_conf(config) }
    }
}

fn frame(kind: &str, name: &str, payload: &Value) -> Vec<u8> {
    let header = |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
    let typed = if kind == "event" { ":event-type" } else { ":exception-type" };
    let message = Frame::new(payload.to_string())
        .add_header(header(typed, name))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", kind));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).expect("a frame");
    bytes
}

fn events() -> Vec<(&'static str, &'static str, Value)> {
    let delta = |delta: Value| ("event", "contentBlockDelta", json!({ "contentBlockIndex": 0, "delta": delta }));
    vec![
        ("event", "messageStart", json!({ "role": "assistant" })),
        delta(json!({ "text": "Hello" })),
        delta(json!({ "text": "🙂", "toolUse": { "input": "{" } })),
        delta(json!({ "reasoningContent": { "redactedContent": "====" } })),
        ("event", "contentBlockStop", json!({ "contentBlockIndex": -1 })),
        ("event", "messageStop", json!({ "stopReason": "end_turn" })),
        (
            "event",
            "metadata",
            json!({ "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 }, "metrics": { "latencyMs": 4 } }),
        ),
        ("exception", "throttlingException", json!({ "message": "Slow down." })),
        ("event", "unheard of", json!([])),
    ]
}

impl Target for Streams {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let whole = events().iter().flat_map(|(kind, name, payload)| frame(kind, name, payload)).collect::<Vec<_>>();
        let mut longer = whole.clone();
        longer[..4].copy_from_slice(&u32::MAX.to_be_bytes());
        let nothing = [0, 0, 0, 16, 0, 0, 0, 0, 5, 194, 72, 235, 125, 152, 200, 255].to_vec();
        vec![whole.clone(), whole[..whole.len() / 2].to_vec(), longer, nothing, Vec::new(), vec![0; 100_000]]
    }

    /// Mostly frames whose sums are right and whose content is not.
    fn compose(&mut self, dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
        if dice.one_in(3) {
            return dice.mutated(corpus);
        }
        let events = events();
        let frames = (0..=dice.below(6)).flat_map(|_| {
            let (kind, name, payload) = dice.among(&events);
            frame(kind, name, &if dice.one_in(2) { dice.mutated_json(payload) } else { payload.clone() })
        });
        frames.collect()
    }

    async fn take(&mut self, input: &[u8]) -> Result<(), String> {
        *self.answer.lock().expect("nobody panicked") = Bytes::copy_from_slice(input);
        let question = Message::builder().role(ConversationRole::User).content(ContentBlock::Text("Hello?".into()));
        let asked = self.handler.converse_stream().model_id("any").messages(question.build().expect("a message"));
        let Ok(answer) = asked.send().await else { return Ok(()) };
        let mut stream = answer.stream;
        let heard = tokio::spawn(async move { while let Ok(Some(_)) = stream.recv().await {} });
        heard.await.map_err(|panicked| panicked.to_string())
    }
}

#[tokio::test]
async fn event_streams_of_models() {
    besiege("event streams", 80, &mut Streams::new().await).await;
}
