//! The first half of a file in tests/golden: what happens effects clients one attempt.
//!
//! ```text
//! # Why this case exists.
//! latency 30                      how long AppSync takes, in milliseconds
//! batch-bytes 4096 | event-bytes 160000 | silence 120000 | left 900000      limits other than the usual ones
//! attempt 2                       which claim of the turn it is
//! claimed-before 9000             how long ago its lease began
//! continues                       it goes on where an answer has ended
//! ask                             begins what the model does when it is asked once
//!   +15 text "Hello"              after 15 ms: a delta of block 0; text[1] "…" is one of block 1
//!   300x +15 text "tick "         three hundred of them
//!   +0 text "é"*3000              one delta, its text repeated
//!   +0 other | stopped END_TURN | used 12 3 | failed THROTTLED | closed
//! publish 2 again 10000           how AppSync answers number 2, one line per try, and how long it takes
//! appsync 100..60000 again        how AppSync answers everything it is sent in that time; without an end: from then on
//! write 3 again 100               how the table answers the writing of number 3, one line per try
//! renew accepted CANCELLING       how the table answers the renewals of the lease, one line each, from the first
//! ```
//! All is accepted with RUNNING unless a line says accepted STATUS, again, stale or (only AppSync) refused.
use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    time::Duration,
};

use api::types::{FailureCode, TurnStatus, Usage};
use serde::de::DeserializeOwned;
use turn::{attempt::Input, direct_write::WriteFailure, limits::Limits, mutation::PublishFailure, types::StreamEvent};

#[derive(Debug)]
pub struct Script {
    pub latency: Duration,
    pub left: Duration,
    pub attempt: u32,
    /// How long ago its lease began.
    pub claimed_before: Duration,
    /// Whether it goes on where an answer has ended.
    pub continues: bool,
    pub limits: Limits,
    /// For each time the model is asked: after how long it does what.
    pub asks: VecDeque<Vec<(Duration, Said)>>,
    /// By sequence, for each try.
    pub publishes: HashMap<u32, VecDeque<Scripted<PublishAnswer>>>,
    /// By sequence, for each try.
    pub writes: HashMap<u32, VecDeque<Scripted<WriteAnswer>>>,
    pub renewals: VecDeque<Scripted<WriteAnswer>>,
    pub weather: Vec<Weather>,
}

pub type PublishAnswer = Result<TurnStatus, PublishFailure>;
pub type WriteAnswer = Result<TurnStatus, WriteFailure>;

/// An answer, and how long it takes.
pub type Scripted<A> = (A, Option<Duration>);

/// How AppSync answers for a time.
#[derive(Clone, Debug)]
pub struct Weather {
    pub time: Range<Duration>,
    pub answer: PublishAnswer,
}

#[derive(Clone, Debug)]
pub enum Said {
    Event(StreamEvent),
    Failed(FailureCode),
    Closed,
}

impl From<Said> for Input {
    fn from(said: Said) -> Self {
        match said {
            Said::Event(event) => Self::ModelEvent(event),
            Said::Failed(code) => Self::ModelFailed(code),
            Said::Closed => Self::ModelStreamEnded,
        }
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            left: Duration::from_secs(900),
            attempt: 1,
            claimed_before: Duration::ZERO,
            continues: false,
            limits: Limits::default(),
            asks: VecDeque::new(),
            publishes: HashMap::new(),
            writes: HashMap::new(),
            renewals: VecDeque::new(),
            weather: Vec::new(),
        }
    }
}

impl Script {
    pub fn parse(text: &str) -> Self {
        let mut script = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            script.line(line).unwrap_or_else(|| panic!("cannot read {line:?}"));
        }
        script
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "latency" => self.latency = milliseconds(rest)?,
            "left" => self.left = milliseconds(rest)?,
            "claimed-before" => self.claimed_before = milliseconds(rest)?,
            "silence" => self.limits.model_silence = milliseconds(rest)?,
            "batch-bytes" => self.limits.batch_max_bytes = rest.parse().ok()?,
            "event-bytes" => self.limits.event_max_bytes = rest.parse().ok()?,
            "continues" => self.continues = true,
            "attempt" => self.attempt = rest.parse().ok()?,
            "ask" => self.asks.push_back(Vec::new()),
            "publish" => {
                let (sequence, rest) = rest.split_once(' ')?;
                self.publishes.entry(sequence.parse().ok()?).or_default().push_back(scripted(rest, publish_answer)?);
            }
            "write" => {
                let (sequence, rest) = rest.split_once(' ')?;
                self.writes.entry(sequence.parse().ok()?).or_default().push_back(scripted(rest, write_answer)?);
            }
            "renew" => self.renewals.push_back(scripted(rest, write_answer)?),
            "appsync" => self.weather.push(weather(rest)?),
            _ => self.said(line)?,
        }
        Some(())
    }

    fn said(&mut self, line: &str) -> Option<()> {
        let (times, line) = line.split_once("x +").map_or(("1", line.strip_prefix('+')), |(n, rest)| (n, Some(rest)));
        let (after, said) = line?.split_once(' ')?;
        let (after, said) = (milliseconds(after)?, said_what(said)?);
        let ask = self.asks.back_mut()?;
        ask.extend(std::iter::repeat_n((after, said), times.parse().ok()?));
        Some(())
    }
}

/// An answer, and perhaps how many milliseconds it takes.
fn scripted<A>(text: &str, answer: impl Fn(&str) -> Option<A>) -> Option<Scripted<A>> {
    match answer(text) {
        Some(answer) => Some((answer, None)),
        None => {
            let (text, latency) = text.rsplit_once(' ')?;
            Some((answer(text)?, Some(milliseconds(latency)?)))
        }
    }
}

fn publish_answer(text: &str) -> Option<PublishAnswer> {
    Some(match text {
        "again" => Err(PublishFailure::Again),
        "stale" => Err(PublishFailure::Stale),
        "refused" => Err(PublishFailure::Refused),
        _ => Ok(word(text.strip_prefix("accepted ")?)?),
    })
}

fn write_answer(text: &str) -> Option<WriteAnswer> {
    Some(match text {
        "again" => Err(WriteFailure::Again),
        "stale" => Err(WriteFailure::Stale),
        _ => Ok(word(text.strip_prefix("accepted ")?)?),
    })
}

fn weather(text: &str) -> Option<Weather> {
    let (time, answer) = text.split_once(' ')?;
    let (from, until) = time.split_once("..")?;
    let until = if until.is_empty() { Duration::MAX } else { milliseconds(until)? };
    Some(Weather { time: milliseconds(from)?..until, answer: publish_answer(answer)? })
}

fn said_what(text: &str) -> Option<Said> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match word {
        "other" => Said::Event(StreamEvent::Other),
        "stopped" => Said::Event(StreamEvent::Stopped(self::word(rest)?)),
        "used" => Said::Event(StreamEvent::Used(usage(rest)?)),
        "failed" => Said::Failed(self::word(rest)?),
        "closed" => Said::Closed,
        _ => Said::Event(StreamEvent::Text { block: block(word)?, text: repeated(rest)? }),
    })
}

fn block(word: &str) -> Option<u32> {
    match word.strip_prefix("text")? {
        "" => Some(0),
        index => index.strip_prefix('[')?.strip_suffix(']')?.parse().ok(),
    }
}

fn repeated(text: &str) -> Option<String> {
    let (quoted, times) =
        text.rsplit_once("\"*").map_or((text.to_owned(), "1"), |(head, times)| (format!("{head}\""), times));
    Some(serde_json::from_str::<String>(&quoted).ok()?.repeat(times.parse().ok()?))
}

fn usage(rest: &str) -> Option<Usage> {
    let mut numbers = rest.split(' ').map(|number| number.parse::<u32>());
    let mut next = || numbers.next()?.ok();
    let (input_tokens, output_tokens) = (next()?, next()?);
    let (cache_read_tokens, cache_write_tokens) = (next(), next());
    Some(Usage {
        input_tokens,
        output_tokens,
        total_tokens: input_tokens + output_tokens,
        cache_read_tokens,
        cache_write_tokens,
    })
}

fn word<W: DeserializeOwned>(word: &str) -> Option<W> {
    serde_json::from_value(word.into()).ok()
}

fn milliseconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis)
}
