//! Values that can be read for a limited time, by a secret.
use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use tokens::constant_time;
use uuid::Uuid;

/// When it is full, the oldest value makes room.
pub struct ExpiringStore<T> {
    lifetime: Duration,
    capacity: usize,
    /// Oldest first. All live equally long, so the first ends first.
    entries: VecDeque<Entry<T>>,
}

struct Entry<T> {
    secret: String,
    value: T,
    stored_at: SystemTime,
}

impl<T> ExpiringStore<T> {
    pub fn new(lifetime: Duration, capacity: usize) -> Self {
        Self { lifetime, capacity, entries: VecDeque::new() }
    }

    /// Returns the new secret of the value.
    pub fn insert(&mut self, value: T, now: SystemTime) -> String {
        let lifetime = self.lifetime;
        self.entries.retain(|entry| entry.is_alive(lifetime, now));
        if self.entries.len() >= self.capacity {
            self.entries.pop_front();
        }
        // 244 random bits; RFC 6749 asks for 160.
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        self.entries.push_back(Entry { secret: secret.clone(), value, stored_at: now });
        secret
    }

    pub fn get(&self, secret: &str, now: SystemTime) -> Option<&T> {
        let entry = &self.entries[self.position(secret)?];
        entry.is_alive(self.lifetime, now).then_some(&entry.value)
    }

    /// Removes the value, which is returned if it has not expired.
    pub fn remove(&mut self, secret: &str, now: SystemTime) -> Option<T> {
        let entry = self.entries.remove(self.position(secret)?)?;
        entry.is_alive(self.lifetime, now).then_some(entry.value)
    }

    fn position(&self, secret: &str) -> Option<usize> {
        self.entries.iter().position(|entry| constant_time::equal(entry.secret.as_bytes(), secret.as_bytes()))
    }
}

impl<T> Entry<T> {
    /// A clock that was set back ends the value.
    fn is_alive(&self, lifetime: Duration, now: SystemTime) -> bool {
        now.duration_since(self.stored_at).is_ok_and(|age| age < lifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(60);

    #[test]
    fn value_is_read_until_it_expires_or_is_removed() {
        let (mut store, start) = (ExpiringStore::new(LIFETIME, 10), SystemTime::UNIX_EPOCH);
        let [first, second] = [store.insert("first", start), store.insert("second", start)];
        let last_moment = start + LIFETIME - Duration::from_millis(1);
        assert_eq!(store.get(&first, last_moment), Some(&"first"));
        assert_eq!(store.get(&first, start + LIFETIME), None);
        assert_eq!(store.get("other", start), None);
        assert_eq!(store.remove(&first, last_moment), Some("first"));
        assert_eq!((store.remove(&first, start), store.get(&first, start)), (None, None));
        assert_eq!(store.remove(&second, start + LIFETIME), None);
    }

    #[test]
    fn oldest_value_makes_room() {
        let (mut store, now) = (ExpiringStore::new(LIFETIME, 2), SystemTime::UNIX_EPOCH);
        let secrets = [1, 2, 3].map(|number| store.insert(number, now));
        assert_eq!(secrets.each_ref().map(|secret| store.get(secret, now).copied()), [None, Some(2), Some(3)]);
        let later = now + LIFETIME;
        store.insert(4, later);
        assert_eq!(store.entries.len(), 1, "expired values are removed");
    }
}
