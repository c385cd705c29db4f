//! A Bedrock server with an AWS SDK client, and the results of its streams.
use std::net::SocketAddr;

use aws_sdk_bedrockruntime::{
    Client, Config,
    config::{
        BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    operation::converse_stream::{ConverseStreamError, builders::ConverseStreamFluentBuilder},
    types::{
        ContentBlock, ContentBlockDelta, ContentBlockStart, ConversationRole, ConverseStreamOutput,
        InferenceConfiguration, Message, StopReason, TokenUsage, error::ConverseStreamOutputError,
    },
};
use axum::Router;
use tokio::net::TcpListener;

pub struct Bedrock {
    pub address: SocketAddr,
    client: Client,
}

/// The events of a response, and its failure if it failed.
#[derive(Debug, Default)]
pub struct StreamResult {
    pub deltas: Vec<String>,
    /// Deltas that are not text, by kind.
    pub others: Vec<&'static str>,
    pub calls: Vec<StreamedCall>,
    pub stop: Option<StopReason>,
    pub usage: Option<TokenUsage>,
    pub failure: Option<Failure>,
}

/// A tool use as it was streamed.
#[derive(Debug)]
pub struct StreamedCall {
    pub id: String,
    pub name: String,
    pub fragments: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An error or exception of Bedrock, by its code.
    Service(String),
    /// The connection broke.
    Connection,
}

impl Bedrock {
    pub async fn start() -> Self {
        Self::serve(local::bedrock::router()).await
    }

    pub async fn serve(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async { axum::serve(listener, router).await });
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

    pub async fn send_text(&self, model_id: &str, text: &str) -> StreamResult {
        self.converse(model_id, [message(ConversationRole::User, text)]).await
    }

    pub async fn converse(&self, model_id: &str, messages: impl IntoIterator<Item = Message>) -> StreamResult {
        receive(self.request(model_id).set_messages(Some(messages.into_iter().collect()))).await
    }

    pub async fn send_with_limits(&self, model_id: &str, max_tokens: i32, stop_sequence: &str) -> StreamResult {
        let inference = InferenceConfiguration::builder().max_tokens(max_tokens).stop_sequences(stop_sequence).build();
        receive(self.request(model_id).messages(message(ConversationRole::User, "Hello")).inference_config(inference))
            .await
    }

    pub fn request(&self, model_id: &str) -> ConverseStreamFluentBuilder {
        self.client.converse_stream().model_id(model_id)
    }
}

impl StreamedCall {
    pub fn arguments(&self) -> String {
        self.fragments.concat()
    }
}

impl StreamResult {
    pub fn text(&self) -> String {
        self.deltas.concat()
    }

    pub fn as_message(&self) -> Message {
        message(ConversationRole::Assistant, &self.text())
    }

    pub fn code(&self) -> Option<&str> {
        match &self.failure {
            Some(Failure::Service(code)) => Some(code),
            Some(Failure::Connection) => Some("connection"),
            None => None,
        }
    }

    fn add(&mut self, event: ConverseStreamOutput) {
        match event {
            ConverseStreamOutput::ContentBlockDelta(block) => match block.delta.expect("a delta") {
                ContentBlockDelta::Text(text) => self.deltas.push(text),
                ContentBlockDelta::ReasoningContent(_) => self.others.push("reasoning"),
                ContentBlockDelta::ToolUse(delta) => {
                    self.others.push("tool use");
                    self.calls.last_mut().expect("a call has begun").fragments.push(delta.input);
                }
                ContentBlockDelta::Citation(_) => self.others.push("citation"),
                unknown => panic!("{unknown:?}"),
            },
            ConverseStreamOutput::ContentBlockStart(block) => match block.start.expect("a start") {
                ContentBlockStart::ToolUse(start) => {
                    self.calls.push(StreamedCall { id: start.tool_use_id, name: start.name, fragments: Vec::new() });
                }
                unknown => panic!("{unknown:?}"),
            },
            ConverseStreamOutput::MessageStop(stop) => self.stop = Some(stop.stop_reason),
            ConverseStreamOutput::Metadata(metadata) => self.usage = metadata.usage,
            _ => {}
        }
    }
}

pub fn message(role: ConversationRole, text: &str) -> Message {
    Message::builder().role(role).content(ContentBlock::Text(text.to_owned())).build().expect("a message")
}

/// Receives a response to its end.
pub async fn receive(request: ConverseStreamFluentBuilder) -> StreamResult {
    let mut result = StreamResult::default();
    let mut stream = match request.send().await {
        Ok(response) => response.stream,
        Err(SdkError::ServiceError(error)) => return StreamResult { failure: Some(error_code(error.err())), ..result },
        Err(_) => return StreamResult { failure: Some(Failure::Connection), ..result },
    };
    loop {
        match stream.recv().await {
            Ok(Some(event)) => result.add(event),
            Ok(None) => return result,
            Err(SdkError::ServiceError(error)) => {
                return StreamResult { failure: Some(exception_name(error.err())), ..result };
            }
            Err(_) => return StreamResult { failure: Some(Failure::Connection), ..result },
        }
    }
}

fn error_code(error: &ConverseStreamError) -> Failure {
    Failure::Service(error.code().expect("a code").to_owned())
}

/// The name of an exception in the stream. The SDK gives it a type and no code.
fn exception_name(error: &ConverseStreamOutputError) -> Failure {
    let name = match error {
        ConverseStreamOutputError::InternalServerException(_) => "InternalServerException",
        ConverseStreamOutputError::ModelStreamErrorException(_) => "ModelStreamErrorException",
        ConverseStreamOutputError::ThrottlingException(_) => "ThrottlingException",
        other => panic!("{other:?}"),
    };
    Failure::Service(name.to_owned())
}
