//! Encodes events as frames of `application/vnd.amazon.eventstream`.
use std::io;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    prompt_cache::Lifetime,
    script::{Delta, Exception, Metadata, StreamEvent},
};

/// Bedrock pads its events with a prefix of this text, to hide the length of their content.
const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

const MIN_PADDING: usize = 1;

pub(super) fn encode_event(event: &StreamEvent) -> io::Result<Bytes> {
    if let StreamEvent::Delta { index, delta: Delta::EscapedText(escaped) } = event {
        let payload = format!(r#"{{"contentBlockIndex":{index},"delta":{{"text":"{escaped}"}},"p":"abcd"}}"#);
        return encode_frame("event", ":event-type", "contentBlockDelta", payload);
    }
    let (name, mut payload) = event_payload(event);
    let text = payload.to_string();
    let padding = MIN_PADDING + text.len() * 7 % (PADDING.len() - MIN_PADDING);
    payload["p"] = PADDING[..padding].into();
    encode_frame("event", ":event-type", name, payload.to_string())
}

pub(super) fn encode_exception(exception: Exception) -> io::Result<Bytes> {
    let (name, payload) = match exception {
        Exception::Throttling => {
            ("throttlingException", json!({ "message": "Too many tokens, please wait before trying again." }))
        }
        Exception::ServiceUnavailable => {
            ("serviceUnavailableException", json!({ "message": "Bedrock is unable to process your request." }))
        }
        Exception::InternalServer => (
            "internalServerException",
            json!({ "message": "The system encountered an unexpected error during processing. Try your request again." }),
        ),
        Exception::ModelStreamError => (
            "modelStreamErrorException",
            json!({
                "message": "The model encountered an unexpected error during streaming.",
                "originalStatusCode": 500,
                "originalMessage": "Internal error of the model",
            }),
        ),
    };
    encode_frame("exception", ":exception-type", name, payload.to_string())
}

fn event_payload(event: &StreamEvent) -> (&'static str, Value) {
    match event {
        StreamEvent::MessageStart => ("messageStart", json!({ "role": "assistant" })),
        StreamEvent::ToolUseStart { index, id, name } => (
            "contentBlockStart",
            // Bedrock does not document `type`.
            json!({
                "contentBlockIndex": index,
                "start": { "toolUse": { "name": name, "toolUseId": id, "type": "tool_use" } },
            }),
        ),
        StreamEvent::Delta { index, delta } => {
            ("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": delta_payload(delta) }))
        }
        StreamEvent::BlockStop { index } => ("contentBlockStop", json!({ "contentBlockIndex": index })),
        StreamEvent::MessageStop { reason } => ("messageStop", json!({ "stopReason": reason })),
        StreamEvent::Metadata(metadata) => ("metadata", metadata_payload(metadata)),
    }
}

fn metadata_payload(metadata: &Metadata) -> Value {
    let mut payload = json!({ "usage": usage_payload(metadata), "metrics": latency_payload(metadata) });
    if let Some(trace) = &metadata.trace {
        payload["trace"] = trace.clone();
    }
    payload
}

pub(super) fn latency_payload(metadata: &Metadata) -> Value {
    json!({ "latencyMs": u64::try_from(metadata.latency.as_millis()).unwrap_or(u64::MAX) })
}

/// Bedrock does not document that `serverToolUsage` is sent without such a use.
pub(super) fn usage_payload(metadata: &Metadata) -> Value {
    let Metadata { input_tokens, output_tokens, cache, .. } = metadata;
    let cached = cache.as_ref().map_or(0, |cache| cache.read_tokens + cache.write_tokens());
    let mut usage = json!({
        "inputTokens": input_tokens,
        "outputTokens": output_tokens,
        "serverToolUsage": {},
        "totalTokens": input_tokens + output_tokens + cached,
    });
    if let Some(cache) = cache {
        usage["cacheReadInputTokens"] = cache.read_tokens.into();
        usage["cacheWriteInputTokens"] = cache.write_tokens().into();
        let detail = |(lifetime, tokens): &(Lifetime, usize)| json!({ "ttl": lifetime.name(), "inputTokens": tokens });
        usage["cacheDetails"] = cache.written_tokens.iter().map(detail).collect();
    }
    usage
}

fn delta_payload(delta: &Delta) -> Value {
    match delta {
        Delta::Text(text) => json!({ "text": text }),
        Delta::EscapedText(escaped) => json!({ "text": escaped }),
        Delta::Reasoning(text) => json!({ "reasoningContent": { "text": text } }),
        Delta::ReasoningSignature(signature) => json!({ "reasoningContent": { "signature": signature } }),
        Delta::RedactedReasoning(bytes) => json!({ "reasoningContent": { "redactedContent": bytes } }),
        Delta::ToolInput(fragment) => json!({ "toolUse": { "input": fragment } }),
        Delta::Citation { title, source, search_result: None } => {
            json!({ "citation": { "title": title, "source": source } })
        }
        Delta::Citation { title, source, search_result: Some((index, text)) } => json!({ "citation": {
            "title": title,
            "source": source,
            "sourceContent": [{ "text": text }],
            "location": { "searchResultLocation": { "searchResultIndex": index, "start": 0, "end": 1 } },
        } }),
    }
}

/// A frame with a payload of JSON. The type is `event` or `exception`.
pub(crate) fn encode_frame(
    message_type: &'static str,
    type_header: &'static str,
    name: &'static str,
    payload: String,
) -> io::Result<Bytes> {
    tracing::trace!("{name}");
    let header = |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
    let message = Message::new(payload)
        .add_header(header(type_header, name))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", message_type));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).map_err(io::Error::other)?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from Amazon Bedrock, without `p`.
    #[test]
    fn tool_use_has_the_members_that_bedrock_sends() {
        let start = StreamEvent::ToolUseStart { index: 1, id: "tooluse_a".into(), name: "get_forecast".into() };
        let tool_use = json!({ "name": "get_forecast", "toolUseId": "tooluse_a", "type": "tool_use" });
        let expected = json!({ "contentBlockIndex": 1, "start": { "toolUse": tool_use } });
        assert_eq!(event_payload(&start), ("contentBlockStart", expected));
        let delta = StreamEvent::Delta { index: 1, delta: Delta::ToolInput(String::new()) };
        let expected = json!({ "contentBlockIndex": 1, "delta": { "toolUse": { "input": "" } } });
        assert_eq!(event_payload(&delta), ("contentBlockDelta", expected));
    }
}
