//! The text of an answer: cut into batches while it arrives and into events to store.
use std::{collections::VecDeque, time::Instant};

use api::{
    json_size::{fitting_prefix, json_size},
    types::{Citation, ContentBlock, Reasoning},
};
use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    limits::Limits,
    model::ReasoningPart,
    mutation::{Batch, BlockKind},
};

/// The most citations of an event: resolvers loop over them.
pub const MAX_EVENT_CITATIONS: usize = 64;
/// The most citations of a batch. Further ones are in a later batch or in the event.
const MAX_BATCH_CITATIONS: usize = 8;
/// The room that the text of an answer with citations leaves for them: more than one citation can need.
const CITATION_ROOM_BYTES: usize = 6000;
/// The names of the members, and the numbers.
const CITATION_BYTES: usize = 130;

/// Room for an event's members besides its content: ids, names, usage, the message of a failure.
const ENVELOPE_BYTES: usize = 4096;
/// `{"text":""},`
const BLOCK_BYTES: usize = 12;

/// The largest number of content blocks of an event: resolvers loop over the blocks of one event. The same as
/// MAX_EVENT_BLOCKS in resolvers/shared.js.
pub const MAX_EVENT_BLOCKS: usize = 64;
/// The largest signature, and the most encrypted data, of a block of reasoning. A longer one is not stored,
/// and the model does not get the reasoning back.
const MAX_SIGNATURE_BYTES: usize = 65_536;

/// All text of one content block is one block of an event, whatever other blocks come in between. Batches are
/// cut from the open event, so the batches of a block are always a prefix of its text that will be stored.
#[derive(Debug)]
pub struct Answer {
    /// Events without room for more text, oldest first.
    full_events: VecDeque<Vec<ContentBlock>>,
    /// The blocks of the event that still grows, at most `event_max_blocks`, in order of their first text.
    open_blocks: Vec<Block>,
    /// The published size of the open event.
    open_event_bytes: usize,
    /// The JSON size of the text that is in the open event and in no batch.
    unpublished_bytes: usize,
    /// The citations in the open event.
    citation_count: usize,
    /// What the text leaves of an event, for citations.
    citation_room_bytes: usize,
    batch_max_bytes: usize,
    event_max_bytes: usize,
    event_max_blocks: usize,
}

#[derive(Debug)]
struct Block {
    index: u32,
    content: BlockContent,
    text: String,
    /// The length of the text in UTF-16 code units.
    utf16_len: u32,
    /// The length of the prefix that is in batches.
    published_len: usize,
    /// The same in UTF-16 code units.
    published_utf16_len: u32,
    /// In order of their ends.
    citations: Vec<Citation>,
    /// How many of the citations are in batches.
    published_citations: usize,
}

#[derive(Debug)]
enum BlockContent {
    Text,
    Reasoning(ReasoningParts),
}

/// What a block of reasoning has besides its text.
#[derive(Debug)]
struct ReasoningParts {
    first_at: Instant,
    last_at: Instant,
    signature: Option<String>,
    encrypted: Vec<u8>,
    /// Whether there was more encrypted data than is stored.
    is_too_long: bool,
}

impl Answer {
    pub fn new(limits: &Limits) -> Self {
        Self {
            full_events: VecDeque::new(),
            open_blocks: Vec::new(),
            open_event_bytes: ENVELOPE_BYTES,
            unpublished_bytes: 0,
            citation_count: 0,
            citation_room_bytes: 0,
            batch_max_bytes: limits.batch_max_bytes,
            event_max_bytes: limits.event_max_bytes,
            event_max_blocks: limits.event_max_blocks,
        }
    }

    /// From now on text leaves room for citations, but no more than a quarter of an event's.
    pub fn expect_citations(&mut self) {
        let event_room = self.event_max_bytes.saturating_sub(ENVELOPE_BYTES);
        self.citation_room_bytes = CITATION_ROOM_BYTES.min(event_room / 4);
    }

    /// Adds a citation to the last `length` UTF-16 code units of a block's text. A citation of text that is
    /// in a full event already, or that does not fit into the event of its text, is left out. Where the text
    /// began in the event before, its end in the open event is what cites.
    pub fn cite(&mut self, block: u32, length: usize, citation: Citation) {
        let size = citation_size(&citation);
        if length == 0 {
            return;
        }
        if self.citation_count == MAX_EVENT_CITATIONS || self.open_event_bytes + size > self.event_max_bytes {
            return;
        }
        let is_cited = |open: &&mut Block| open.index == block && open.kind() == BlockKind::Text;
        let Some(block) = self.open_blocks.iter_mut().find(is_cited) else { return };
        let end = block.utf16_len;
        let start = end.saturating_sub(length.try_into().unwrap_or(u32::MAX));
        block.citations.push(Citation { start, end, ..citation });
        self.citation_count += 1;
        self.open_event_bytes += size;
    }

    /// Appends a delta of text. Text that does not fit into the open event goes into new ones.
    pub fn push_delta(&mut self, block: u32, delta: &str) {
        self.push(block, delta, || BlockContent::Text);
    }

    /// Adds a part of a block of reasoning. Its text is cut as that of the answer is.
    pub fn push_reasoning(&mut self, block: u32, part: ReasoningPart, now: Instant) {
        if let ReasoningPart::Text(delta) = &part {
            self.push(block, delta, || BlockContent::Reasoning(ReasoningParts::new(now)));
        }
        let Some(parts) = self.open_reasoning(block, now) else { return };
        parts.last_at = now;
        self.open_event_bytes += parts.add(part);
    }

    /// Puts another text in place of everything that is in no event yet.
    pub fn replace(&mut self, block: u32, text: &str) {
        self.full_events.clear();
        self.take_open_event();
        self.push_delta(block, text);
    }

    /// Removes the reasoning of everything that is in no event yet.
    pub fn remove_reasoning(&mut self) {
        for event in &mut self.full_events {
            event.retain(|block| block.reasoning.is_none());
        }
        self.full_events.retain(|event| !event.is_empty());
        let blocks = std::mem::take(&mut self.open_blocks).into_iter();
        let (reasoning, others): (Vec<_>, Vec<_>) = blocks.partition(|block| block.kind() == BlockKind::Reasoning);
        self.open_blocks = others;
        let unpublished = reasoning.iter().map(|block| json_size(&block.text[block.published_len..]));
        self.unpublished_bytes -= unpublished.sum::<usize>();
    }

    /// Whether an event without room for more text waits.
    pub fn has_full_event(&self) -> bool {
        !self.full_events.is_empty()
    }

    fn push(&mut self, block: u32, mut delta: &str, new_content: impl Fn() -> BlockContent) {
        let kind = new_content().kind();
        while !delta.is_empty() {
            let mut cut = fitting_prefix(delta, self.room_for_text(block, kind)).cut;
            if cut == 0 && !self.open_blocks.is_empty() {
                self.seal_open_event();
                continue;
            }
            if cut == 0 {
                // A character that does not fit even into an empty event is stored all the same.
                cut = delta.ceil_char_boundary(1);
            }
            let (head, tail) = delta.split_at(cut);
            self.append_to_open_event(block, head, &new_content);
            delta = tail;
        }
    }

    /// The block of reasoning in the open event, which begins without a text if it is not there. Always some.
    fn open_reasoning(&mut self, index: u32, now: Instant) -> Option<&mut ReasoningParts> {
        let is_open = self.open_blocks.iter().any(|block| block.is(index, BlockKind::Reasoning));
        if !is_open {
            if self.open_blocks.len() == self.event_max_blocks {
                self.seal_open_event();
            }
            self.append_to_open_event(index, "", &|| BlockContent::Reasoning(ReasoningParts::new(now)));
        }
        self.open_blocks.iter_mut().find_map(|block| match &mut block.content {
            BlockContent::Reasoning(parts) if block.index == index => Some(parts),
            BlockContent::Reasoning(_) | BlockContent::Text => None,
        })
    }

    pub fn has_batch(&self) -> bool {
        self.unpublished_bytes > 0
    }

    /// Whether the next batch is full, so that more text would not make it larger.
    pub fn has_full_batch(&self) -> bool {
        self.unpublished_bytes >= self.batch_max_bytes
    }

    /// The oldest unpublished text of one content block: at least one character, at most the limit.
    pub fn take_batch(&mut self) -> Option<Batch> {
        let block = self.open_blocks.iter_mut().find(|block| block.published_len < block.text.len())?;
        let unpublished = block.text.get(block.published_len..)?;
        let cut = fitting_prefix(unpublished, self.batch_max_bytes).cut.max(unpublished.ceil_char_boundary(1));
        let text = unpublished[..cut].to_owned();
        block.published_len += cut;
        block.published_utf16_len += utf16_len(&text);
        self.unpublished_bytes -= json_size(&text);
        Some(Batch { block: block.index, kind: block.kind(), text, citations: block.take_published_citations() })
    }

    /// The content of the oldest full event. Its last text may be in no batch, because the event carries it.
    pub fn take_full_event(&mut self) -> Option<Vec<ContentBlock>> {
        self.full_events.pop_front()
    }

    /// The content of the open event, which is empty afterwards.
    pub fn take_open_event(&mut self) -> Vec<ContentBlock> {
        self.open_event_bytes = ENVELOPE_BYTES;
        self.unpublished_bytes = 0;
        self.citation_count = 0;
        self.open_blocks.drain(..).map(Block::into_content).collect()
    }

    /// The rest of the answer at the end of a step with tool calls: the text events, if there is more text
    /// than fits into one event with the calls, and the event with the calls. The answer is empty afterwards.
    pub fn take_step(&mut self, calls: Vec<ContentBlock>) -> (Vec<Vec<ContentBlock>>, Vec<ContentBlock>) {
        let calls_bytes: usize = calls.iter().map(call_bytes).sum();
        let has_room_for_calls = self.open_event_bytes + calls_bytes <= self.event_max_bytes
            && self.open_blocks.len() + calls.len() <= MAX_EVENT_BLOCKS;
        if !has_room_for_calls && !self.open_blocks.is_empty() {
            self.seal_open_event();
        }
        let event = self.take_open_event().into_iter().chain(calls).collect();
        (self.full_events.drain(..).collect(), event)
    }

    /// The room for other content than text in an event, in JSON-escaped bytes.
    pub const fn event_room(limits: &Limits) -> usize {
        limits.event_max_bytes.saturating_sub(ENVELOPE_BYTES)
    }

    fn seal_open_event(&mut self) {
        let content = self.take_open_event();
        self.full_events.push_back(content);
    }

    /// The JSON size of text that still fits into the open event. An update carries the text twice: in
    /// `content` and in `text`.
    fn room_for_text(&self, block: u32, kind: BlockKind) -> usize {
        let is_open = self.open_blocks.iter().any(|open| open.is(block, kind));
        if !is_open && self.open_blocks.len() == self.event_max_blocks {
            return 0;
        }
        if self.citation_count == MAX_EVENT_CITATIONS {
            return 0;
        }
        let new_block_bytes = if is_open { 0 } else { BLOCK_BYTES };
        let used_bytes = self.open_event_bytes + new_block_bytes + self.citation_room_bytes;
        self.event_max_bytes.saturating_sub(used_bytes) / 2
    }

    fn append_to_open_event(&mut self, index: u32, text: &str, new_content: &impl Fn() -> BlockContent) {
        let content = new_content();
        match self.open_blocks.iter_mut().find(|block| block.is(index, content.kind())) {
            Some(block) => block.push(text),
            None => {
                self.open_blocks.push(Block::new(index, content, text));
                self.open_event_bytes += BLOCK_BYTES;
            }
        }
        let size = json_size(text);
        self.open_event_bytes += 2 * size;
        self.unpublished_bytes += size;
    }
}

impl Block {
    fn new(index: u32, content: BlockContent, text: &str) -> Self {
        let mut block = Self {
            index,
            content,
            text: String::new(),
            utf16_len: 0,
            published_len: 0,
            published_utf16_len: 0,
            citations: Vec::new(),
            published_citations: 0,
        };
        block.push(text);
        block
    }

    fn kind(&self) -> BlockKind {
        self.content.kind()
    }

    fn is(&self, index: u32, kind: BlockKind) -> bool {
        self.index == index && self.kind() == kind
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.utf16_len += utf16_len(text);
    }

    /// The next citations of text that is in batches.
    fn take_published_citations(&mut self) -> Vec<Citation> {
        let next = self.citations.iter().skip(self.published_citations).take(MAX_BATCH_CITATIONS);
        let citations: Vec<_> = next.take_while(|citation| citation.end <= self.published_utf16_len).cloned().collect();
        self.published_citations += citations.len();
        citations
    }

    fn into_content(self) -> ContentBlock {
        match self.content {
            BlockContent::Text => {
                let citations = (!self.citations.is_empty()).then_some(self.citations);
                ContentBlock { citations, ..ContentBlock::text(self.text) }
            }
            BlockContent::Reasoning(parts) => ContentBlock::reasoning(parts.into_reasoning(self.text)),
        }
    }
}

impl BlockContent {
    fn kind(&self) -> BlockKind {
        match self {
            Self::Text => BlockKind::Text,
            Self::Reasoning(_) => BlockKind::Reasoning,
        }
    }
}

impl ReasoningParts {
    fn new(now: Instant) -> Self {
        Self { first_at: now, last_at: now, signature: None, encrypted: Vec::new(), is_too_long: false }
    }

    /// Adds what is not text. Returns its size in the event.
    fn add(&mut self, part: ReasoningPart) -> usize {
        match part {
            ReasoningPart::Text(_) => 0,
            ReasoningPart::Signature(signature) => {
                let size = json_size(&signature);
                self.signature = (size <= MAX_SIGNATURE_BYTES).then_some(signature);
                size
            }
            ReasoningPart::Encrypted(data) => {
                self.is_too_long |= self.encrypted.len() + data.len() > MAX_SIGNATURE_BYTES;
                if self.is_too_long {
                    return 0;
                }
                self.encrypted.extend_from_slice(&data);
                data.len().div_ceil(3) * 4
            }
        }
    }

    fn into_reasoning(self, text: String) -> Reasoning {
        let thought = self.last_at.saturating_duration_since(self.first_at).as_millis();
        let milliseconds = Some(thought.try_into().unwrap_or(u32::MAX));
        let has_encrypted = !self.encrypted.is_empty() && !self.is_too_long;
        let redacted = has_encrypted.then(|| BASE64_STANDARD.encode(self.encrypted));
        Reasoning { text, milliseconds, signature: self.signature, redacted }
    }
}

/// An event has less than 160 KB of text.
fn utf16_len(text: &str) -> u32 {
    text.encode_utf16().count().try_into().unwrap_or(u32::MAX)
}

fn citation_size(citation: &Citation) -> usize {
    let Citation { title, source, url, passage, .. } = citation;
    let optional = |text: &Option<String>| text.as_deref().map_or(0, json_size);
    CITATION_BYTES + json_size(title) + optional(source) + optional(url) + json_size(passage)
}

fn call_bytes(block: &ContentBlock) -> usize {
    block.tool_use.as_ref().map_or(0, |call| 300 + json_size(&call.input))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to start from")]
mod tests {
    use super::*;

    fn texts(content: &[ContentBlock]) -> Vec<&str> {
        content.iter().filter_map(|block| block.text.as_deref()).collect()
    }

    /// The signature and the encrypted data of the only block.
    fn hidden(content: &[ContentBlock]) -> (Option<&str>, Option<&str>) {
        let reasoning = content[0].reasoning.as_ref().unwrap();
        (reasoning.signature.as_deref(), reasoning.redacted.as_deref())
    }

    #[test]
    fn signature_or_encrypted_data_without_room_is_left_out_whole() {
        let now = Instant::now();
        let mut answer = Answer::new(&Limits::default());
        answer.push_reasoning(0, ReasoningPart::Signature("s".repeat(MAX_SIGNATURE_BYTES + 1)), now);
        assert_eq!(hidden(&answer.take_open_event()), (None, None));
        for length in [MAX_SIGNATURE_BYTES, MAX_SIGNATURE_BYTES + 1] {
            for piece in [1, length, 1] {
                answer.push_reasoning(0, ReasoningPart::Encrypted(vec![1; piece]), now);
            }
            assert_eq!(hidden(&answer.take_open_event()), (None, None), "a part of it is of no use");
        }
    }

    #[test]
    fn signature_after_64_blocks_is_in_the_next_event() {
        let mut answer = Answer::new(&Limits::default());
        for block in 0..64 {
            answer.push_delta(block, "a");
        }
        answer.push_reasoning(64, ReasoningPart::Signature("Eu0E".into()), Instant::now());
        assert_eq!(answer.take_full_event().unwrap().len(), MAX_EVENT_BLOCKS);
        assert_eq!(hidden(&answer.take_open_event()), (Some("Eu0E"), None));
    }

    #[test]
    fn alternating_blocks_are_joined_by_index() {
        let mut answer = Answer::new(&Limits::default());
        for (block, delta) in [(0, "a"), (1, "x"), (0, "b"), (1, "y")] {
            answer.push_delta(block, delta);
        }
        assert_eq!(texts(&answer.take_open_event()), ["ab", "xy"]);
    }

    #[test]
    fn event_with_64_blocks_is_full() {
        let mut answer = Answer::new(&Limits::default());
        for block in 0..65 {
            answer.push_delta(block, "a");
        }
        answer.push_delta(64, "b");
        answer.push_delta(3, "c");
        assert_eq!(answer.take_full_event().unwrap().len(), MAX_EVENT_BLOCKS);
        assert_eq!(answer.take_full_event(), None);
        assert_eq!(texts(&answer.take_open_event()), ["ab", "c"]);
    }

    #[test]
    fn small_event_has_text_beside_the_room_for_citations() {
        let mut answer = Answer::new(&Limits { event_max_bytes: 8192, ..Limits::default() });
        answer.expect_citations();
        answer.push_delta(0, &"a".repeat(2000));
        assert_eq!(
            texts(&answer.take_full_event().unwrap())[0].len(),
            (8192 - ENVELOPE_BYTES) * 3 / 8 - BLOCK_BYTES / 2
        );
    }

    #[test]
    fn full_event_still_accepts_text_of_its_blocks() {
        let mut answer = Answer::new(&Limits::default());
        for block in 0..64 {
            answer.push_delta(block, "a");
        }
        answer.push_delta(0, "b");
        assert_eq!(answer.take_full_event(), None);
        assert_eq!(texts(&answer.take_open_event())[0], "ab");
    }
}
