//! A script: what the stand-in says, and when.
use std::time::Duration;

use super::{answer::tokens, refusal::Refusal, request::Transcript};

/// How a request is answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Script {
    /// Before the stream.
    Refused(Refusal),
    /// Not at all: the connection stays open.
    Silent,
    /// Each step with the pause before it.
    Stream(Vec<(Duration, ScriptStep)>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ScriptStep {
    Say(StreamEvent),
    Throw(Exception),
    /// The connection breaks.
    Cut,
    /// Nothing more comes, and the connection stays open.
    FallSilent,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum StreamEvent {
    MessageStart,
    ToolUseStart { index: usize, id: &'static str, name: &'static str },
    Delta { index: usize, delta: Delta },
    BlockStop { index: usize },
    MessageStop { reason: &'static str },
    Metadata { input_tokens: usize, output_tokens: usize, latency: Duration },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Delta {
    Text(String),
    Reasoning(&'static str),
    ReasoningSignature(&'static str),
    /// Base64.
    RedactedReasoning(&'static str),
    /// A fragment of a JSON document.
    ToolInput(&'static str),
    Citation {
        title: &'static str,
        source: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exception {
    Throttling,
    InternalServer,
    ModelStreamError,
}

/// The time until the first word, and between two words.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    Natural,
    Every(Duration),
}

const FIRST_WORD: Duration = Duration::from_millis(300);
const SHORTEST_PAUSE_MILLISECONDS: u64 = 10;

/// Writes a script from its beginning.
pub(super) struct Scribe {
    steps: Vec<(Duration, ScriptStep)>,
    pace: Pace,
    next_block: usize,
    output_tokens: usize,
}

impl Scribe {
    pub fn begin(pace: Pace) -> Self {
        let first = match pace {
            Pace::Natural => FIRST_WORD,
            Pace::Every(_) => Duration::ZERO,
        };
        let steps = vec![(first, ScriptStep::Say(StreamEvent::MessageStart))];
        Self { steps, pace, next_block: 0, output_tokens: 0 }
    }

    /// A block of text, left open.
    pub fn say<T: Into<String>>(mut self, pieces: impl IntoIterator<Item = T>) -> Self {
        for piece in pieces.into_iter().map(Into::into) {
            self.output_tokens += tokens(&piece);
            self = self.delta(Delta::Text(piece));
        }
        self
    }

    pub fn delta(self, delta: Delta) -> Self {
        let index = self.next_block;
        self.paced(StreamEvent::Delta { index, delta })
    }

    pub fn tool_use(self, id: &'static str, name: &'static str) -> Self {
        let index = self.next_block;
        self.paced(StreamEvent::ToolUseStart { index, id, name })
    }

    pub fn close_block(mut self) -> Self {
        let index = self.next_block;
        self.next_block += 1;
        self.step(Duration::ZERO, ScriptStep::Say(StreamEvent::BlockStop { index }))
    }

    /// Ends the answer as a model does.
    pub fn stop(self, reason: &'static str, transcript: &Transcript) -> Script {
        let input_tokens = transcript.texts().map(tokens).sum();
        let latency = self.steps.iter().map(|(pause, _)| *pause).sum();
        let output_tokens = self.output_tokens;
        let stopped = self.step(Duration::ZERO, ScriptStep::Say(StreamEvent::MessageStop { reason }));
        stopped.end(ScriptStep::Say(StreamEvent::Metadata { input_tokens, output_tokens, latency }))
    }

    /// Ends the answer as a failure does.
    pub fn end(self, last: ScriptStep) -> Script {
        let pause = self.pause();
        Script::Stream(self.step(pause, last).steps)
    }

    fn paced(self, event: StreamEvent) -> Self {
        let pause = self.pause();
        self.step(pause, ScriptStep::Say(event))
    }

    fn step(mut self, pause: Duration, step: ScriptStep) -> Self {
        self.steps.push((pause, step));
        self
    }

    /// Natural pauses look irregular and are the same every time.
    fn pause(&self) -> Duration {
        match self.pace {
            Pace::Every(pause) => pause,
            Pace::Natural => Duration::from_millis(SHORTEST_PAUSE_MILLISECONDS + self.steps.len() as u64 * 13 % 21),
        }
    }
}
