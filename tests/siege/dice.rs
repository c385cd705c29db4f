//! Chance, repeatable by its seed: how inputs are changed.
use std::ops::Range;

use fastrand::Rng;
use serde_json::{Value, json};

/// No input is longer.
const LONGEST: usize = 1 << 20;

/// What parsers of text stumble over.
const ODDITIES: [&str; 24] = [
    "\0",
    "\u{feff}",
    "\u{202e}",
    "👩‍👩‍👧",
    "\\ud800",
    "\\u0000",
    "\r\n",
    "\"",
    "\\",
    "'",
    "`",
    "${",
    "}",
    "{{",
    "]",
    "(",
    "<!--",
    "%00",
    "1e999999999",
    "-0",
    "9223372036854775808",
    "NaN",
    "null",
    "../..",
];

pub struct Dice {
    rng: Rng,
}

impl Dice {
    pub fn of(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed) }
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.rng.usize(..times) == 0
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.rng.usize(..end.max(1))
    }

    pub fn among<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len())]
    }

    pub fn one_of<'a>(&mut self, seeds: &'a [Vec<u8>]) -> &'a [u8] {
        &seeds[self.below(seeds.len())]
    }

    fn range(&mut self, length: usize) -> Range<usize> {
        let start = self.below(length);
        let most = if self.one_in(8) { length } else { 16 };
        start..(start + self.below(most) + 1).min(length)
    }

    /// One of the seeds with some of its bytes changed, or with bytes of another.
    pub fn mutated(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.among(seeds).clone();
        for _ in 0..=self.below(6) {
            self.change(&mut bytes, seeds);
        }
        bytes.truncate(LONGEST);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let some = self.range(bytes.len());
        match self.below(8) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << self.below(8)),
            1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = self.rng.u8(..)),
            2 => drop(bytes.drain(some)),
            3 => {
                let times = if self.one_in(16) { 4_096 } else { 1 + self.below(8) };
                let again = bytes[some].repeat(times);
                insert(bytes, at, &again);
            }
            4 => insert(bytes, at, self.among(&ODDITIES).as_bytes()),
            5 => {
                let other = self.among(seeds).clone();
                let piece = self.range(other.len());
                insert(bytes, at, &other[piece]);
            }
            6 => bytes.truncate(at),
            _ => bytes[some].reverse(),
        }
    }

    /// Text with some of its characters changed.
    pub fn mutated_text(&mut self, text: &str) -> String {
        String::from_utf8_lossy(&self.mutated(&[text.as_bytes().to_vec()])).into_owned()
    }

    /// A document with one of its values replaced, left out or multiplied: still JSON.
    pub fn mutated_json(&mut self, document: &Value) -> Value {
        match document {
            Value::Object(members) if !members.is_empty() && !self.one_in(6) => {
                let chosen = self.below(members.len());
                let changed = members.iter().enumerate().flat_map(|(index, (name, member))| match index == chosen {
                    true if self.one_in(10) => Vec::new(),
                    true if self.one_in(10) => vec![(self.mutated_text(name), member.clone())],
                    true => vec![(name.clone(), self.mutated_json(member))],
                    false => vec![(name.clone(), member.clone())],
                });
                Value::Object(changed.collect())
            }
            Value::Array(items) if !items.is_empty() && !self.one_in(6) => {
                let mut items = items.clone();
                let chosen = self.below(items.len());
                items[chosen] = self.mutated_json(&items[chosen]);
                items.extend((0..self.below(3)).map(|_| document[chosen].clone()).collect::<Vec<_>>());
                Value::Array(items)
            }
            Value::String(text) if !self.one_in(3) => json!(self.mutated_text(text)),
            _ => self.odd_value(),
        }
    }

    pub fn odd_value(&mut self) -> Value {
        match self.below(12) {
            0 => Value::Null,
            1 => json!(self.rng.bool()),
            2 => json!(self.rng.i64(..)),
            3 => json!(f64::from_bits(self.rng.u64(..))),
            4 => json!("x".repeat(1 << self.below(17))),
            5 => json!(vec![Value::Null; 1 << self.below(10)]),
            6 => (0..self.below(100)).fold(json!(1), |inner, _| json!([inner])),
            7 => (0..self.below(100)).fold(json!({}), |inner, _| json!({ "a": inner })),
            8 => json!({}),
            9 => json!([]),
            _ => json!(*self.among(&ODDITIES)),
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, more: &[u8]) {
    drop(bytes.splice(at..at, more.iter().copied()));
}
