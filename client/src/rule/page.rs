//! The text of one turn as a reader sees it: what earlier runs said and still stands, then what the attempt says.
use super::Change;

#[derive(Default)]
pub(super) struct Page {
    text: String,
    /// How many bytes of the text stand from earlier runs.
    standing: usize,
    /// How many bytes of the text stand or were brought or confirmed by whole events.
    confirmed: usize,
}

impl Page {
    /// An attempt begins: what it may go on from stays. None of that is the text of one that had itself gone on and died.
    pub fn turn_over(&mut self, died: bool) -> Option<Change> {
        let kept = if died && self.standing > 0 { self.standing } else { self.text.len() };
        (self.standing, self.confirmed) = (kept, kept);
        self.show(self.text.get(..kept).unwrap_or_default().to_owned())
    }

    /// What stands is this; what the attempt has said goes after it.
    pub fn stand_on(&mut self, standing: &str) -> Option<Change> {
        let text = [standing, self.text.get(self.standing..).unwrap_or_default()].concat();
        self.confirmed = self.confirmed - self.standing + standing.len();
        self.standing = standing.len();
        self.show(text)
    }

    pub fn append(&mut self, text: &str) -> Option<Change> {
        self.text.push_str(text);
        (!text.is_empty()).then(|| Change::Text(text.to_owned()))
    }

    /// One of several events of an answer. Batches of the next one may have been shown already.
    pub fn confirm(&mut self, said: &str) -> Option<Change> {
        let whole = self.confirmed_with(said);
        self.confirmed = whole.len();
        if self.text.starts_with(&whole) { None } else { self.show(whole) }
    }

    /// The last event of an answer: nothing else goes after it.
    pub fn conclude(&mut self, said: &str) -> Option<Change> {
        self.show(self.confirmed_with(said))
    }

    pub fn show(&mut self, text: String) -> Option<Change> {
        let change = match text.strip_prefix(self.text.as_str()) {
            Some("") => return None,
            Some(tail) => Change::Text(tail.to_owned()),
            None => Change::Replaced(text.clone()),
        };
        self.text = text;
        Some(change)
    }

    fn confirmed_with(&self, said: &str) -> String {
        [self.text.get(..self.confirmed).unwrap_or_default(), said].concat()
    }
}
