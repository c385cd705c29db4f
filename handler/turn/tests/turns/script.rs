//! The first half of a file in tests/turns: what happens outside during one attempt.
//!
//! ```text
//! # Why this case exists.
//! latency 30                      how long AppSync takes, in milliseconds
//! batch-bytes 4096 | event-bytes 160000 | silence 120000 | left 900000      bounds other than the usual ones
//! attempt 2                       which claim of the turn it is
//! ask                             begins what the model does when it is asked once
//!   +15 text "Hello"              after 15 ms: a delta of block 0; text[1] "…" is one of block 1
//!   300x +15 text "tick "         three hundred of them
//!   +0 text "é"*3000              one delta, its text repeated
//!   +0 other | stopped END_TURN | used 12 3 | failed THROTTLED | closed
//! publish 2 again 10000           how AppSync answers number 2, one line per try, and how long it takes
//! ```
//! Publishes are accepted with RUNNING unless a line says accepted STATUS, again, stale or refused.
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use serde::de::DeserializeOwned;
use turn::{
    attempt::Input,
    limits::Bounds,
    mutation::PublishFailure,
    words::{StreamEvent, TurnStatus, Usage},
};

#[derive(Debug)]
pub struct Script {
    pub latency: Duration,
    pub left: Duration,
    pub attempt: u32,
    pub bounds: Bounds,
    /// For each time the model is asked: after how long it does what.
    pub asks: VecDeque<Vec<(Duration, Said)>>,
    /// By sequence, for each try.
    pub answers: HashMap<u32, VecDeque<(PublishAnswer, Option<Duration>)>>,
}

pub type PublishAnswer = Result<TurnStatus, PublishFailure>;

#[derive(Clone, Debug)]
pub enum Said {
    Event(StreamEvent),
    Failed(turn::failures::FailureCode),
    Closed,
}

impl From<Said> for Input {
    fn from(said: Said) -> Self {
        match said {
            Said::Event(event) => Self::Heard(event),
            Said::Failed(code) => Self::ModelFailed(code),
            Said::Closed => Self::ModelClosed,
        }
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            left: Duration::from_secs(900),
            attempt: 1,
            bounds: Bounds::default(),
            asks: VecDeque::new(),
            answers: HashMap::new(),
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
            "silence" => self.bounds.model_silence = milliseconds(rest)?,
            "batch-bytes" => self.bounds.batch_max_bytes = rest.parse().ok()?,
            "event-bytes" => self.bounds.event_max_bytes = rest.parse().ok()?,
            "attempt" => self.attempt = rest.parse().ok()?,
            "ask" => self.asks.push_back(Vec::new()),
            "publish" => self.publish(rest)?,
            _ => self.said(line)?,
        }
        Some(())
    }

    fn publish(&mut self, rest: &str) -> Option<()> {
        let mut words = rest.split(' ');
        let sequence = words.next()?.parse().ok()?;
        let answer = match words.next()? {
            "accepted" => Ok(word(words.next()?)?),
            "again" => Err(PublishFailure::Again),
            "stale" => Err(PublishFailure::Stale),
            "refused" => Err(PublishFailure::Refused),
            _ => return None,
        };
        let latency = words.next().map(|word| milliseconds(word).expect("a latency in milliseconds"));
        self.answers.entry(sequence).or_default().push_back((answer, latency));
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
    let mut numbers = rest.split(' ').map(|number| number.parse::<i32>());
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
