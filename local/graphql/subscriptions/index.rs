//! Finds the subscriptions whose filters a payload may pass, without evaluating every filter.
//!
//! Nearly all filters require that a path of the payload equals one text; the index maps path and text to
//! subscriptions.
use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::filter::{EqualityKey, value_at};

/// The ids of subscriptions by the equality keys of their filters.
#[derive(Default)]
pub struct SubscriptionIndex {
    by_field: HashMap<String, FieldIndex>,
}

/// The subscriptions of one subscription field.
#[derive(Default)]
struct FieldIndex {
    /// By path, then by text.
    by_path: HashMap<Vec<String>, HashMap<String, BTreeSet<u64>>>,
    without_key: BTreeSet<u64>,
}

impl SubscriptionIndex {
    pub fn insert(&mut self, field: &str, key: Option<EqualityKey>, id: u64) {
        let index = self.by_field.entry(field.to_owned()).or_default();
        match key {
            Some(EqualityKey { path, text }) => {
                index.by_path.entry(path).or_default().entry(text).or_default().insert(id);
            }
            None => {
                index.without_key.insert(id);
            }
        }
    }

    /// Removes what `insert` added for the same arguments, including empty maps.
    pub fn remove(&mut self, field: &str, key: Option<&EqualityKey>, id: u64) {
        let Some(index) = self.by_field.get_mut(field) else { return };
        match key {
            Some(key) => index.remove(key, id),
            None => drop(index.without_key.remove(&id)),
        }
        if index.by_path.is_empty() && index.without_key.is_empty() {
            self.by_field.remove(field);
        }
    }

    /// The subscriptions whose filters the payload may pass, in the order of subscribing.
    pub fn candidates(&self, field: &str, payload: &Value) -> BTreeSet<u64> {
        let Some(index) = self.by_field.get(field) else { return BTreeSet::new() };
        let with_equal_text =
            index.by_path.iter().filter_map(|(path, by_text)| by_text.get(value_at(payload, path)?.as_str()?));
        with_equal_text.chain([&index.without_key]).flatten().copied().collect()
    }

    /// All subscriptions of the field, in the order of subscribing.
    pub fn all(&self, field: &str) -> BTreeSet<u64> {
        let Some(index) = self.by_field.get(field) else { return BTreeSet::new() };
        let with_key = index.by_path.values().flat_map(HashMap::values);
        with_key.chain([&index.without_key]).flatten().copied().collect()
    }
}

impl FieldIndex {
    fn remove(&mut self, EqualityKey { path, text }: &EqualityKey, id: u64) {
        let Some(by_text) = self.by_path.get_mut(path) else { return };
        if let Some(ids) = by_text.get_mut(text) {
            ids.remove(&id);
            if ids.is_empty() {
                by_text.remove(text);
            }
        }
        if by_text.is_empty() {
            self.by_path.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(path: &[&str], text: &str) -> Option<EqualityKey> {
        Some(EqualityKey { path: path.iter().map(ToString::to_string).collect(), text: text.into() })
    }

    #[test]
    fn candidates_have_the_payloads_text_or_no_equality_key() {
        let mut index = SubscriptionIndex::default();
        let entries = [
            ("onUpdate", key(&["id"], "a")),
            ("onUpdate", key(&["id"], "b")),
            ("onUpdate", key(&["sender", "name"], "Ann")),
            ("onUpdate", None),
            ("onOther", key(&["id"], "a")),
        ];
        for (id, (field, key)) in (1..).zip(entries.clone()) {
            index.insert(field, key, id);
        }
        let candidates = |payload: Value| index.candidates("onUpdate", &payload).into_iter().collect::<Vec<_>>();
        assert_eq!(candidates(json!({ "id": "a", "sender": { "name": "Ann" } })), [1, 3, 4]);
        assert_eq!(candidates(json!({ "id": "b" })), [2, 4]);
        assert_eq!(candidates(json!({ "id": 1, "sender": "Ann" })), [4]);
        assert_eq!(candidates(Value::Null), [4]);
        assert_eq!(index.all("onUpdate"), [1, 2, 3, 4].into());
        for (id, (field, key)) in (1..).zip(entries) {
            index.remove(field, key.as_ref(), id);
        }
        assert!(index.by_field.is_empty());
    }
}
