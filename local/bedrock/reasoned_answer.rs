//! Answers of scripted models that think before they speak.
use std::time::Duration;

use serde_json::Value;

use super::{
    canned_text::{count_tokens, shorten, split_tokens},
    model_family::{Claude, ModelFamily, model_family, name},
    request::Transcript,
    script::{Delta, Pace, Script, ScriptBuilder, ScriptStep, StreamEvent},
    signatures,
};

const QUOTED_CHARACTERS: usize = 80;
const LONG_TOKENS: usize = 5_000;
/// What Nova sends in place of its thoughts.
const NOVA_TEXT: &str = "[REDACTED]";
/// In a question: the model sends its thoughts so that nobody can read them.
const SECRETLY: &str = "think in secret";
/// In a question: the model thinks and says nothing.
const ONLY: &str = "only think";

/// What a model thinks before it answers.
#[derive(Clone, Debug)]
pub(super) struct Thoughts {
    text: String,
    form: Form,
    /// Whether an answer follows.
    has_answer: bool,
    pace: Pace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Signed,
    /// The text is left out.
    SignatureOnly,
    Redacted,
    Unsigned,
}

/// Whether the request has Claude's members for it.
pub(super) fn asks_for_thinking(transcript: &Transcript) -> bool {
    matches!(field(transcript, "thinking")["type"].as_str(), Some("enabled" | "adaptive"))
}

fn field<'a>(transcript: &'a Transcript, name: &str) -> &'a Value {
    transcript.additional_model_request_fields.as_ref().map_or(&Value::Null, |fields| &fields[name])
}

/// None if the model answers at once.
pub(super) fn thoughts(model_id: &str, transcript: &Transcript) -> Option<Thoughts> {
    let question = transcript.questions().last().copied().unwrap_or_default().to_lowercase();
    let (form, is_only) = match name(model_id) {
        "parlance.reasoning" | "parlance.reasoning-long" => (Form::Signed, false),
        "parlance.reasoning-redacted" => (Form::Redacted, false),
        "parlance.reasoning-unsigned" => (Form::Unsigned, false),
        "parlance.reasoning-only" => (Form::Signed, true),
        _ => (form(model_id, transcript)?, question.contains(ONLY)),
    };
    let form = if form == Form::Signed && question.contains(SECRETLY) { Form::Redacted } else { form };
    let is_long = name(model_id) == "parlance.reasoning-long";
    let pace = if is_long { Pace::Every(Duration::from_millis(1)) } else { Pace::Natural };
    Some(Thoughts { text: text(model_id, transcript), form, has_answer: !is_only, pace })
}

fn form(model_id: &str, transcript: &Transcript) -> Option<Form> {
    match model_family(model_id) {
        ModelFamily::Claude(claude) if asks_for_thinking(transcript) => Some(claude_form(claude, transcript)),
        ModelFamily::Scripted if asks_for_thinking(transcript) => Some(Form::Signed),
        ModelFamily::Nova { .. } if field(transcript, "reasoningConfig")["type"] == "enabled" => Some(Form::Unsigned),
        ModelFamily::Other(name) if name.starts_with("moonshot") => {
            field(transcript, "reasoning_effort").is_string().then_some(Form::Unsigned)
        }
        // They always think.
        ModelFamily::Other(name) if name.starts_with("deepseek.") || name.starts_with("openai.gpt-oss") => {
            Some(Form::Unsigned)
        }
        _ => None,
    }
}

/// From version 4.7 on, Claude leaves its thoughts out if it is not asked to show them.
fn claude_form(claude: Claude, transcript: &Transcript) -> Form {
    match field(transcript, "thinking")["display"].as_str() {
        Some("summarized") => Form::Signed,
        None if claude.version < (4, 7) => Form::Signed,
        _ => Form::SignatureOnly,
    }
}

fn text(model_id: &str, transcript: &Transcript) -> String {
    if matches!(model_family(model_id), ModelFamily::Nova { .. }) {
        return NOVA_TEXT.to_owned();
    }
    if name(model_id) == "parlance.reasoning-long" {
        return long_text();
    }
    let results = transcript.messages.last().map_or(0, |message| message.tool_results().count());
    let question = shorten(transcript.questions().last().copied().unwrap_or_default(), QUOTED_CHARACTERS);
    match results {
        0 => format!(
            "The user says: “{question}”. I look for what is asked. I am scripted, so these are no thoughts, but they \
             take the path of thoughts."
        ),
        1 => "A result has arrived. I read it before I go on.".to_owned(),
        _ => format!("{results} results have arrived. I read them before I go on."),
    }
}

fn long_text() -> String {
    let mut text = String::new();
    for number in 1.. {
        if count_tokens(&text) >= LONG_TOKENS {
            break;
        }
        let thoughts: Vec<String> =
            (0..20).map(|index| format!("This is thought {number}.{index} of many. ")).collect();
        text.push_str(&thoughts.concat());
    }
    text
}

impl Thoughts {
    /// The tokens that are left for the answer.
    pub fn remaining_tokens(&self, max_tokens: Option<i64>) -> Option<i64> {
        let tokens = i64::try_from(count_tokens(&self.text)).unwrap_or(i64::MAX);
        max_tokens.map(|limit| (limit - tokens).max(0))
    }

    /// The script with the thoughts before its answer. If the token limit is reached, there is no more.
    pub fn before(&self, script: Script, model_id: &str, transcript: &Transcript, max_tokens: Option<i64>) -> Script {
        let Script::Stream(answer) = script else { return script };
        let limit = max_tokens.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0));
        let tokens = split_tokens(&self.text);
        let builder = ScriptBuilder::new(self.pace);
        if tokens.len() >= limit {
            return builder.reasoning(tokens[..limit].iter().copied()).close_block().finish("max_tokens", transcript);
        }
        let builder = self.add_block(builder, model_id, &tokens);
        if !self.has_answer {
            return builder.finish("end_turn", transcript);
        }
        let (mut steps, output_tokens) = builder.into_steps();
        let duration: Duration = steps.iter().map(|(pause, _)| *pause).sum();
        steps.extend(answer.into_iter().filter_map(|(pause, step)| Some((pause, after_block(step)?))));
        let mut script = Script::Stream(steps);
        script.update_metadata(|metadata| {
            metadata.output_tokens += output_tokens;
            metadata.latency += duration;
        });
        script
    }

    fn add_block(&self, builder: ScriptBuilder, model_id: &str, tokens: &[&str]) -> ScriptBuilder {
        let signature = |text: &str| Delta::ReasoningSignature(signatures::signature(model_id, text));
        let builder = match self.form {
            Form::Signed => builder.reasoning(tokens.iter().copied()).delta(signature(&self.text)),
            Form::SignatureOnly => builder.hidden_tokens(tokens.len()).delta(signature("")),
            Form::Redacted => {
                let data = signatures::redacted(model_id, &self.text);
                builder.hidden_tokens(tokens.len()).delta(Delta::RedactedReasoning(data))
            }
            Form::Unsigned if self.text == NOVA_TEXT => builder.reasoning([NOVA_TEXT]),
            Form::Unsigned => builder.reasoning(tokens.iter().copied()),
        };
        builder.close_block()
    }
}

/// A step of an answer whose blocks follow another one. None for the start of the message.
fn after_block(step: ScriptStep) -> Option<ScriptStep> {
    let ScriptStep::Send(event) = step else { return Some(step) };
    let event = match event {
        StreamEvent::MessageStart => return None,
        StreamEvent::ToolUseStart { index, id, name } => StreamEvent::ToolUseStart { index: index + 1, id, name },
        StreamEvent::Delta { index, delta } => StreamEvent::Delta { index: index + 1, delta },
        StreamEvent::BlockStop { index } => StreamEvent::BlockStop { index: index + 1 },
        StreamEvent::MessageStop { .. } | StreamEvent::Metadata(_) => event,
    };
    Some(ScriptStep::Send(event))
}
