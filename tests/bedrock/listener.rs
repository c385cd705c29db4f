//! A served Bedrock and what the SDK hears from it.
use std::net::SocketAddr;

use aws_sdk_bedrockruntime::{
    Client, Config,
    config::{
        BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    operation::converse_stream::{ConverseStreamError, builders::ConverseStreamFluentBuilder},
    types::{
        ContentBlock, ContentBlockDelta, ConversationRole, ConverseStreamOutput, InferenceConfiguration, Message,
        StopReason, TokenUsage, error::ConverseStreamOutputError,
    },
};
use tokio::net::TcpListener;

pub struct Bedrock {
    pub address: SocketAddr,
    client: Client,
}

/// Everything that came, and the code of the failure if it ended with one.
#[derive(Debug, Default)]
pub struct Heard {
    pub deltas: Vec<String>,
    /// Deltas that are not text, by kind.
    pub others: Vec<&'static str>,
    pub stop: Option<StopReason>,
    pub usage: Option<TokenUsage>,
    pub failure: Option<Failure>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Bedrock's own word for it.
    Service(String),
    /// The connection broke.
    Connection,
}

impl Bedrock {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async { axum::serve(listener, local::bedrock::router()).await });
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
            .endpoint_url(format!("http://{address}"))
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self { address, client: Client::from_conf(config) }
    }

    pub async fn ask(&self, model_id: &str, text: &str) -> Heard {
        self.converse(model_id, [said(ConversationRole::User, text)]).await
    }

    pub async fn converse(&self, model_id: &str, messages: impl IntoIterator<Item = Message>) -> Heard {
        hear(self.request(model_id).set_messages(Some(messages.into_iter().collect()))).await
    }

    pub async fn limited(&self, model_id: &str, max_tokens: i32, stop_sequence: &str) -> Heard {
        let inference = InferenceConfiguration::builder().max_tokens(max_tokens).stop_sequences(stop_sequence).build();
        hear(self.request(model_id).messages(said(ConversationRole::User, "Hello")).inference_config(inference)).await
    }

    pub fn request(&self, model_id: &str) -> ConverseStreamFluentBuilder {
        self.client.converse_stream().model_id(model_id)
    }
}

impl Heard {
    pub fn text(&self) -> String {
        self.deltas.concat()
    }

    pub fn as_message(&self) -> Message {
        said(ConversationRole::Assistant, &self.text())
    }

    pub fn code(&self) -> Option<&str> {
        match &self.failure {
            Some(Failure::Service(code)) => Some(code),
            Some(Failure::Connection) => Some("connection"),
            None => None,
        }
    }

    fn take(&mut self, event: ConverseStreamOutput) {
        match event {
            ConverseStreamOutput::ContentBlockDelta(block) => match block.delta.expect("a delta") {
                ContentBlockDelta::Text(text) => self.deltas.push(text),
                ContentBlockDelta::ReasoningContent(_) => self.others.push("reasoning"),
                ContentBlockDelta::ToolUse(_) => self.others.push("tool use"),
                ContentBlockDelta::Citation(_) => self.others.push("citation"),
                unknown => panic!("{unknown:?}"),
            },
            ConverseStreamOutput::MessageStop(stop) => self.stop = Some(stop.stop_reason),
            ConverseStreamOutput::Metadata(metadata) => self.usage = metadata.usage,
            _ => {}
        }
    }
}

pub fn said(role: ConversationRole, text: &str) -> Message {
    Message::builder().role(role).content(ContentBlock::Text(text.to_owned())).build().expect("a message")
}

/// Listens to the end, whatever it is.
pub async fn hear(request: ConverseStreamFluentBuilder) -> Heard {
    let mut heard = Heard::default();
    let mut stream = match request.send().await {
        Ok(response) => response.stream,
        Err(SdkError::ServiceError(refused)) => return Heard { failure: Some(refusal(refused.err())), ..heard },
        Err(_) => return Heard { failure: Some(Failure::Connection), ..heard },
    };
    loop {
        match stream.recv().await {
            Ok(Some(event)) => heard.take(event),
            Ok(None) => return heard,
            Err(SdkError::ServiceError(thrown)) => return Heard { failure: Some(exception(thrown.err())), ..heard },
            Err(_) => return Heard { failure: Some(Failure::Connection), ..heard },
        }
    }
}

fn refusal(error: &ConverseStreamError) -> Failure {
    Failure::Service(error.code().expect("a code").to_owned())
}

/// The SDK knows exceptions of the stream by their type alone: they carry no code.
fn exception(error: &ConverseStreamOutputError) -> Failure {
    let name = match error {
        ConverseStreamOutputError::InternalServerException(_) => "InternalServerException",
        ConverseStreamOutputError::ModelStreamErrorException(_) => "ModelStreamErrorException",
        ConverseStreamOutputError::ThrottlingException(_) => "ThrottlingException",
        other => panic!("{other:?}"),
    };
    Failure::Service(name.to_owned())
}
