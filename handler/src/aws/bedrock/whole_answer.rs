//! Answers of Converse, which come whole instead of in a stream: the events that a stream of the answer would
//! have had.
use std::{
    collections::BTreeMap,
    pin::Pin,
    task::{Context, Poll, ready},
};

use aws_sdk_bedrockruntime::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextMut},
    error::BoxError,
    operation::{
        converse::{ConverseError, ConverseOutput},
        converse_stream::ConverseStreamError,
    },
    types::{
        Citation, CitationGeneratedContent, CitationSourceContent, ContentBlock, ConverseOutput as Output,
        ReasoningContentBlock,
    },
};
use aws_smithy_types::{Document, Number, body::SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame};
use serde_json::Value;
use turn::model::{CitedPassage, ReasoningPart, StreamEvent};

use super::{
    guardrails, json_texts::replace_lone_surrogates, model_stop, reasoning_text, search_result_index,
    stream_repair::repair_body, token_usage,
};

/// The largest answer. Models answer with at most some hundred thousand tokens.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Blocks of other kinds than text and tool calls have no text for the user.
pub(super) fn to_events(output: ConverseOutput) -> Vec<StreamEvent> {
    let blocks = match output.output {
        Some(Output::Message(message)) => message.content,
        _ => Vec::new(),
    };
    let mut events: Vec<StreamEvent> =
        (0..).zip(blocks).flat_map(|(index, block)| block_events(index, block)).collect();
    events.push(StreamEvent::MessageStop(model_stop(&output.stop_reason)));
    let trace = output.trace.and_then(|trace| trace.guardrail);
    events.extend(trace.as_ref().and_then(guardrails::findings).map(StreamEvent::Guardrail));
    events.extend(output.usage.map(|usage| StreamEvent::Usage(token_usage(&usage))));
    events
}

fn block_events(block: u32, content: ContentBlock) -> Vec<StreamEvent> {
    match content {
        ContentBlock::Text(text) => vec![StreamEvent::Text { block, text }],
        ContentBlock::CitationsContent(content) => {
            let citations = content.citations.unwrap_or_default().into_iter();
            let citations = citations.map(|citation| StreamEvent::Citation { block, cited: cited_passage(citation) });
            let texts = content.content.unwrap_or_default().into_iter().filter_map(|content| match content {
                CitationGeneratedContent::Text(text) => Some(StreamEvent::Text { block, text }),
                _ => None,
            });
            citations.chain(texts).chain([StreamEvent::BlockEnd { block }]).collect()
        }
        ContentBlock::ToolUse(call) => {
            let json = to_json(&call.input).to_string();
            let (id, name) = (call.tool_use_id, call.name);
            vec![StreamEvent::ToolUse { block, id, name }, StreamEvent::ToolInput { block, json }]
        }
        ContentBlock::ReasoningContent(ReasoningContentBlock::ReasoningText(reasoning)) => {
            let signature = reasoning.signature.map(ReasoningPart::Signature);
            let parts = [reasoning_text(reasoning.text)].into_iter().chain(signature);
            parts.map(|part| StreamEvent::Reasoning { block, part }).collect()
        }
        ContentBlock::ReasoningContent(ReasoningContentBlock::RedactedContent(data)) => {
            vec![StreamEvent::Reasoning { block, part: ReasoningPart::Encrypted(data.into_inner()) }]
        }
        _ => Vec::new(),
    }
}

fn cited_passage(citation: Citation) -> CitedPassage {
    let text = citation.source_content.unwrap_or_default().into_iter().filter_map(|content| match content {
        CitationSourceContent::Text(text) => Some(text),
        _ => None,
    });
    CitedPassage {
        source: citation.source,
        search_result_index: search_result_index(citation.location.as_ref()),
        text: text.collect(),
    }
}

/// The members of objects are sorted, because the SDK does not keep their order. Recurses at most 256 levels:
/// the SDK parses no deeper document.
fn to_json(document: &Document) -> Value {
    match document {
        Document::Object(members) => {
            let members: BTreeMap<_, _> = members.iter().collect();
            Value::Object(members.into_iter().map(|(name, value)| (name.clone(), to_json(value))).collect())
        }
        Document::Array(values) => values.iter().map(to_json).collect(),
        Document::Number(Number::PosInt(number)) => Value::from(*number),
        Document::Number(Number::NegInt(number)) => Value::from(*number),
        Document::Number(Number::Float(number)) => Value::from(*number),
        Document::String(text) => Value::from(text.as_str()),
        Document::Bool(value) => Value::from(*value),
        Document::Null => Value::Null,
    }
}

/// The same error of ConverseStream.
pub(super) fn to_stream_error(error: ConverseError) -> ConverseStreamError {
    match error {
        ConverseError::AccessDeniedException(error) => ConverseStreamError::AccessDeniedException(error),
        ConverseError::InternalServerException(error) => ConverseStreamError::InternalServerException(error),
        ConverseError::ModelErrorException(error) => ConverseStreamError::ModelErrorException(error),
        ConverseError::ModelNotReadyException(error) => ConverseStreamError::ModelNotReadyException(error),
        ConverseError::ModelTimeoutException(error) => ConverseStreamError::ModelTimeoutException(error),
        ConverseError::ResourceNotFoundException(error) => ConverseStreamError::ResourceNotFoundException(error),
        ConverseError::ServiceUnavailableException(error) => ConverseStreamError::ServiceUnavailableException(error),
        ConverseError::ThrottlingException(error) => ConverseStreamError::ThrottlingException(error),
        ConverseError::ValidationException(error) => ConverseStreamError::ValidationException(error),
        other => ConverseStreamError::generic(other.meta().clone()),
    }
}

/// Replaces lone halves of surrogate pairs in an answer, which the SDK does not parse.
#[derive(Debug)]
pub(super) struct AnswerRepair;

impl Intercept for AnswerRepair {
    fn name(&self) -> &'static str {
        "AnswerRepair"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        repair_body(context, |body| RepairedBody { body: Some(body), buffer: Vec::new() });
        Ok(())
    }
}

/// A body of one JSON text.
struct RepairedBody {
    /// `None` at the end.
    body: Option<SdkBody>,
    buffer: Vec<u8>,
}

impl Body for RepairedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let Some(body) = &mut self.body else { return Poll::Ready(None) };
            match ready!(Pin::new(body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    // Converse sends no trailers.
                    let data = frame.into_data().unwrap_or_default();
                    if self.buffer.len() + data.len() > MAX_BODY_BYTES {
                        self.body = None;
                        return Poll::Ready(Some(Err("the answer is too large".into())));
                    }
                    self.buffer.extend_from_slice(&data);
                }
                Some(Err(error)) => {
                    self.body = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.body = None;
                    let json = String::from_utf8(std::mem::take(&mut self.buffer))?;
                    let repaired = replace_lone_surrogates(&json).into_owned();
                    return Poll::Ready(Some(Ok(Frame::data(repaired.into()))));
                }
            }
        }
    }
}
