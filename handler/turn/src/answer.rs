//! What the model has said: kept once, cut into batches while it comes and into events when it is stored.
use std::collections::VecDeque;

use crate::{
    json_size::{fitting_prefix, json_size},
    limits::Limits,
    mutation::Batch,
};
use api::types::ContentBlock;

/// An event's members besides its content: ids, names, usage, a failure's text.
const ENVELOPE_BYTES: usize = 4096;
/// `{"text":""},`
const BLOCK_BYTES: usize = 12;

/// Batches are cut from the event that is still open, so they always spell the beginning of what will be stored.
#[derive(Debug)]
pub struct Answer {
    /// Events that can take no more, oldest first.
    full: VecDeque<Vec<ContentBlock>>,
    open: Vec<Block>,
    /// Published size of the open event.
    open_bytes: usize,
    /// Escaped bytes of the open event that no batch has carried yet.
    unshown_bytes: usize,
    batch_max_bytes: usize,
    event_max_bytes: usize,
}

#[derive(Debug)]
struct Block {
    index: u32,
    text: String,
    /// How many bytes of it batches have carried.
    shown: usize,
}

impl Answer {
    pub fn new(limits: &Limits) -> Self {
        Self {
            full: VecDeque::new(),
            open: Vec::new(),
            open_bytes: ENVELOPE_BYTES,
            unshown_bytes: 0,
            batch_max_bytes: limits.batch_max_bytes,
            event_max_bytes: limits.event_max_bytes,
        }
    }

    /// Adds a delta; what no longer fits the open event opens the next.
    pub fn push(&mut self, index: u32, mut delta: &str) {
        while !delta.is_empty() {
            let (bytes, _) = fitting_prefix(delta, self.room(index));
            if bytes == 0 && !self.open.is_empty() {
                self.seal();
                continue;
            }
            let bytes = bytes.max(delta.ceil_char_boundary(1));
            let (head, rest) = delta.split_at(bytes);
            self.extend(index, head);
            delta = rest;
        }
    }

    pub fn has_batch(&self) -> bool {
        self.unshown_bytes > 0
    }

    /// Whether more text could not join the next batch, so that waiting would gain nothing.
    pub fn has_full_batch(&self) -> bool {
        self.unshown_bytes >= self.batch_max_bytes
    }

    /// The oldest text that no batch has carried: of one content block, bounded, and at least one character.
    pub fn next_batch(&mut self) -> Option<Batch> {
        let block = self.open.iter_mut().find(|block| block.shown < block.text.len())?;
        let unshown = block.text.get(block.shown..)?;
        let (bytes, _) = fitting_prefix(unshown, self.batch_max_bytes);
        let text = &unshown[..bytes.max(unshown.ceil_char_boundary(1))];
        let batch = Batch { block: block.index, text: text.to_owned() };
        block.shown += text.len();
        self.unshown_bytes -= json_size(&batch.text);
        Some(batch)
    }

    /// An event that can take no more; its last text needs no batch, the event carries it.
    pub fn next_full(&mut self) -> Option<Vec<ContentBlock>> {
        self.full.pop_front()
    }

    /// The content of the last event; nothing is left.
    pub fn close(&mut self) -> Vec<ContentBlock> {
        self.open_bytes = ENVELOPE_BYTES;
        self.unshown_bytes = 0;
        self.open.drain(..).map(|block| ContentBlock::text(block.text)).collect()
    }

    fn seal(&mut self) {
        let content = self.close();
        self.full.push_back(content);
    }

    /// Escaped bytes of text that the open event still takes: an update carries content and text, so each counts twice.
    fn room(&self, index: u32) -> usize {
        let block = if self.continues(index) { 0 } else { BLOCK_BYTES };
        self.event_max_bytes.saturating_sub(self.open_bytes + block) / 2
    }

    fn continues(&self, index: u32) -> bool {
        self.open.last().is_some_and(|block| block.index == index)
    }

    fn extend(&mut self, index: u32, text: &str) {
        let size = json_size(text);
        if !self.continues(index) {
            self.open.push(Block { index, text: String::new(), shown: 0 });
            self.open_bytes += BLOCK_BYTES;
        }
        if let Some(block) = self.open.last_mut() {
            block.text.push_str(text);
        }
        self.open_bytes += 2 * size;
        self.unshown_bytes += size;
    }
}
