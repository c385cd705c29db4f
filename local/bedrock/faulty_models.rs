//! Scripted models that fail or answer unusually on purpose. Any other model id gives a plain answer.
use std::time::Duration;

use super::{
    bedrock_error::BedrockError,
    canned_text::{INTRODUCTION, canned_answer, limit_answer, split_bytes, split_tokens},
    faulty_tool_models as tools,
    request::Transcript,
    script::{Delta, Exception, Pace, Script, ScriptBuilder, ScriptStep},
    scripted_citations, scripted_title, scripted_tools, search_results,
};

/// A model id and its behaviour.
pub struct FaultyModel {
    pub model_id: &'static str,
    pub description: &'static str,
    script: fn(&ScriptInput) -> Script,
}

/// The request that a script responds to.
pub(super) struct ScriptInput<'a> {
    pub transcript: &'a Transcript,
    /// How often this transcript was throttled in a row before.
    throttles: u32,
}

const fn model(model_id: &'static str, description: &'static str, script: fn(&ScriptInput) -> Script) -> FaultyModel {
    FaultyModel { model_id, description, script }
}

/// There is also `parlance.deltas-N-M`: N deltas of five bytes, M milliseconds apart.
pub const FAULTY_MODELS: [FaultyModel; 50] = [
    model("parlance.throttled", "429, always", |_| Script::Error(BedrockError::throttled())),
    model("parlance.throttled-twice", "429 twice for a transcript, then an answer", throttled_twice),
    model("parlance.throttled-midway", "throttlingException after some text", |input| {
        some_text(input).end_with(ScriptStep::SendException(Exception::Throttling))
    }),
    model("parlance.daily-quota", "429 because the day's tokens are used up", |_| {
        Script::Error(BedrockError::throttled_for_the_day())
    }),
    model("parlance.refused", "400 ValidationException", |_| {
        Script::Error(BedrockError::validation("Input is too long for requested model."))
    }),
    model("parlance.refused-settings", "400 because of maxTokens", |_| {
        let text = "The maximum tokens you requested exceeds the model limit of 10.";
        Script::Error(BedrockError::validation(text))
    }),
    model(
        "parlance.strict-settings",
        "400 for temperature, for topP and for more than four stop sequences",
        strict_settings,
    ),
    model(search_results::REFUSING_MODEL, "400 for search results", plain_answer),
    model("parlance.forbidden", "403 AccessDeniedException", |_| Script::Error(BedrockError::model_access_denied())),
    model("parlance.missing", "404 ResourceNotFoundException", |_| Script::Error(BedrockError::model_not_found())),
    model("parlance.retired", "404 because the model is at the end of its life", |_| {
        Script::Error(BedrockError::model_retired())
    }),
    model("parlance.needs-profile", "400 because the model needs an inference profile", |_| {
        Script::Error(BedrockError::model_needs_profile("parlance.needs-profile"))
    }),
    model("parlance.not-ready", "429 ModelNotReadyException", |_| Script::Error(BedrockError::model_not_ready())),
    model("parlance.unavailable", "503 ServiceUnavailableException", |_| Script::Error(BedrockError::unavailable())),
    model("parlance.unavailable-at-once", "serviceUnavailableException before any text", |_| {
        ScriptBuilder::new(Pace::Natural).end_with(ScriptStep::SendException(Exception::ServiceUnavailable))
    }),
    model("parlance.cut", "the connection breaks after some text", |input| {
        some_text(input).end_with(ScriptStep::Disconnect)
    }),
    model("parlance.cut-at-once", "the connection breaks before any event", |_| {
        Script::Stream(vec![(Duration::ZERO, ScriptStep::Disconnect)])
    }),
    model("parlance.silent", "no response at all, on an open connection", |_| Script::NoResponse),
    model("parlance.falls-silent", "some text, then nothing, on an open connection", |input| {
        some_text(input).end_with(ScriptStep::Hang)
    }),
    model("parlance.slow", "a delta every two seconds", slow),
    model("parlance.exception", "internalServerException after some text", |input| {
        some_text(input).end_with(ScriptStep::SendException(Exception::InternalServer))
    }),
    model("parlance.stream-error", "modelStreamErrorException after some text", |input| {
        some_text(input).end_with(ScriptStep::SendException(Exception::ModelStreamError))
    }),
    model("parlance.long", "1 MiB of text, fast", long),
    model("parlance.kinds", "deltas of reasoning, citation, tool use and text", all_kinds),
    model("parlance.unicode", "text that is easily damaged, broken between any two characters", unicode),
    model(
        "parlance.surrogates",
        "surrogate pairs cut between deltas, lone halves, an event that is no JSON",
        surrogates,
    ),
    model("parlance.blocks", "a text in 200 content blocks", blocks),
    model("parlance.alternating-blocks", "1,200 deltas that alternate between two content blocks", alternating_blocks),
    model("parlance.blank", "an answer without any text", |input| {
        ScriptBuilder::new(Pace::Natural).finish("end_turn", input.transcript)
    }),
    model("parlance.invisible", "an answer of U+001C to U+001F and U+FEFF", |input| {
        let text = "\u{1C}\u{1D}\u{1E}\u{1F}\u{FEFF}".to_owned();
        ScriptBuilder::new(Pace::Natural).text([text]).close_block().finish("end_turn", input.transcript)
    }),
    model("parlance.max-tokens", "some text, then max_tokens", |input| {
        some_text(input).close_block().finish("max_tokens", input.transcript)
    }),
    model("parlance.filtered", "some text, then content_filtered", |input| {
        some_text(input).close_block().finish("content_filtered", input.transcript)
    }),
    model("parlance.echo", "the user's last text, byte for byte", echo),
    model("parlance.reasoning", "reasoning with a signature, then an answer", plain_answer),
    model("parlance.reasoning-redacted", "reasoning that cannot be read, then an answer", plain_answer),
    model("parlance.reasoning-unsigned", "reasoning without a signature, then an answer", plain_answer),
    model("parlance.reasoning-only", "reasoning without an answer", plain_answer),
    model("parlance.reasoning-long", "5,000 tokens of reasoning, then an answer", plain_answer),
    model("parlance.tools.unknown", "a call of a tool that does not exist", tools::unknown),
    model("parlance.tools.no-json", "a call whose arguments are no JSON", tools::no_json),
    model("parlance.tools.list", "a call whose arguments are a JSON list", tools::list),
    model("parlance.tools.no-arguments", "a call without arguments", tools::no_arguments),
    model("parlance.tools.duplicate-id", "two calls with one id", tools::duplicate_id),
    model("parlance.tools.no-call", "tool_use without a call", tools::no_call),
    model("parlance.tools.endless", "a call in every answer", tools::endless),
    model("parlance.tools.many", "40 calls at once", tools::many),
    model("parlance.tools.long", "a call with 100 KB of arguments", tools::long),
    model("parlance.tools.cut", "the connection breaks within a call", tools::cut),
    model("parlance.tools.max-tokens", "max_tokens within a call", tools::max_tokens),
    model("parlance.tools.malformed", "some text, then malformed_tool_use", tools::malformed),
];

const LONG_BYTES: usize = 1024 * 1024;
const SOME_TOKENS: usize = 20;
const MAX_DELTAS: usize = 100_000;

/// The response to a transcript that was throttled so often in a row before. The model id may be an ARN.
pub(super) fn script(model_id: &str, transcript: &Transcript, throttles: u32) -> Script {
    let name = model_id.rsplit('/').next().unwrap_or(model_id);
    let input = ScriptInput { transcript, throttles };
    match FAULTY_MODELS.iter().find(|model| model.model_id == name) {
        Some(model) => (model.script)(&input),
        None => counted_deltas(name, &input).unwrap_or_else(|| plain_answer(&input)),
    }
}

fn plain_answer(input: &ScriptInput) -> Script {
    scripted_title::script(input.transcript)
        .or_else(|| scripted_tools::script(input.transcript))
        .or_else(|| scripted_citations::script(input.transcript))
        .unwrap_or_else(|| canned_script(input))
}

fn canned_script(input: &ScriptInput) -> Script {
    let (tokens, reason) = limit_answer(&input.transcript.inference_config, &canned_answer(input.transcript));
    ScriptBuilder::new(Pace::Natural).text(tokens).close_block().finish(reason, input.transcript)
}

fn some_text(input: &ScriptInput) -> ScriptBuilder {
    ScriptBuilder::new(Pace::Natural).text(split_tokens(&canned_answer(input.transcript)).into_iter().take(SOME_TOKENS))
}

fn throttled_twice(input: &ScriptInput) -> Script {
    if input.throttles < 2 { Script::Error(BedrockError::throttled()) } else { plain_answer(input) }
}

fn strict_settings(input: &ScriptInput) -> Script {
    let config = &input.transcript.inference_config;
    let stop_sequences = config.stop_sequences.as_ref().map_or(0, Vec::len);
    let error = match (config.temperature, config.top_p) {
        (Some(_), _) => "The model returned the following errors: `temperature` is deprecated for this model.",
        (None, Some(_)) => "The model returned the following errors: `top_p` is deprecated for this model.",
        (None, None) if stop_sequences > 4 => {
            "1 validation error detected: Value at 'inferenceConfig.stopSequences' failed to satisfy constraint: Member \
             must have length less than or equal to 4"
        }
        (None, None) => return plain_answer(input),
    };
    Script::Error(BedrockError::validation(error))
}

fn slow(input: &ScriptInput) -> Script {
    let text = canned_answer(input.transcript);
    ScriptBuilder::new(Pace::Every(Duration::from_secs(2)))
        .text(split_tokens(&text))
        .close_block()
        .finish("end_turn", input.transcript)
}

fn long(input: &ScriptInput) -> Script {
    fast(&long_text(), 256, input)
}

/// The answer of `parlance.long`: 1 MiB.
pub fn long_text() -> String {
    let lines = (1..).map(|number| format!("This is line {number} of a very long answer.\n"));
    let mut text = format!("{INTRODUCTION}\n");
    text.extend(lines.take(LONG_BYTES / 30));
    text.truncate(LONG_BYTES);
    text
}

fn echo(input: &ScriptInput) -> Script {
    fast(input.transcript.questions().last().copied().unwrap_or_default(), 64, input)
}

fn fast(text: &str, bytes: usize, input: &ScriptInput) -> Script {
    let script = ScriptBuilder::new(Pace::Every(Duration::from_millis(1)));
    script.text(split_bytes(text, bytes)).close_block().finish("end_turn", input.transcript)
}

fn unicode(input: &ScriptInput) -> Script {
    ScriptBuilder::new(Pace::Natural).text(split_bytes(UNICODE, 5)).close_block().finish("end_turn", input.transcript)
}

fn surrogates(input: &ScriptInput) -> Script {
    let deltas = [r"a\ud83d", r"\ude00b", r"\ud83d", r"c\ude00", r"d\ud83d\ude00", r"\q", "e"];
    let script = ScriptBuilder::new(Pace::Every(Duration::from_millis(1)));
    let script = deltas.into_iter().fold(script, |script, text| script.delta(Delta::EscapedText(text)));
    script.close_block().finish("end_turn", input.transcript)
}

/// The answer of `parlance.surrogates`, with lone halves replaced and without the event that is no JSON.
pub const SURROGATES: &str = "a\u{1f600}b\u{fffd}c\u{fffd}d\u{1f600}e";

fn blocks(input: &ScriptInput) -> Script {
    let script = ScriptBuilder::new(Pace::Every(Duration::from_millis(1)));
    let script = (0..200).fold(script, |script, index| script.text_in_block(index, &block_text(index)).close_block());
    script.finish("end_turn", input.transcript)
}

/// The text of a block of `parlance.blocks`.
pub fn block_text(index: usize) -> String {
    format!("This is block {index}. ")
}

fn alternating_blocks(input: &ScriptInput) -> Script {
    let script = ScriptBuilder::new(Pace::Every(Duration::from_millis(1)));
    let script = (0..1_200).fold(script, |script, number| script.text_in_block(number % 2, ["a", "b"][number % 2]));
    script.close_block().finish("end_turn", input.transcript)
}

/// The answer of `parlance.unicode`: joined emoji, flags, combining marks, right-to-left text, line ends,
/// control characters, supplementary planes.
pub const UNICODE: &str = "I am Parlance's scripted model, not a real one.\r\n\
    👩‍👩‍👧‍👦 🏳️‍🌈 🇫🇷 👍🏽 e\u{301} Z\u{351}\u{36b}\u{343}a\u{300}l\u{489}go \u{fb01} Å A\u{30a}\r\n\
    שָׁלוֹם עוֹלָם \u{202e}reversed\u{202c} مَرْحَبًا\u{200f} हिन्दी 日本語 ไทย\n\r\t\
    \u{0}\u{1}\u{7}\u{8}\u{b}\u{c}\u{1b}[31m\u{7f}\u{85}\u{a0}\u{ad}\u{200b}\u{2028}\u{2029}\u{feff}\u{fffd}\u{ffff}\u{10ffff}\
    \"quotes\" \\back\\slashes\\ </script> {{braces}} $ref ${dollar} #set($x) %00 &amp; <b>";

/// ContentBlock 0 reasons, block 1 speaks and cites, block 2 uses a tool, block 3 speaks.
fn all_kinds(input: &ScriptInput) -> Script {
    ScriptBuilder::new(Pace::Natural)
        .delta(Delta::Reasoning("Let me think about".into()))
        .delta(Delta::Reasoning(" this.".into()))
        .delta(Delta::ReasoningSignature("c2lnbmF0dXJl".into()))
        .delta(Delta::RedactedReasoning("cmVkYWN0ZWQ=".into()))
        .close_block()
        .text(split_tokens(INTRODUCTION))
        .delta(Delta::Citation { title: "A handbook".into(), source: "handbook".into(), search_result: None })
        .close_block()
        .tool_use("tooluse_parlance", "lookup")
        .delta(Delta::ToolInput("{\"city\":".to_owned()))
        .delta(Delta::ToolInput("\"Paris\"}".to_owned()))
        .close_block()
        .text(split_tokens(" That was every kind of delta."))
        .close_block()
        .finish("end_turn", input.transcript)
}

/// The script of `parlance.deltas-N-M`. None for any other name, or for too many deltas.
fn counted_deltas(name: &str, input: &ScriptInput) -> Option<Script> {
    let (count, pause) = name.strip_prefix("parlance.deltas-")?.split_once('-')?;
    let (count, pause) = (count.parse::<usize>().ok()?, pause.parse::<u32>().ok()?);
    let text = (1..=count.min(MAX_DELTAS)).map(|number| format!("{:04} ", number % 10_000));
    let script = ScriptBuilder::new(Pace::Every(Duration::from_millis(pause.into()))).text(text);
    (count <= MAX_DELTAS).then(|| script.close_block().finish("end_turn", input.transcript))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Transcript {
        let body = br#"{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}"#;
        Transcript::parse(body).expect("a transcript")
    }

    fn pauses(model_id: &str) -> Vec<Duration> {
        match script(model_id, &hello(), 0) {
            Script::Stream(steps) => steps.into_iter().map(|(pause, _)| pause).collect(),
            other => panic!("{model_id} does not stream: {other:?}"),
        }
    }

    #[test]
    fn plain_answer_takes_two_to_four_seconds() {
        let pauses = pauses("anthropic.claude");
        assert_eq!(pauses.first(), Some(&Duration::from_millis(300)));
        assert!(pauses[1..].iter().all(|pause| pause.as_millis() <= 30));
        let total = pauses.iter().sum::<Duration>().as_secs_f64();
        assert!((2.0..4.0).contains(&total), "{total} s");
    }

    #[test]
    fn counted_deltas_have_the_pace_in_the_model_id() {
        let pauses = pauses("parlance.deltas-300-15");
        assert_eq!(pauses.iter().filter(|pause| pause.as_millis() == 15).count(), 301, "each delta and the metadata");
    }

    #[test]
    fn invalid_counts_of_deltas_give_a_plain_answer() {
        for name in ["parlance.deltas-", "parlance.deltas-1", "parlance.deltas-x-1", "parlance.deltas-1000000-1"] {
            assert_eq!(script(name, &hello(), 0), script("any", &hello(), 0), "{name}");
        }
    }
}
