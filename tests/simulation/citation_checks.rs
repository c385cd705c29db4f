//! Checks invariant 7 for citations: each is at its place in the stored text, of a passage that its turn has
//! found, and those of batches are among those of the answer.
use std::{collections::BTreeMap, fmt, ops::AddAssign};

use api::types::Citation;
use serde::Deserialize;
use serde_json::Value;

use crate::{aws::citations::passages_of_block, checker::Violation, knowledge::tag_of, observations::Observations};

/// The stored citation of a longer passage has its beginning.
const ELLIPSIS: char = '…';

/// The citations of a run, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CitationCounts {
    pub runs_with_passages: u64,
    pub passages: u64,
    /// Of stored events.
    pub markers: u64,
    pub spans: u64,
    pub in_batches: u64,
}

impl CitationCounts {
    pub fn of(observations: &Observations) -> Self {
        let mut counts = Self::default();
        counts.passages = observations.passages.len() as u64;
        counts.runs_with_passages = u64::from(counts.passages > 0);
        for item in &observations.items {
            counts.in_batches += citations(item).len() as u64;
            for block in item["content"].as_array().into_iter().flatten() {
                let text: Vec<u16> = block["text"].as_str().unwrap_or_default().encode_utf16().collect();
                let is_marker = |citation: &Citation| text.get(citation.start as usize) == Some(&u16::from(b'['));
                let (markers, spans): (Vec<_>, Vec<_>) = citations(block).into_iter().partition(is_marker);
                counts.markers += markers.len() as u64;
                counts.spans += spans.len() as u64;
            }
        }
        counts
    }
}

impl AddAssign for CitationCounts {
    fn add_assign(&mut self, other: Self) {
        self.runs_with_passages += other.runs_with_passages;
        self.passages += other.passages;
        self.markers += other.markers;
        self.spans += other.spans;
        self.in_batches += other.in_batches;
    }
}

impl fmt::Display for CitationCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs_with_passages, passages, markers, spans, in_batches } = self;
        write!(
            formatter,
            "{runs_with_passages} runs with passages: {passages} found; citations: {markers} markers and {spans} spans \
             stored, {in_batches} in batches"
        )
    }
}

/// The events of one attempt, and what its batches cited.
pub struct AttemptCitations<'a> {
    pub turn_id: &'a str,
    pub events: Vec<&'a Value>,
    /// By sequence.
    pub batches: Vec<&'a Value>,
}

/// Which turn has found which passage, by the passage's text: the first turn whose request has it.
pub struct PassageTurns<'a>(BTreeMap<String, &'a str>);

impl<'a> PassageTurns<'a> {
    /// With the violations of requests that have passages of other turns.
    pub fn of(observations: &'a Observations) -> (Self, Vec<Violation>) {
        let (mut turns, mut violations) = (BTreeMap::<String, &str>::new(), Vec::new());
        for request in &observations.model_requests {
            let Some(turn_id) = request.turn_id.as_deref() else { continue };
            let blocks = request.transcript.iter().flat_map(|message| &message.content);
            for passage in blocks.flat_map(passages_of_block) {
                let first_turn = *turns.entry(passage).or_insert(turn_id);
                if first_turn != turn_id {
                    let message = format!("a request of {turn_id} has a passage of {first_turn}");
                    violations.push(Violation::new(8, message));
                }
            }
        }
        (Self(turns), violations)
    }

    /// Whether a turn has found a passage. A citation may have only the beginning of its text.
    fn has(&self, turn_id: &str, cited: &str) -> bool {
        match cited.strip_suffix(ELLIPSIS) {
            Some(start) => self.0.iter().any(|(passage, turn)| *turn == turn_id && passage.starts_with(start)),
            None => self.0.get(cited) == Some(&turn_id),
        }
    }
}

pub fn check_attempt(attempt: &AttemptCitations, passages: &PassageTurns) -> Vec<Violation> {
    let turn_id = attempt.turn_id;
    let mut violations = Vec::new();
    let blocks = attempt.events.iter().flat_map(|event| event["content"].as_array().into_iter().flatten());
    let mut stored = Vec::new();
    for block in blocks {
        let citations = citations(block);
        let units: Vec<u16> = block["text"].as_str().unwrap_or_default().encode_utf16().collect();
        let wrong = citations.iter().filter_map(|citation| wrong_citation(turn_id, citation, &units, passages));
        violations.extend(wrong.map(|problem| Violation::new(7, format!("a citation of {turn_id} {problem}"))));
        stored.extend(citations);
    }
    // The citations of batches, in their order, are some of the stored ones in theirs.
    let mut rest = stored.iter();
    let published = attempt.batches.iter().flat_map(|batch| citations(batch));
    let missing = published.filter(|citation| !rest.any(|stored| stored == citation)).count();
    if missing > 0 {
        violations
            .push(Violation::new(7, format!("{missing} citations of batches of {turn_id} are not in its answer")));
    }
    violations
}

/// What is wrong with a citation in a block of this text.
fn wrong_citation(turn_id: &str, citation: &Citation, units: &[u16], passages: &PassageTurns) -> Option<&'static str> {
    let (start, end) = (citation.start as usize, citation.end as usize);
    if start >= end || end > units.len() {
        return Some("is outside of its text");
    }
    let texts = (String::from_utf16(&units[..start]), String::from_utf16(&units[start..end]));
    let (Ok(before), Ok(cited)) = texts else { return Some("cuts a character") };
    if !passages.has(turn_id, &citation.passage) {
        return Some("is of no passage of the turn");
    }
    let Some(tag) = tag_of(&citation.passage) else { return Some("is of a passage without a tag") };
    let marker = cited.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let is_marker =
        marker.is_some_and(|numbers| numbers.split(", ").any(|number| number == citation.number.to_string()));
    let is_right = match is_marker {
        // The first of the tags may be in the event before, or a part of it.
        true => tags_at_end(&before) == before || tags_at_end(&before).contains(tag),
        // The beginning of the span may be in the event before, and the stream may have ended in its tags.
        false => start == 0 || cited.contains(tag) || tags_at_end(&cited) == cited,
    };
    (!is_right).then_some("is of another passage than its text")
}

/// The tags that a text ends with.
fn tags_at_end(text: &str) -> &str {
    let is_of_tag = |character: char| matches!(character, '«' | 'p' | '»') || character.is_ascii_digit();
    &text[text.trim_end_matches(is_of_tag).len()..]
}

fn citations(item: &Value) -> Vec<Citation> {
    let list = item["citations"].as_array().into_iter().flatten();
    list.map(|citation| Citation::deserialize(with_integers(citation)).expect("a stored citation is valid")).collect()
}

/// The database returns numbers as floats.
fn with_integers(citation: &Value) -> Value {
    let mut citation = citation.clone();
    for name in ["number", "page", "start", "end"] {
        if let Some(number) = citation[name].as_f64() {
            citation[name] = (number as u64).into();
        }
    }
    citation
}
