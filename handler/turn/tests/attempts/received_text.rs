//! The text that an attempt received, and the batches and events that it must become.
use api::types::ContentBlock;
use turn::mutation::Batch;

/// Text by content block, in order of the first text of each block.
type TextByBlock = Vec<(u32, String)>;

/// The text that is in no event yet.
#[derive(Default)]
pub struct ReceivedText {
    deltas: Vec<(u32, String)>,
    /// The text of batches since the last event.
    batches: TextByBlock,
}

impl ReceivedText {
    pub fn push_delta(&mut self, block: u32, text: &str) {
        self.deltas.push((block, text.to_owned()));
    }

    /// Fails unless all batches of the block since the last event are a prefix of its text.
    pub fn push_batch(&mut self, batch: &Batch) -> Result<(), &'static str> {
        append(&mut self.batches, batch.block, &batch.text);
        let mut received = TextByBlock::new();
        self.deltas.iter().for_each(|(block, text)| append(&mut received, *block, text));
        let is_prefix = self.batches.iter().all(|batch| received.iter().any(|text| is_prefix_of(batch, text)));
        if is_prefix { Ok(()) } else { Err("batches are a prefix of their block") }
    }

    /// Fails unless the event holds a prefix of the received text, block by block, with all of the batches.
    pub fn push_event(&mut self, content: &[ContentBlock]) -> Result<(), &'static str> {
        let content: Vec<&str> = content.iter().filter_map(|block| block.text.as_deref()).collect();
        let received = self.take_bytes(content.iter().map(|text| text.len()).sum());
        if !received.iter().map(|(_, text)| text.as_str()).eq(content) {
            return Err("events hold the received text in order, block by block");
        }
        let batches = std::mem::take(&mut self.batches);
        let has_all = batches.iter().all(|batch| received.iter().any(|text| is_prefix_of(batch, text)));
        if has_all { Ok(()) } else { Err("an event holds the text of its batches") }
    }

    pub fn is_all_stored(&self) -> bool {
        self.deltas.iter().all(|(_, text)| text.is_empty())
    }

    /// Removes this many bytes from the start.
    fn take_bytes(&mut self, mut bytes: usize) -> TextByBlock {
        let mut removed = TextByBlock::new();
        for (block, text) in &mut self.deltas {
            let cut = bytes.min(text.len());
            if cut > 0 {
                append(&mut removed, *block, &text[..cut]);
                text.drain(..cut);
                bytes -= cut;
            }
        }
        removed
    }
}

fn append(texts: &mut TextByBlock, block: u32, text: &str) {
    match texts.iter_mut().find(|(index, _)| *index == block) {
        Some((_, joined)) => joined.push_str(text),
        None => texts.push((block, text.to_owned())),
    }
}

fn is_prefix_of((block, prefix): &(u32, String), (index, text): &(u32, String)) -> bool {
    block == index && text.starts_with(prefix)
}
