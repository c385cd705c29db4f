//! Mutations of inputs, repeatable by seed.
use std::ops::Range;

use fastrand::Rng;
use serde_json::{Value, json};

const MAX_INPUT_BYTES: usize = 1 << 20;

/// Texts that parsers often handle wrongly.
const INTERESTING_TEXTS: [&str; 24] = [
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

pub struct Mutator {
    rng: Rng,
}

impl Mutator {
    pub fn with_seed(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed) }
    }

    /// True with a probability of 1 to `count`.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.rng.usize(..count) == 0
    }

    /// A number from 0 to `bound`, which is excluded. 0 if the bound is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.rng.usize(..bound.max(1))
    }

    pub fn choose<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    pub fn choose_input<'a>(&mut self, inputs: &'a [Vec<u8>]) -> &'a [u8] {
        self.choose::<Vec<u8>>(inputs)
    }

    /// One of the inputs, with some of its bytes changed, removed, repeated or replaced by those of another.
    pub fn mutate_any(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.choose(inputs).clone();
        for _ in 0..=self.below(6) {
            self.mutate_bytes(&mut bytes, inputs);
        }
        bytes.truncate(MAX_INPUT_BYTES);
        bytes
    }

    fn mutate_bytes(&mut self, bytes: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let position = self.below(bytes.len() + 1);
        let range = self.range_within(bytes.len());
        match self.below(8) {
            0 => {
                let bit = 1 << self.below(8);
                bytes.get_mut(position).into_iter().for_each(|byte| *byte ^= bit);
            }
            1 => {
                let value = self.rng.u8(..);
                bytes.get_mut(position).into_iter().for_each(|byte| *byte = value);
            }
            2 => drop(bytes.drain(range)),
            3 => {
                let repetitions = if self.one_in(16) { 4_096 } else { 1 + self.below(8) };
                let max_repetitions = MAX_INPUT_BYTES / range.len().max(1);
                let repeated = bytes[range].repeat(repetitions.min(max_repetitions));
                insert(bytes, position, &repeated);
            }
            4 => insert(bytes, position, self.choose(&INTERESTING_TEXTS).as_bytes()),
            5 => {
                let other = self.choose(inputs);
                let range = self.range_within(other.len());
                insert(bytes, position, &other[range]);
            }
            6 => bytes.truncate(position),
            _ => bytes[range].reverse(),
        }
    }

    /// A range of indices below `length`; usually a short one.
    fn range_within(&mut self, length: usize) -> Range<usize> {
        let start = self.below(length);
        let max_length = if self.one_in(8) { length } else { 16 };
        start..(start + self.below(max_length) + 1).min(length)
    }

    pub fn mutate_text(&mut self, text: &str) -> String {
        String::from_utf8_lossy(&self.mutate_any(&[text.as_bytes().to_vec()])).into_owned()
    }

    /// JSON with one value replaced, removed, renamed or repeated.
    pub fn mutate_json(&mut self, document: &Value) -> Value {
        match document {
            Value::Object(members) if !members.is_empty() && !self.one_in(6) => {
                let chosen = self.below(members.len());
                let mut mutated = members.clone();
                let (name, member) = members.iter().nth(chosen).expect("the index is below the length");
                if self.one_in(10) {
                    mutated.remove(name);
                } else if self.one_in(10) {
                    mutated.remove(name);
                    mutated.insert(self.mutate_text(name), member.clone());
                } else {
                    mutated[name] = self.mutate_json(member);
                }
                Value::Object(mutated)
            }
            Value::Array(items) if !items.is_empty() && !self.one_in(6) => {
                let chosen = self.below(items.len());
                let mut mutated = items.clone();
                mutated[chosen] = self.mutate_json(&items[chosen]);
                mutated.extend((0..self.below(3)).map(|_| items[chosen].clone()));
                Value::Array(mutated)
            }
            Value::String(text) if !self.one_in(3) => json!(self.mutate_text(text)),
            _ => self.interesting_json(),
        }
    }

    pub fn interesting_json(&mut self) -> Value {
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
            _ => json!(*self.choose(&INTERESTING_TEXTS)),
        }
    }
}

fn insert(bytes: &mut Vec<u8>, position: usize, inserted: &[u8]) {
    drop(bytes.splice(position..position, inserted.iter().copied()));
}
