//! A request under a guardrail: what of it is assessed, and what the guardrail does to the answer.
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    bedrock_error::BedrockError,
    canned_text::split_tokens,
    guardrail::{
        Assessment, BLOCKED_INPUT_MESSAGE, BLOCKED_OUTPUT_MESSAGE, Guardrail, Source, has_forbidden_words, mask,
    },
    request::{ContentBlock, GuardrailConfig, Transcript},
    script::{Delta, Metadata, Script, ScriptStep, StreamEvent},
    transcript_validation::violation,
};

/// How much of an answer is assessed at once before it is sent.
const CHUNK_CHARACTERS: usize = 200;
const BLOCK_DELAY: Duration = Duration::from_millis(300);
const STOP_REASON: &str = "guardrail_intervened";

type Steps = Vec<(Duration, ScriptStep)>;

/// The guardrail of a request, with what it has found in it.
pub(super) struct RequestGuard<'a> {
    guardrail: &'a Guardrail,
    config: GuardrailConfig,
    input: Assessment,
    /// Of all texts, also of those that are not assessed.
    characters: usize,
}

pub(super) fn check_config(transcript: &Transcript) -> Result<(), BedrockError> {
    let mode = transcript.guardrail_config.as_ref().and_then(|config| config.stream_processing_mode.as_deref());
    match mode.filter(|mode| !["sync", "async"].contains(mode)) {
        None => Ok(()),
        Some(mode) => {
            let path = "guardrailConfig.streamProcessingMode";
            let violation = violation(&mode, path, "satisfy enum value set: [async, sync]");
            Err(BedrockError::validation(format!("1 validation error detected: {violation}")))
        }
    }
}

impl<'a> RequestGuard<'a> {
    /// None for a request without a guardrail.
    pub fn find(guardrail: Option<&'a Guardrail>, transcript: &Transcript) -> Result<Option<Self>, BedrockError> {
        let Some(config) = &transcript.guardrail_config else { return Ok(None) };
        let guardrail = guardrail.ok_or_else(Guardrail::unknown)?;
        guardrail.check_name(&config.guardrail_identifier, &config.guardrail_version)?;
        let texts = assessed_blocks(transcript).filter_map(ContentBlock::text);
        let input = Assessment::new(Source::Input, texts);
        let characters = blocks(transcript).filter_map(ContentBlock::text).map(|text| text.chars().count()).sum();
        Ok(Some(Self { guardrail, config: config.clone(), input, characters }))
    }

    /// The answer to a request that is blocked. The model is not asked.
    pub fn blocked_input(&self) -> Option<Script> {
        let trace = self.trace(None, Vec::new());
        self.input.is_blocked().then(|| {
            let metadata = Metadata { latency: BLOCK_DELAY, trace, ..Metadata::default() };
            let start = (BLOCK_DELAY, ScriptStep::Send(StreamEvent::MessageStart));
            Script::Stream([vec![start], blocked_end(0, BLOCKED_INPUT_MESSAGE, metadata)].concat())
        })
    }

    /// The model reads masks in place of what is masked.
    pub fn mask_input(&self, transcript: &mut Transcript) {
        if !self.input.is_masked() {
            return;
        }
        let is_selective = has_guard_content(transcript);
        let messages = transcript.messages.iter_mut().flat_map(|message| &mut message.content);
        for block in transcript.system.iter_mut().chain(messages) {
            if !is_selective || block.guard_content.is_some() {
                block.text_mut().into_iter().for_each(|text| *text = mask(text).into_owned());
            }
        }
    }

    /// The answer as the guardrail lets it pass.
    pub fn guard_output(&self, script: Script) -> Script {
        let Script::Stream(steps) = script else { return script };
        let text: String = steps.iter().filter_map(|(_, step)| text_of(step)).map(|(_, text)| text).collect();
        let output = Assessment::new(Source::Output, [text.as_str()]);
        let is_sync = self.config.stream_processing_mode.as_deref() != Some("async");
        let blocked_text = if output.is_blocked() { vec![text] } else { Vec::new() };
        let trace = self.trace(Some(&output), blocked_text);
        let mut script = Script::Stream(match (output.is_blocked(), is_sync) {
            (true, true) => block_all(&steps),
            (true, false) => block_rest(steps),
            (false, true) if output.is_masked() => mask_blocks(steps),
            (false, true) => hold_chunks(steps),
            (false, false) => steps,
        });
        script.update_metadata(|metadata| metadata.trace = trace);
        script
    }

    /// None if the request does not want it.
    fn trace(&self, output: Option<&Assessment>, blocked_text: Vec<String>) -> Option<Value> {
        if !matches!(self.config.trace.as_deref(), Some("enabled" | "enabled_full")) {
            return None;
        }
        let report =
            |assessment, characters| self.guardrail.report(&self.config.guardrail_version, assessment, characters);
        let by_id = |value: Value| Value::Object(Map::from_iter([(self.guardrail.id().to_owned(), value)]));
        let decisive = output.filter(|_| !self.input.is_blocked()).filter(|output| output.reason() != "No action.");
        let mut trace = json!({
            "inputAssessment": by_id(report(&self.input, self.characters)),
            "actionReason": decisive.unwrap_or(&self.input).reason(),
        });
        if let Some(output) = output {
            trace["outputAssessments"] = by_id(json!([report(output, output.characters())]));
        }
        if !blocked_text.is_empty() {
            trace["modelOutput"] = json!(blocked_text);
        }
        Some(json!({ "guardrail": trace }))
    }
}

/// Everything but tools, their arguments and their results. If there is content for the guardrail, only that.
fn assessed_blocks(transcript: &Transcript) -> impl Iterator<Item = &ContentBlock> {
    let is_selective = has_guard_content(transcript);
    blocks(transcript).filter(move |block| !is_selective || block.guard_content.is_some())
}

fn has_guard_content(transcript: &Transcript) -> bool {
    blocks(transcript).any(|block| block.guard_content.is_some())
}

fn blocks(transcript: &Transcript) -> impl Iterator<Item = &ContentBlock> {
    transcript.system.iter().chain(transcript.messages.iter().flat_map(|message| &message.content))
}

fn text_of(step: &ScriptStep) -> Option<(usize, &str)> {
    match step {
        ScriptStep::Send(StreamEvent::Delta { index, delta: Delta::Text(text) }) => Some((*index, text)),
        _ => None,
    }
}

/// The number of steps until the forbidden words are complete, and the block that they are in.
fn violation_end(steps: &Steps) -> (usize, usize) {
    let mut text = String::new();
    for (number, (_, step)) in (1..).zip(steps) {
        let Some((block, piece)) = text_of(step) else { continue };
        text.push_str(piece);
        if has_forbidden_words(&text) {
            return (number, block);
        }
    }
    (steps.len(), 0)
}

/// The message in place of the answer, when the guardrail has read so far.
fn block_all(steps: &Steps) -> Steps {
    let (read, _) = violation_end(steps);
    let delay = steps[..read].iter().map(|(pause, _)| *pause).sum();
    let start = (delay, ScriptStep::Send(StreamEvent::MessageStart));
    [vec![start], blocked_end(0, BLOCKED_OUTPUT_MESSAGE, metadata(steps))].concat()
}

/// What was sent stays, and the message follows.
fn block_rest(mut steps: Steps) -> Steps {
    let end = metadata(&steps);
    let (sent, block) = violation_end(&steps);
    steps.truncate(sent);
    steps.extend(blocked_end(block, BLOCKED_OUTPUT_MESSAGE, end));
    steps
}

fn metadata(steps: &Steps) -> Metadata {
    let metadata = steps.iter().rev().find_map(|(_, step)| match step {
        ScriptStep::Send(StreamEvent::Metadata(metadata)) => Some(metadata.clone()),
        _ => None,
    });
    metadata.unwrap_or_default()
}

fn blocked_end(index: usize, message: &str, metadata: Metadata) -> Steps {
    let events = [
        StreamEvent::Delta { index, delta: Delta::Text(message.to_owned()) },
        StreamEvent::BlockStop { index },
        StreamEvent::MessageStop { reason: STOP_REASON },
        StreamEvent::Metadata(metadata),
    ];
    events.into_iter().map(|event| (Duration::ZERO, ScriptStep::Send(event))).collect()
}

/// Text is sent when enough of it was assessed.
fn hold_chunks(steps: Steps) -> Steps {
    let mut sent = Steps::new();
    let mut held = Steps::new();
    let mut characters = 0;
    for (pause, step) in steps {
        let length = text_of(&step).map(|(_, text)| text.chars().count());
        held.push((pause, step));
        characters += length.unwrap_or_default();
        if length.is_none() || characters >= CHUNK_CHARACTERS {
            sent.extend(released(std::mem::take(&mut held)));
            characters = 0;
        }
    }
    sent.extend(released(held));
    sent
}

/// All at once, when the last is there.
fn released(mut held: Steps) -> Steps {
    let total = held.iter().map(|(pause, _)| *pause).sum();
    held.iter_mut().for_each(|(pause, _)| *pause = Duration::ZERO);
    held.first_mut().into_iter().for_each(|(pause, _)| *pause = total);
    held
}

/// The text of a block is sent, masked, when it is complete.
fn mask_blocks(steps: Steps) -> Steps {
    let mut sent = Steps::new();
    let (mut text, mut held) = (String::new(), Duration::ZERO);
    for (pause, step) in steps {
        if let Some((_, piece)) = text_of(&step) {
            text.push_str(piece);
            held += pause;
            continue;
        }
        if let ScriptStep::Send(StreamEvent::BlockStop { index }) = &step {
            for piece in split_tokens(&mask(&std::mem::take(&mut text))) {
                let delta = Delta::Text(piece.to_owned());
                let event = StreamEvent::Delta { index: *index, delta };
                sent.push((std::mem::take(&mut held), ScriptStep::Send(event)));
            }
        }
        sent.push((std::mem::take(&mut held) + pause, step));
    }
    sent
}
