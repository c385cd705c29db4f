//! The script of a response: its events and the pauses between them.
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::{
    bedrock_error::BedrockError,
    canned_text::{count_tokens, split_bytes},
    prompt_cache::CacheUsage,
    request::Transcript,
};

/// The response to a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Script {
    /// An error before the stream begins.
    Error(BedrockError),
    /// No response, on an open connection.
    NoResponse,
    /// The steps, each with the pause before it.
    Stream(Vec<(Duration, ScriptStep)>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ScriptStep {
    Send(StreamEvent),
    SendException(Exception),
    /// Break the connection.
    Disconnect,
    /// Send nothing more, on an open connection.
    Hang,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum StreamEvent {
    MessageStart,
    ToolUseStart { index: usize, id: String, name: String },
    Delta { index: usize, delta: Delta },
    BlockStop { index: usize },
    MessageStop { reason: &'static str },
    Metadata(Metadata),
}

/// What ends a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Metadata {
    /// Without those that were read from the cache or written to it.
    pub input_tokens: usize,
    pub output_tokens: usize,
    /// None for a request without cache points.
    pub cache: Option<CacheUsage>,
    pub latency: Duration,
    /// What a guardrail has found.
    pub trace: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Delta {
    Text(String),
    /// The inside of a JSON string, with escapes: it may be half of a surrogate pair, which no Rust string
    /// can be.
    EscapedText(&'static str),
    Reasoning(String),
    ReasoningSignature(String),
    /// Base64.
    RedactedReasoning(String),
    /// A fragment of a JSON document.
    ToolInput(String),
    Citation {
        title: String,
        source: String,
        /// The index of the search result among all of the request, and what is cited of it.
        search_result: Option<(usize, String)>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exception {
    Throttling,
    InternalServer,
    ModelStreamError,
    ServiceUnavailable,
}

/// The time until the first token and between tokens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// About the pace of a real model.
    Natural,
    Every(Duration),
}

const FIRST_TOKEN_DELAY: Duration = Duration::from_millis(300);
const MIN_PAUSE_MILLISECONDS: u64 = 10;
/// About the size of the fragments that Bedrock sends.
const FRAGMENT_BYTES: usize = 11;

/// Builds the script of a stream.
pub(super) struct ScriptBuilder {
    steps: Vec<(Duration, ScriptStep)>,
    pace: Pace,
    next_block: usize,
    output_tokens: usize,
}

impl Script {
    /// Changes the metadata of a stream that has any.
    pub fn update_metadata(&mut self, update: impl FnOnce(&mut Metadata)) {
        let Self::Stream(steps) = self else { return };
        let metadata = steps.iter_mut().rev().find_map(|(_, step)| match step {
            ScriptStep::Send(StreamEvent::Metadata(metadata)) => Some(metadata),
            _ => None,
        });
        if let Some(metadata) = metadata {
            update(metadata);
        }
    }
}

impl ScriptBuilder {
    pub fn new(pace: Pace) -> Self {
        let delay = match pace {
            Pace::Natural => FIRST_TOKEN_DELAY,
            Pace::Every(_) => Duration::ZERO,
        };
        let steps = vec![(delay, ScriptStep::Send(StreamEvent::MessageStart))];
        Self { steps, pace, next_block: 0, output_tokens: 0 }
    }

    /// Adds text deltas to the open block.
    pub fn text<T: Into<String>>(mut self, pieces: impl IntoIterator<Item = T>) -> Self {
        for piece in pieces.into_iter().map(Into::into) {
            self.output_tokens += count_tokens(&piece);
            self = self.delta(Delta::Text(piece));
        }
        self
    }

    /// Adds deltas of reasoning to the open block.
    pub fn reasoning<'a>(mut self, pieces: impl IntoIterator<Item = &'a str>) -> Self {
        for piece in pieces {
            self.output_tokens += count_tokens(piece);
            self = self.delta(Delta::Reasoning(piece.to_owned()));
        }
        self
    }

    /// Counts tokens that are not sent.
    pub fn hidden_tokens(mut self, tokens: usize) -> Self {
        self.output_tokens += tokens;
        self
    }

    pub fn delta(self, delta: Delta) -> Self {
        let index = self.next_block;
        self.add_paced(StreamEvent::Delta { index, delta })
    }

    /// Adds a text delta to a block, whatever block is open.
    pub fn text_in_block(mut self, index: usize, text: &str) -> Self {
        self.output_tokens += count_tokens(text);
        self.next_block = self.next_block.max(index);
        self.add_paced(StreamEvent::Delta { index, delta: Delta::Text(text.to_owned()) })
    }

    pub fn tool_use(self, id: &str, name: &str) -> Self {
        let index = self.next_block;
        self.add_paced(StreamEvent::ToolUseStart { index, id: id.to_owned(), name: name.to_owned() })
    }

    /// Adds fragments of a tool's arguments to the open block.
    pub fn tool_input(mut self, json: &str) -> Self {
        self.output_tokens += count_tokens(json);
        for fragment in split_bytes(json, FRAGMENT_BYTES) {
            self = self.delta(Delta::ToolInput(fragment.to_owned()));
        }
        self
    }

    /// Adds a block with a tool use, as Bedrock streams it: the first fragment of its arguments is empty, and
    /// a call without arguments has no other.
    pub fn tool_call(self, id: &str, name: &str, arguments: &str) -> Self {
        self.tool_use(id, name).tool_input_start().tool_input(arguments).close_block()
    }

    pub fn tool_input_start(self) -> Self {
        self.delta(Delta::ToolInput(String::new()))
    }

    pub fn close_block(mut self) -> Self {
        let index = self.next_block;
        self.next_block += 1;
        self.add(Duration::ZERO, ScriptStep::Send(StreamEvent::BlockStop { index }))
    }

    /// Ends the stream with a stop reason and the usage.
    pub fn finish(self, reason: &'static str, transcript: &Transcript) -> Script {
        let input_tokens = transcript.input_tokens();
        let latency = self.steps.iter().map(|(pause, _)| *pause).sum();
        let output_tokens = self.output_tokens;
        let script = self.add(Duration::ZERO, ScriptStep::Send(StreamEvent::MessageStop { reason }));
        let metadata = Metadata { input_tokens, output_tokens, latency, ..Metadata::default() };
        script.end_with(ScriptStep::Send(StreamEvent::Metadata(metadata)))
    }

    /// Ends the stream with any step.
    pub fn end_with(self, last: ScriptStep) -> Script {
        let pause = self.pause();
        Script::Stream(self.add(pause, last).steps)
    }

    /// The steps so far, and the tokens in them.
    pub fn into_steps(self) -> (Vec<(Duration, ScriptStep)>, usize) {
        (self.steps, self.output_tokens)
    }

    fn add_paced(self, event: StreamEvent) -> Self {
        let pause = self.pause();
        self.add(pause, ScriptStep::Send(event))
    }

    fn add(mut self, pause: Duration, step: ScriptStep) -> Self {
        self.steps.push((pause, step));
        self
    }

    /// Natural pauses vary, and are the same every time.
    fn pause(&self) -> Duration {
        match self.pace {
            Pace::Every(pause) => pause,
            Pace::Natural => Duration::from_millis(MIN_PAUSE_MILLISECONDS + self.steps.len() as u64 * 13 % 21),
        }
    }
}

/// A new id in the form of Bedrock's.
pub(crate) fn new_tool_use_id() -> String {
    format!("tooluse_{}", &Uuid::new_v4().simple().to_string()[..22])
}
