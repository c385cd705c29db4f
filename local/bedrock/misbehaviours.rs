//! The model ids whose answers go wrong, or are odd, on purpose. Any other id answers plainly.
use std::time::Duration;

use super::{
    answer::{STAND_IN, answer, chunks, pieces, within},
    refusal::Refusal,
    request::Transcript,
    script::{Delta, Exception, Pace, Scribe, Script, ScriptStep},
};

/// A model id and what asking it leads to.
pub struct Misbehaviour {
    pub model_id: &'static str,
    pub description: &'static str,
    script: fn(&Asked) -> Script,
}

/// What a script is made from.
struct Asked<'a> {
    transcript: &'a Transcript,
    /// How often this transcript was refused just before.
    refusals: u32,
}

const fn row(model_id: &'static str, description: &'static str, script: fn(&Asked) -> Script) -> Misbehaviour {
    Misbehaviour { model_id, description, script }
}

/// Beside these there is `parlance.deltas-N-M`: N deltas of five bytes, M milliseconds apart.
pub const MISBEHAVIOURS: [Misbehaviour; 21] = [
    row("parlance.throttled", "429, always", |_| Script::Refused(Refusal::throttled())),
    row("parlance.throttled-twice", "429 twice for a transcript, then an answer", throttled_twice),
    row("parlance.throttled-midway", "throttlingException after some text", |asked| {
        some_text(asked).end(ScriptStep::Throw(Exception::Throttling))
    }),
    row("parlance.refused", "400 ValidationException", |_| {
        Script::Refused(Refusal::invalid("Input is too long for requested model."))
    }),
    row("parlance.forbidden", "403 AccessDeniedException", |_| Script::Refused(Refusal::forbidden())),
    row("parlance.missing", "404 ResourceNotFoundException", |_| Script::Refused(Refusal::missing())),
    row("parlance.unavailable", "503 ServiceUnavailableException", |_| Script::Refused(Refusal::unavailable())),
    row("parlance.cut", "the connection breaks after some text", |asked| some_text(asked).end(ScriptStep::Cut)),
    row("parlance.cut-at-once", "the connection breaks before any event", |_| {
        Script::Stream(vec![(Duration::ZERO, ScriptStep::Cut)])
    }),
    row("parlance.silent", "no response at all, on an open connection", |_| Script::Silent),
    row("parlance.falls-silent", "some text, then nothing, on an open connection", |asked| {
        some_text(asked).end(ScriptStep::FallSilent)
    }),
    row("parlance.slow", "a delta every two seconds", slow),
    row("parlance.exception", "internalServerException after some text", |asked| {
        some_text(asked).end(ScriptStep::Throw(Exception::InternalServer))
    }),
    row("parlance.stream-error", "modelStreamErrorException after some text", |asked| {
        some_text(asked).end(ScriptStep::Throw(Exception::ModelStreamError))
    }),
    row("parlance.long", "1 MiB of text, fast", long),
    row("parlance.kinds", "deltas of reasoning, citation, tool use and text", kinds),
    row("parlance.unicode", "text that is easily damaged, broken between any two characters", unicode),
    row("parlance.blank", "an answer without any text", |asked| {
        Scribe::begin(Pace::Natural).stop("end_turn", asked.transcript)
    }),
    row("parlance.max-tokens", "some text, then max_tokens", |asked| {
        some_text(asked).close_block().stop("max_tokens", asked.transcript)
    }),
    row("parlance.filtered", "some text, then content_filtered", |asked| {
        some_text(asked).close_block().stop("content_filtered", asked.transcript)
    }),
    row("parlance.echo", "the user's last text, byte for byte", echo),
];

const LONG_BYTES: usize = 1024 * 1024;
const SOME_PIECES: usize = 20;
const MOST_DELTAS: usize = 100_000;

/// The answer to a transcript that was refused so often just before. The model id may end an ARN.
pub(super) fn script(model_id: &str, transcript: &Transcript, refusals: u32) -> Script {
    let name = model_id.rsplit('/').next().unwrap_or(model_id);
    let asked = Asked { transcript, refusals };
    match MISBEHAVIOURS.iter().find(|known| known.model_id == name) {
        Some(known) => (known.script)(&asked),
        None => deltas(name, &asked).unwrap_or_else(|| plain(&asked)),
    }
}

fn plain(asked: &Asked) -> Script {
    let (pieces, reason) = within(&asked.transcript.inference_config, &answer(asked.transcript));
    Scribe::begin(Pace::Natural).say(pieces).close_block().stop(reason, asked.transcript)
}

fn some_text(asked: &Asked) -> Scribe {
    Scribe::begin(Pace::Natural).say(pieces(&answer(asked.transcript)).into_iter().take(SOME_PIECES))
}

fn throttled_twice(asked: &Asked) -> Script {
    if asked.refusals < 2 { Script::Refused(Refusal::throttled()) } else { plain(asked) }
}

fn slow(asked: &Asked) -> Script {
    let text = answer(asked.transcript);
    Scribe::begin(Pace::Every(Duration::from_secs(2)))
        .say(pieces(&text))
        .close_block()
        .stop("end_turn", asked.transcript)
}

fn long(asked: &Asked) -> Script {
    fast(&long_text(), 256, asked)
}

/// What `parlance.long` says: 1 MB.
pub fn long_text() -> String {
    let lines = (1..).map(|number| format!("This is line {number} of a very long answer.\n"));
    let mut text = format!("{STAND_IN}\n");
    text.extend(lines.take(LONG_BYTES / 30));
    text.truncate(LONG_BYTES);
    text
}

fn echo(asked: &Asked) -> Script {
    fast(asked.transcript.questions().last().copied().unwrap_or_default(), 64, asked)
}

fn fast(text: &str, bytes: usize, asked: &Asked) -> Script {
    let scribe = Scribe::begin(Pace::Every(Duration::from_millis(1)));
    scribe.say(chunks(text, bytes)).close_block().stop("end_turn", asked.transcript)
}

fn unicode(asked: &Asked) -> Script {
    Scribe::begin(Pace::Natural).say(chunks(UNICODE, 5)).close_block().stop("end_turn", asked.transcript)
}

/// What `parlance.unicode` says: joined emoji, flags, marks that combine, right-to-left text, line ends, control characters and the outer planes.
pub const UNICODE: &str = "I am Parlance's scripted stand-in, not a real model.\r\n\
    👩‍👩‍👧‍👦 🏳️‍🌈 🇫🇷 👍🏽 e\u{301} Z\u{351}\u{36b}\u{343}a\u{300}l\u{489}go \u{fb01} Å A\u{30a}\r\n\
    שָׁלוֹם עוֹלָם \u{202e}reversed\u{202c} مَرْحَبًا\u{200f} हिन्दी 日本語 ไทย\n\r\t\
    \u{0}\u{1}\u{7}\u{8}\u{b}\u{c}\u{1b}[31m\u{7f}\u{85}\u{a0}\u{ad}\u{200b}\u{2028}\u{2029}\u{feff}\u{fffd}\u{ffff}\u{10ffff}\
    \"quotes\" \\back\\slashes\\ </script> {{braces}} $ref ${dollar} #set($x) %00 &amp; <b>";

/// Block 0 reasons, block 1 speaks and cites, block 2 uses a tool, block 3 speaks.
fn kinds(asked: &Asked) -> Script {
    Scribe::begin(Pace::Natural)
        .delta(Delta::Reasoning("Let me think about"))
        .delta(Delta::Reasoning(" this."))
        .delta(Delta::ReasoningSignature("c2lnbmF0dXJl"))
        .delta(Delta::RedactedReasoning("cmVkYWN0ZWQ="))
        .close_block()
        .say(pieces(STAND_IN))
        .delta(Delta::Citation { title: "A handbook", source: "handbook" })
        .close_block()
        .tool_use("tooluse_parlance", "weather")
        .delta(Delta::ToolInput("{\"city\":"))
        .delta(Delta::ToolInput("\"Paris\"}"))
        .close_block()
        .say(pieces(" That was every kind of delta."))
        .close_block()
        .stop("end_turn", asked.transcript)
}

/// `parlance.deltas-300-15`; none when the name is not of this form or asks for too much.
fn deltas(name: &str, asked: &Asked) -> Option<Script> {
    let (count, pause) = name.strip_prefix("parlance.deltas-")?.split_once('-')?;
    let (count, pause) = (count.parse::<usize>().ok()?, pause.parse::<u32>().ok()?);
    let text = (1..=count.min(MOST_DELTAS)).map(|number| format!("{:04} ", number % 10_000));
    let scribe = Scribe::begin(Pace::Every(Duration::from_millis(pause.into()))).say(text);
    (count <= MOST_DELTAS).then(|| scribe.close_block().stop("end_turn", asked.transcript))
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
    fn a_plain_answer_begins_after_300_milliseconds_and_takes_two_to_four_seconds() {
        let pauses = pauses("anthropic.claude");
        assert_eq!(pauses.first(), Some(&Duration::from_millis(300)));
        assert!(pauses[1..].iter().all(|pause| pause.as_millis() <= 30));
        let whole = pauses.iter().sum::<Duration>().as_secs_f64();
        assert!((2.0..4.0).contains(&whole), "{whole} s");
    }

    #[test]
    fn counted_deltas_come_at_the_named_pace() {
        let pauses = pauses("parlance.deltas-300-15");
        assert_eq!(pauses.iter().filter(|pause| pause.as_millis() == 15).count(), 301, "each delta and the metadata");
    }

    #[test]
    fn counted_deltas_without_proper_numbers_are_a_plain_answer() {
        for name in ["parlance.deltas-", "parlance.deltas-1", "parlance.deltas-x-1", "parlance.deltas-1000000-1"] {
            assert_eq!(script(name, &hello(), 0), script("any", &hello(), 0), "{name}");
        }
    }
}
