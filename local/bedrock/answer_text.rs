//! The text of an answer, read from the response of ConverseStream as it arrives.
use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::Message;
use axum::{
    body::{Body, BodyDataStream, to_bytes},
    response::Response,
};
use bytes::BytesMut;
use futures::StreamExt;
use http::StatusCode;
use serde_json::Value;

/// No more of an error is read.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// A longer frame ends the answer: no event of a model is so long.
const MAX_FRAME_BYTES: usize = 16 << 20;

/// Reads the rest of an answer.
pub(crate) struct TextStream {
    body: BodyDataStream,
    decoder: MessageFrameDecoder,
    received: BytesMut,
    /// Whether the model has ended the answer.
    is_complete: bool,
}

/// Why an answer has no more text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelFailure {
    /// Such as `ThrottlingException`.
    pub error_type: String,
    pub message: String,
}

/// The text of a response, unless it is an error.
pub(crate) async fn read_text(response: Response) -> Result<TextStream, ModelFailure> {
    if response.status() == StatusCode::OK {
        return Ok(TextStream::new(response.into_body()));
    }
    let header = response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let error_type = header.unwrap_or_default().to_owned();
    let body = to_bytes(response.into_body(), MAX_ERROR_BYTES).await.unwrap_or_default();
    Err(ModelFailure { error_type, message: message(&body) })
}

impl TextStream {
    fn new(body: Body) -> Self {
        Self {
            body: body.into_data_stream(),
            decoder: MessageFrameDecoder::new(),
            received: BytesMut::new(),
            is_complete: false,
        }
    }

    /// The next piece of text. None at the end of the answer.
    pub async fn next(&mut self) -> Result<Option<String>, ModelFailure> {
        loop {
            match self.decoder.decode_frame(&mut self.received) {
                Ok(DecodedFrame::Complete(frame)) => {
                    if let Some(text) = self.text_of(&frame)? {
                        return Ok(Some(text));
                    }
                }
                Ok(DecodedFrame::Incomplete) if self.received.len() <= MAX_FRAME_BYTES => {
                    if !self.receive().await? {
                        return if self.is_complete { Ok(None) } else { Err(broken_answer()) };
                    }
                }
                Ok(DecodedFrame::Incomplete) | Err(_) => return Err(broken_answer()),
            }
        }
    }

    /// Whether more of the response has arrived.
    async fn receive(&mut self) -> Result<bool, ModelFailure> {
        match self.body.next().await {
            Some(Ok(chunk)) => {
                self.received.extend_from_slice(&chunk);
                Ok(true)
            }
            Some(Err(_)) => Err(broken_answer()),
            None => Ok(false),
        }
    }

    fn text_of(&mut self, frame: &Message) -> Result<Option<String>, ModelFailure> {
        if let Some(error_type) = header(frame, ":exception-type") {
            return Err(ModelFailure { error_type: capitalized(error_type), message: message(frame.payload()) });
        }
        match header(frame, ":event-type") {
            Some("contentBlockDelta") => {
                let payload: Value = serde_json::from_slice(frame.payload()).map_err(|_| broken_answer())?;
                Ok(payload["delta"]["text"].as_str().map(str::to_owned))
            }
            Some("messageStop") => {
                self.is_complete = true;
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}

fn header<'a>(frame: &'a Message, name: &str) -> Option<&'a str> {
    let header = frame.headers().iter().find(|header| header.name().as_str() == name)?;
    header.value().as_string().ok().map(|value| value.as_str())
}

/// `throttlingException` is `ThrottlingException` outside of a stream.
fn capitalized(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

fn message(body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    json["message"].as_str().unwrap_or("The model has failed.").to_owned()
}

fn broken_answer() -> ModelFailure {
    let message = "The answer of the model ended early.";
    ModelFailure { error_type: "ModelStreamErrorException".into(), message: message.into() }
}
