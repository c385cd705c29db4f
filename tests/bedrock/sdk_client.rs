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
        CachePointBlock, CachePointType, CacheTtl, ContentBlock, ContentBlockDelta, ContentBlockStart,
        ConversationRole, ConverseStreamOutput, GuardrailTraceAssessment, InferenceConfiguration, Message,
        ReasoningContentBlockDelta, StopReason, TokenUsage, Tool, ToolInputSchema, ToolSpecification,
        error::ConverseStreamOutputError,
    },
};
use aws_smithy_types::{Blob, Document};
use axum::Router;
use local::bedrock::{Guardrail, ScriptedModels, scripted_router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub struct Bedrock {
    pub address: SocketAddr,
    pub client: Client,
}

/// The events of a response, and its failure if it failed.
#[derive(Debug, Default)]
pub struct StreamResult {
    pub deltas: Vec<String>,
    /// Deltas that are not text, by kind.
    pub others: Vec<&'static str>,
    /// The kinds of the blocks, with their indices, in the order of their first deltas.
    pub blocks: Vec<(i32, &'static str)>,
    pub reasoning: StreamedReasoning,
    pub calls: Vec<StreamedCall>,
    pub stop: Option<StopReason>,
    pub usage: Option<TokenUsage>,
    pub trace: Option<GuardrailTraceAssessment>,
    pub failure: Option<Failure>,
    /// Of the failure.
    pub message: Option<String>,
}

/// The reasoning of an answer as it was streamed.
#[derive(Debug, Default)]
pub struct StreamedReasoning {
    pub deltas: Vec<String>,
    pub signatures: Vec<String>,
    pub redacted: Vec<Blob>,
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

    /// Knows the guardrail `gr1` in version 1.
    pub async fn start_with_guardrail() -> Self {
        let models = ScriptedModels::new(Some(Guardrail::new("gr1", "1")));
        Self::serve(scripted_router(models)).await
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
            ConverseStreamOutput::ContentBlockDelta(block) => {
                let kind = self.add_delta(block.delta.expect("a delta"));
                if self.blocks.last() != Some(&(block.content_block_index, kind)) {
                    self.blocks.push((block.content_block_index, kind));
                }
            }
            ConverseStreamOutput::ContentBlockStart(block) => match block.start.expect("a start") {
                ContentBlockStart::ToolUse(start) => {
                    self.calls.push(StreamedCall { id: start.tool_use_id, name: start.name, fragments: Vec::new() });
                }
                unknown => panic!("{unknown:?}"),
            },
            ConverseStreamOutput::MessageStop(stop) => self.stop = Some(stop.stop_reason),
            ConverseStreamOutput::Metadata(metadata) => {
                self.usage = metadata.usage;
                self.trace = metadata.trace.and_then(|trace| trace.guardrail);
            }
            _ => {}
        }
    }

    /// The kind of the delta.
    fn add_delta(&mut self, delta: ContentBlockDelta) -> &'static str {
        let kind = match delta {
            ContentBlockDelta::Text(text) => {
                self.deltas.push(text);
                return "text";
            }
            ContentBlockDelta::ReasoningContent(delta) => {
                match delta {
                    ReasoningContentBlockDelta::Text(text) => self.reasoning.deltas.push(text),
                    ReasoningContentBlockDelta::Signature(signature) => self.reasoning.signatures.push(signature),
                    ReasoningContentBlockDelta::RedactedContent(data) => self.reasoning.redacted.push(data),
                    unknown => panic!("{unknown:?}"),
                }
                "reasoning"
            }
            ContentBlockDelta::ToolUse(delta) => {
                self.calls.last_mut().expect("a call has begun").fragments.push(delta.input);
                "tool use"
            }
            ContentBlockDelta::Citation(_) => "citation",
            unknown => panic!("{unknown:?}"),
        };
        self.others.push(kind);
        kind
    }
}

pub fn message(role: ConversationRole, text: &str) -> Message {
    Message::builder().role(role).content(ContentBlock::Text(text.to_owned())).build().expect("a message")
}

pub fn message_of(role: ConversationRole, content: impl IntoIterator<Item = ContentBlock>) -> Message {
    Message::builder().role(role).set_content(Some(content.into_iter().collect())).build().expect("a message")
}

/// For five minutes if the time is left out.
pub fn cache_point(ttl: Option<CacheTtl>) -> CachePointBlock {
    CachePointBlock::builder().r#type(CachePointType::Default).set_ttl(ttl).build().expect("a cache point")
}

/// A tool that takes any object.
pub fn tool(name: &str, description: Option<&str>) -> Tool {
    let schema = document(json!({ "type": "object" }));
    let tool = ToolSpecification::builder().name(name).input_schema(ToolInputSchema::Json(schema));
    Tool::ToolSpec(tool.set_description(description.map(str::to_owned)).build().expect("a tool"))
}

/// Has no numbers but positive integers.
pub fn document(value: Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(value) => Document::Bool(value),
        Value::Number(value) => value.as_u64().expect("a positive integer").into(),
        Value::String(value) => Document::String(value),
        Value::Array(values) => values.into_iter().map(document).collect::<Vec<_>>().into(),
        Value::Object(members) => {
            Document::Object(members.into_iter().map(|(name, value)| (name, document(value))).collect())
        }
    }
}

/// Receives a response to its end.
pub async fn receive(request: ConverseStreamFluentBuilder) -> StreamResult {
    let mut result = StreamResult::default();
    let mut stream = match request.send().await {
        Ok(response) => response.stream,
        Err(SdkError::ServiceError(error)) => {
            let message = error.err().message().map(str::to_owned);
            return StreamResult { failure: Some(error_code(error.err())), message, ..result };
        }
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
        ConverseStreamOutputError::ServiceUnavailableException(_) => "ServiceUnavailableException",
        other => panic!("{other:?}"),
    };
    Failure::Service(name.to_owned())
}
