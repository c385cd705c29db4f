//! Finds the subscriptions that a payload may concern without asking the filter of each: nearly all of them pin a field
//! of the payload to one text.
use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

/// Numbers of subscriptions by what they pin.
#[derive(Default)]
pub struct Register {
    by_field: HashMap<String, Shelf>,
}

/// A payload can only concern a subscription that pins a path of it to a text if it carries that text there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    pub path: Vec<String>,
    pub text: String,
}

/// The subscriptions of one field.
#[derive(Default)]
struct Shelf {
    by_path: HashMap<Vec<String>, HashMap<String, BTreeSet<u64>>>,
    unpinned: BTreeSet<u64>,
}

impl Register {
    pub fn enter(&mut self, field: &str, pin: Option<Pin>, number: u64) {
        let shelf = self.by_field.entry(field.to_owned()).or_default();
        match pin {
            Some(Pin { path, text }) => shelf.by_path.entry(path).or_default().entry(text).or_default().insert(number),
            None => shelf.unpinned.insert(number),
        };
    }

    /// Leaves nothing behind of what `enter` was told.
    pub fn strike(&mut self, field: &str, pin: Option<&Pin>, number: u64) {
        let Some(shelf) = self.by_field.get_mut(field) else { return };
        match pin {
            Some(pin) => shelf.strike(pin, number),
            None => drop(shelf.unpinned.remove(&number)),
        }
        if shelf.by_path.is_empty() && shelf.unpinned.is_empty() {
            self.by_field.remove(field);
        }
    }

    /// Whoever's filter the payload may pass, in the order of subscribing.
    pub fn concerned(&self, field: &str, payload: &Value) -> BTreeSet<u64> {
        let Some(shelf) = self.by_field.get(field) else { return BTreeSet::new() };
        let pinned = shelf.by_path.iter().filter_map(|(path, by_text)| by_text.get(at(payload, path)?.as_str()?));
        pinned.chain([&shelf.unpinned]).flatten().copied().collect()
    }

    /// Whoever subscribed to the field, in the order of subscribing.
    pub fn all(&self, field: &str) -> BTreeSet<u64> {
        let Some(shelf) = self.by_field.get(field) else { return BTreeSet::new() };
        let pinned = shelf.by_path.values().flat_map(HashMap::values);
        pinned.chain([&shelf.unpinned]).flatten().copied().collect()
    }
}

impl Shelf {
    fn strike(&mut self, Pin { path, text }: &Pin, number: u64) {
        let Some(by_text) = self.by_path.get_mut(path) else { return };
        if let Some(numbers) = by_text.get_mut(text) {
            numbers.remove(&number);
            if numbers.is_empty() {
                by_text.remove(text);
            }
        }
        if by_text.is_empty() {
            self.by_path.remove(path);
        }
    }
}

/// What a payload holds at a path.
pub fn at<'v>(payload: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(payload, |value, name| value.get(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pin(path: &[&str], text: &str) -> Option<Pin> {
        Some(Pin { path: path.iter().map(ToString::to_string).collect(), text: text.into() })
    }

    #[test]
    fn a_payload_concerns_who_pins_what_it_says_and_who_pins_nothing() {
        let mut register = Register::default();
        let entries = [
            ("onUpdate", pin(&["id"], "a")),
            ("onUpdate", pin(&["id"], "b")),
            ("onUpdate", pin(&["sender", "name"], "Ann")),
            ("onUpdate", None),
            ("onOther", pin(&["id"], "a")),
        ];
        for (number, (field, pin)) in (1..).zip(entries.clone()) {
            register.enter(field, pin, number);
        }
        let concerned = |payload: Value| register.concerned("onUpdate", &payload).into_iter().collect::<Vec<_>>();
        assert_eq!(concerned(json!({ "id": "a", "sender": { "name": "Ann" } })), [1, 3, 4]);
        assert_eq!(concerned(json!({ "id": "b" })), [2, 4]);
        assert_eq!(concerned(json!({ "id": 1, "sender": "Ann" })), [4]);
        assert_eq!(concerned(Value::Null), [4]);
        assert_eq!(register.all("onUpdate"), [1, 2, 3, 4].into());
        for (number, (field, pin)) in (1..).zip(entries) {
            register.strike(field, pin.as_ref(), number);
        }
        assert!(register.by_field.is_empty(), "nothing is left behind");
    }
}
