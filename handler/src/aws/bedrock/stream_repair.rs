//! Repairs the event stream of ConverseStream before the SDK parses it. The SDK ends a stream at the first
//! event that it cannot parse, and such an event must not cost the rest of the answer.
use std::{
    collections::VecDeque,
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use aws_sdk_bedrockruntime::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextMut},
    error::BoxError,
};
use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder, write_message_to};
use aws_smithy_types::{
    body::SdkBody,
    event_stream::{Header, HeaderValue, Message},
};
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};
use serde_json::{Value, json};

use super::surrogates::SurrogateJoiner;

/// Puts the repair between the HTTP client and the parser of the SDK.
#[derive(Debug)]
pub struct StreamRepair;

impl Intercept for StreamRepair {
    fn name(&self) -> &'static str {
        "StreamRepair"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        repair_body(context, RepairedBody::new);
        Ok(())
    }
}

/// Puts another body in place of that of a successful response.
pub(super) fn repair_body<B>(
    context: &mut BeforeDeserializationInterceptorContextMut<'_>,
    repaired: impl FnOnce(SdkBody) -> B,
) where
    B: Body<Data = Bytes, Error = BoxError> + Send + Sync + 'static,
{
    let response = context.response_mut();
    if response.status().is_success() {
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        *response.body_mut() = SdkBody::from_body_1_x(repaired(body));
    }
}

/// A body of event stream frames, repaired one by one.
struct RepairedBody {
    body: SdkBody,
    decoder: MessageFrameDecoder,
    /// At most one incomplete frame, and what the last chunk had beyond it.
    buffer: BytesMut,
    events: EventRepair,
    /// At most two messages.
    ready: VecDeque<Message>,
    is_over: bool,
}

impl RepairedBody {
    fn new(body: SdkBody) -> Self {
        Self {
            body,
            decoder: MessageFrameDecoder::new(),
            buffer: BytesMut::new(),
            events: EventRepair::default(),
            ready: VecDeque::new(),
            is_over: false,
        }
    }

    /// Moves the next complete frame of the buffer to `ready`. False if there is none.
    fn decode(&mut self) -> Result<bool, BoxError> {
        match self.decoder.decode_frame(&mut self.buffer)? {
            DecodedFrame::Complete(message) => {
                self.ready.extend(self.events.repair(message));
                Ok(true)
            }
            DecodedFrame::Incomplete => Ok(false),
        }
    }

    fn end(&mut self) -> Result<(), BoxError> {
        self.is_over = true;
        self.ready.extend(self.events.flush());
        if self.buffer.is_empty() { Ok(()) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) }
    }
}

impl Body for RepairedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                let mut bytes = Vec::new();
                write_message_to(&message, &mut bytes)?;
                return Poll::Ready(Some(Ok(Frame::data(bytes.into()))));
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            if self.decode()? {
                continue;
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    // An event stream has no trailers.
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.end()?,
            }
        }
    }
}

#[derive(Debug, Default)]
struct EventRepair {
    surrogates: SurrogateJoiner,
    /// The kind of the deltas of the block with a pending half.
    pending_kind: DeltaKind,
}

/// What a contentBlockDelta event has a part of.
#[derive(Clone, Copy, Debug, Default)]
enum DeltaKind {
    #[default]
    Text,
    /// The JSON text of a tool call's arguments.
    ToolInput,
    Reasoning,
}

impl EventRepair {
    /// What the SDK gets in place of a message.
    fn repair(&mut self, message: Message) -> Vec<Message> {
        if header(&message, ":message-type") != Some("event") {
            return self.flush().into_iter().chain([message]).collect();
        }
        match serde_json::from_slice::<BlockDelta>(message.payload()) {
            Ok(BlockDelta { content_block_index, delta: Delta { text: Some(wtf8), .. } }) => {
                self.repair_delta(message, content_block_index, DeltaKind::Text, &wtf8.0)
            }
            Ok(BlockDelta { content_block_index, delta: Delta { tool_use: Some(tool_use), .. } }) => {
                self.repair_delta(message, content_block_index, DeltaKind::ToolInput, &tool_use.input.0)
            }
            Ok(BlockDelta {
                content_block_index,
                delta: Delta { reasoning_content: Some(ReasoningDelta { text: Some(wtf8) }), .. },
            }) => self.repair_delta(message, content_block_index, DeltaKind::Reasoning, &wtf8.0),
            Ok(_) | Err(_) => self.flush().into_iter().chain([parseable(message)]).collect(),
        }
    }

    fn repair_delta(&mut self, message: Message, block: u32, kind: DeltaKind, wtf8: &[u8]) -> Vec<Message> {
        if !self.surrogates.has_pending_half() && std::str::from_utf8(wtf8).is_ok() {
            return vec![message];
        }
        let end_of_other_block = if self.surrogates.awaits_other_block(block) { self.flush() } else { None };
        let delta = delta_message(block, kind, &self.surrogates.join(block, wtf8));
        self.pending_kind = kind;
        end_of_other_block.into_iter().chain([delta]).collect()
    }

    /// The end of a pending half's block.
    fn flush(&mut self) -> Option<Message> {
        let (block, text) = self.surrogates.flush()?;
        Some(delta_message(block, self.pending_kind, &text))
    }
}

/// The message itself, or an event that the SDK ignores where its payload is no JSON that the SDK can parse.
fn parseable(message: Message) -> Message {
    match serde_json::from_slice::<Value>(message.payload()) {
        Ok(_) => message,
        Err(error) => {
            tracing::warn!("an event of the model's stream cannot be parsed");
            tracing::debug!(%error, "event");
            event_message("unparsed", &json!({}))
        }
    }
}

fn delta_message(block: u32, kind: DeltaKind, text: &str) -> Message {
    let delta = match kind {
        DeltaKind::Text => json!({ "text": text }),
        DeltaKind::ToolInput => json!({ "toolUse": { "input": text } }),
        DeltaKind::Reasoning => json!({ "reasoningContent": { "text": text } }),
    };
    event_message("contentBlockDelta", &json!({ "contentBlockIndex": block, "delta": delta }))
}

fn event_message(event_type: &'static str, payload: &Value) -> Message {
    event_with_payload(event_type, payload.to_string())
}

fn event_with_payload(event_type: &'static str, payload: String) -> Message {
    let header = |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
    Message::new(payload)
        .add_header(header(":event-type", event_type))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", "event"))
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let header = message.headers().iter().find(|header| header.name().as_str() == name)?;
    header.value().as_string().ok().map(|value| value.as_str())
}

/// The payload of a contentBlockDelta event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockDelta {
    content_block_index: u32,
    delta: Delta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delta {
    text: Option<Wtf8>,
    tool_use: Option<ToolInputDelta>,
    reasoning_content: Option<ReasoningDelta>,
}

#[derive(Deserialize)]
struct ReasoningDelta {
    text: Option<Wtf8>,
}

#[derive(Deserialize)]
struct ToolInputDelta {
    input: Wtf8,
}

/// A JSON string that may hold halves of surrogate pairs: serde_json gives WTF-8 where bytes are asked for.
struct Wtf8(Vec<u8>);

impl<'de> Deserialize<'de> for Wtf8 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Wtf8Visitor).map(Self)
    }
}

struct Wtf8Visitor;

impl Visitor<'_> for Wtf8Visitor {
    type Value = Vec<u8>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payloads that the SDK gets for these contentBlockDelta payloads and then the end of the stream.
    fn repair(payloads: &[&str]) -> Vec<Value> {
        let mut events = EventRepair::default();
        let message = |payload: &&str| event_with_payload("contentBlockDelta", (*payload).to_owned());
        let mut repaired: Vec<Message> = payloads.iter().flat_map(|payload| events.repair(message(payload))).collect();
        repaired.extend(events.flush());
        repaired.iter().map(|message| serde_json::from_slice(message.payload()).unwrap()).collect()
    }

    fn delta(block: u32, text: &str) -> Value {
        json!({ "contentBlockIndex": block, "delta": { "text": text } })
    }

    #[test]
    fn plain_events_pass_unchanged() {
        let text = r#"{"contentBlockIndex":0,"delta":{"text":"So\u00e9 \ud83d\ude00"},"p":"abc"}"#;
        let stop = r#"{"contentBlockIndex":0,"p":"a"}"#;
        assert_eq!(repair(&[text, stop]), [text, stop].map(|payload| serde_json::from_str::<Value>(payload).unwrap()));
    }

    #[test]
    fn cut_surrogate_pair_is_joined_in_the_next_delta() {
        let first = r#"{"contentBlockIndex":2,"delta":{"text":"a\ud83d"}}"#;
        let second = r#"{"contentBlockIndex":2,"delta":{"text":"\ude00b"}}"#;
        assert_eq!(repair(&[first, second]), [delta(2, "a"), delta(2, "\u{1f600}b")]);
    }

    #[test]
    fn lone_half_is_replaced_before_whatever_follows() {
        let half = r#"{"contentBlockIndex":0,"delta":{"text":"a\ud83d"}}"#;
        let stop = r#"{"contentBlockIndex":0}"#;
        let other = r#"{"contentBlockIndex":1,"delta":{"text":"b"}}"#;
        let replacement = delta(0, "\u{fffd}");
        assert_eq!(repair(&[half, stop]), [delta(0, "a"), replacement.clone(), serde_json::from_str(stop).unwrap()]);
        assert_eq!(repair(&[half, other]), [delta(0, "a"), replacement.clone(), delta(1, "b")]);
        assert_eq!(repair(&[half]), [delta(0, "a"), replacement]);
    }

    #[test]
    fn surrogates_of_tool_input_are_mended_as_tool_input() {
        let input =
            |block: u32, input: &str| json!({ "contentBlockIndex": block, "delta": { "toolUse": { "input": input } } });
        let first = r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"a\":\"\ud83d"}},"p":"ab"}"#;
        let second = r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"\ude00\"}"}}}"#;
        let stop = r#"{"contentBlockIndex":1}"#;
        assert_eq!(repair(&[first, second]), [input(1, "{\"a\":\""), input(1, "\u{1f600}\"}")]);
        let expected = [input(1, "{\"a\":\""), input(1, "\u{fffd}"), serde_json::from_str(stop).unwrap()];
        assert_eq!(repair(&[first, stop]), expected);
        let text = r#"{"contentBlockIndex":2,"delta":{"text":"b"}}"#;
        assert_eq!(repair(&[first, text]), [input(1, "{\"a\":\""), input(1, "\u{fffd}"), delta(2, "b")]);
    }

    #[test]
    fn escapes_within_the_json_of_tool_input_stay_as_they_are() {
        let payload = r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"a\":\"\\ud83d\"}"}}}"#;
        assert_eq!(repair(&[payload]), [serde_json::from_str::<Value>(payload).unwrap()]);
        let empty = r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":""}},"p":"abc"}"#;
        assert_eq!(repair(&[empty]), [serde_json::from_str::<Value>(empty).unwrap()]);
    }

    #[test]
    fn payload_that_is_no_json_becomes_an_event_without_meaning() {
        for payload in ["{", "", r#"{"other":"\ud83d"}"#] {
            assert_eq!(repair(&[payload]), [json!({})], "{payload}");
        }
    }
}
