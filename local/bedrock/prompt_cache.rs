//! The prompt cache of a Bedrock endpoint: which beginnings of requests are known, and until when.
use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// More are not kept: the entry that was not used for longest makes room.
const MAX_ENTRIES: usize = 4_096;

/// How long an entry lives after its last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Lifetime {
    FiveMinutes,
    Hour,
}

/// What a request has that may be cached: the ends of its blocks and its cache points.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CachedPrompt {
    pub prefixes: Vec<Prefix>,
    pub points: Vec<Point>,
}

/// A beginning of a request that ends with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    /// Of the model and all blocks.
    pub hash: u64,
    pub tokens: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    /// How many blocks stand before it.
    pub blocks: usize,
    pub lifetime: Lifetime,
}

/// The rules of a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct CacheRules {
    pub minimum_tokens: usize,
    pub lookback: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CacheUsage {
    pub read_tokens: usize,
    /// The longest lifetime first.
    pub written_tokens: Vec<(Lifetime, usize)>,
}

/// The prefixes that are known, by their hashes.
#[derive(Debug, Default)]
pub(super) struct PromptCache(HashMap<u64, Entry>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    used_at: Instant,
    lifetime: Lifetime,
}

impl Lifetime {
    pub fn name(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
        }
    }

    fn duration(self) -> Duration {
        match self {
            Self::FiveMinutes => Duration::from_secs(300),
            Self::Hour => Duration::from_secs(3_600),
        }
    }
}

impl CacheUsage {
    pub fn write_tokens(&self) -> usize {
        self.written_tokens.iter().map(|(_, tokens)| tokens).sum()
    }
}

impl Entry {
    fn is_alive(&self, now: Instant) -> bool {
        now.duration_since(self.used_at) < self.lifetime.duration()
    }
}

impl PromptCache {
    /// Reads the longest known prefix, writes those at the cache points, and renews what was used.
    pub fn apply(&mut self, prompt: &CachedPrompt, rules: CacheRules, now: Instant) -> CacheUsage {
        let read = prompt.points.iter().filter_map(|point| self.find(prompt, *point, rules, now));
        let read = read.max_by_key(|prefix| prefix.tokens);
        let mut usage = CacheUsage { read_tokens: read.map_or(0, |prefix| prefix.tokens), written_tokens: Vec::new() };
        if let Some(entry) = read.and_then(|prefix| self.0.get_mut(&prefix.hash)) {
            entry.used_at = now;
        }
        let mut end = usage.read_tokens;
        for point in &prompt.points {
            let Some(prefix) = point.prefix(prompt).filter(|prefix| prefix.tokens >= rules.minimum_tokens) else {
                continue;
            };
            self.insert(prefix.hash, point.lifetime, now);
            if prefix.tokens > end {
                usage.written_tokens.push((point.lifetime, prefix.tokens - end));
                end = prefix.tokens;
            }
        }
        usage.written_tokens = by_lifetime(&usage.written_tokens);
        usage
    }

    /// The longest known prefix that ends at the point or at a block shortly before it.
    fn find(&self, prompt: &CachedPrompt, point: Point, rules: CacheRules, now: Instant) -> Option<Prefix> {
        let first = point.blocks.saturating_sub(rules.lookback + 1);
        let prefixes = prompt.prefixes.get(first..point.blocks)?;
        let is_known = |prefix: &&Prefix| self.0.get(&prefix.hash).is_some_and(|entry| entry.is_alive(now));
        prefixes.iter().rev().find(is_known).copied()
    }

    /// An entry that lives longer keeps its lifetime.
    fn insert(&mut self, hash: u64, lifetime: Lifetime, now: Instant) {
        let known = self.0.get(&hash).filter(|entry| entry.is_alive(now));
        let lifetime = known.map_or(lifetime, |entry| entry.lifetime.max(lifetime));
        self.0.insert(hash, Entry { used_at: now, lifetime });
        if self.0.len() > MAX_ENTRIES {
            self.make_room(now);
        }
    }

    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, entry| entry.is_alive(now));
        let oldest = self.0.iter().min_by_key(|(_, entry)| entry.used_at).map(|(hash, _)| *hash);
        if let Some(hash) = oldest.filter(|_| self.0.len() > MAX_ENTRIES) {
            self.0.remove(&hash);
        }
    }
}

impl Point {
    fn prefix(self, prompt: &CachedPrompt) -> Option<Prefix> {
        prompt.prefixes.get(self.blocks.checked_sub(1)?).copied()
    }
}

fn by_lifetime(written: &[(Lifetime, usize)]) -> Vec<(Lifetime, usize)> {
    let sum = |lifetime: Lifetime| {
        let of_lifetime = written.iter().filter(|(other, _)| *other == lifetime);
        (lifetime, of_lifetime.map(|(_, tokens)| tokens).sum())
    };
    [Lifetime::Hour, Lifetime::FiveMinutes].map(sum).into_iter().filter(|(_, tokens)| *tokens > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: CacheRules = CacheRules { minimum_tokens: 0, lookback: 20 };

    /// A request of blocks of one token each, with a cache point at its end.
    fn prompt(seed: u64, blocks: usize, lifetime: Lifetime) -> CachedPrompt {
        let prefix = |tokens: usize| Prefix { hash: seed * 1_000_000 + tokens as u64, tokens };
        CachedPrompt { prefixes: (1..=blocks).map(prefix).collect(), points: vec![Point { blocks, lifetime }] }
    }

    #[test]
    fn number_of_entries_is_bounded_and_the_newest_stay() {
        let mut cache = PromptCache::default();
        let start = Instant::now();
        for seed in 0..=MAX_ENTRIES as u64 {
            let now = start + Duration::from_millis(seed);
            cache.apply(&prompt(seed, 1, Lifetime::Hour), RULES, now);
        }
        assert_eq!(cache.0.len(), MAX_ENTRIES);
        let now = start + Duration::from_secs(10);
        assert_eq!(cache.apply(&prompt(0, 1, Lifetime::Hour), RULES, now).read_tokens, 0, "the oldest has gone");
        assert_eq!(cache.apply(&prompt(2, 1, Lifetime::Hour), RULES, now).read_tokens, 1);
    }

    #[test]
    fn entry_with_the_longer_lifetime_keeps_it() {
        let mut cache = PromptCache::default();
        let start = Instant::now();
        cache.apply(&prompt(1, 1, Lifetime::Hour), RULES, start);
        cache.apply(&prompt(1, 1, Lifetime::FiveMinutes), RULES, start);
        let later = start + Duration::from_secs(3_599);
        assert_eq!(cache.apply(&prompt(1, 1, Lifetime::FiveMinutes), RULES, later).read_tokens, 1);
    }

    #[test]
    fn prefix_is_found_within_twenty_blocks() {
        for (blocks, expected) in [(21, 1), (22, 0)] {
            let mut cache = PromptCache::default();
            let now = Instant::now();
            cache.apply(&prompt(1, 1, Lifetime::Hour), RULES, now);
            assert_eq!(cache.apply(&prompt(1, blocks, Lifetime::Hour), RULES, now).read_tokens, expected, "{blocks}");
        }
    }
}
