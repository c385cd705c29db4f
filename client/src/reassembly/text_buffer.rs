//! The displayed text of one turn: the base text of earlier runs, then the text of the current attempt.
use super::Change;

#[derive(Default)]
pub(super) struct TextBuffer {
    text: String,
    /// Length in bytes of the base text, which earlier runs of the turn have stored.
    base_len: usize,
    /// Length in bytes of the base text and of the attempt's stored events. Batches brought the rest.
    committed_len: usize,
}

impl TextBuffer {
    /// Makes the text so far the base of the next attempt, until `set_base` corrects it. Drops the text of an
    /// attempt that continued a base and died: no later attempt continues that text.
    pub fn start_attempt(&mut self, previous_attempt_ended: bool) -> Option<Change> {
        let keeps_all = previous_attempt_ended || self.base_len == 0;
        let kept_len = if keeps_all { self.text.len() } else { self.base_len };
        self.base_len = kept_len;
        self.committed_len = kept_len;
        self.replace(self.text.get(..kept_len).unwrap_or_default().to_owned())
    }

    /// Replaces the base text and keeps the attempt's own text after it.
    pub fn set_base(&mut self, base: &str) -> Option<Change> {
        let own = self.text.get(self.base_len..).unwrap_or_default();
        let text = [base, own].concat();
        self.committed_len = self.committed_len - self.base_len + base.len();
        self.base_len = base.len();
        self.replace(text)
    }

    pub fn append(&mut self, text: &str) -> Option<Change> {
        self.text.push_str(text);
        (!text.is_empty()).then(|| Change::Appended(text.to_owned()))
    }

    /// Adds a stored event that does not end the answer. Batches of the next event may be displayed already,
    /// so text after the event's own is kept_len.
    pub fn commit(&mut self, event_text: &str) -> Option<Change> {
        let committed = self.committed_with(event_text);
        self.committed_len = committed.len();
        if self.text.starts_with(&committed) { None } else { self.replace(committed) }
    }

    /// Adds the stored event that ends the answer: nothing follows its text.
    pub fn finish(&mut self, event_text: &str) -> Option<Change> {
        self.replace(self.committed_with(event_text))
    }

    /// Returns an append where the new text only extends the old one, and None where they are equal.
    pub fn replace(&mut self, text: String) -> Option<Change> {
        let change = match text.strip_prefix(self.text.as_str()) {
            Some("") => return None,
            Some(tail) => Change::Appended(tail.to_owned()),
            None => Change::Replaced(text.clone()),
        };
        self.text = text;
        Some(change)
    }

    fn committed_with(&self, event_text: &str) -> String {
        let committed = self.text.get(..self.committed_len).unwrap_or_default();
        [committed, event_text].concat()
    }
}
