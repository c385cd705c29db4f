//! Subscription registry and fan-out.
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

use super::channel::{Channel, ChannelPattern};
use crate::fault_injection::{Fault, FaultInjector, UpdatePosition};

/// The largest number of events that wait for one connection. A connection that exceeds it is disconnected.
const MAX_QUEUED_EVENTS: usize = 1_000;
/// The longest delay of `Fault::EventsLate`, as clients of AWS have seen.
const MAX_START_DELAY: Duration = Duration::from_secs(2);

/// All connections and subscriptions of an API. Clones share the registry.
#[derive(Clone)]
pub struct SubscriptionRegistry {
    state: Arc<Mutex<RegistryState>>,
    faults: FaultInjector,
}

#[derive(Default)]
struct RegistryState {
    connection_count: u64,
    connections: HashMap<u64, ConnectionEntry>,
    /// The number of subscriptions ever made; the id of the newest.
    subscription_count: u64,
    subscriptions: HashMap<u64, SubscriptionEntry>,
    /// The ids of the subscriptions by the paths of their patterns.
    by_pattern: HashMap<String, BTreeSet<u64>>,
}

struct ConnectionEntry {
    queue: mpsc::Sender<QueuedEvent>,
    /// The connection's subscriptions by the ids that the client chose.
    subscription_ids: HashMap<Arc<str>, u64>,
}

struct SubscriptionEntry {
    pattern: String,
    connection_id: u64,
    client_id: Arc<str>,
    /// Events that are published before are not delivered.
    delivery_start: Option<Instant>,
    /// The number of events that matched.
    event_count: u64,
}

/// An event in the queue of a connection.
pub struct QueuedEvent {
    /// The id that the client chose for the subscription.
    pub client_id: Arc<str>,
    pub subscription: u64,
    /// A JSON text; `None` if the event cannot be processed.
    pub event: Option<Arc<str>>,
}

/// A connection of the registry. Dropping the handle disconnects it and ends its subscriptions.
pub struct ConnectionHandle {
    registry: SubscriptionRegistry,
    id: u64,
}

impl SubscriptionRegistry {
    pub fn new(faults: FaultInjector) -> Self {
        Self { state: Arc::default(), faults }
    }

    /// Adds a connection. Its queue ends when the connection is disconnected.
    pub fn connect(&self) -> (ConnectionHandle, mpsc::Receiver<QueuedEvent>) {
        let (queue, events) = mpsc::channel(MAX_QUEUED_EVENTS);
        let mut state = self.lock();
        let id = state.connection_count;
        state.connection_count += 1;
        state.connections.insert(id, ConnectionEntry { queue, subscription_ids: HashMap::new() });
        (ConnectionHandle { registry: self.clone(), id }, events)
    }

    /// Queues an event for every subscription of the channel. All subscribers receive events in the order of
    /// publication.
    pub fn publish(&self, channel: &Channel, event: &Arc<str>) {
        let now = Instant::now();
        let mut state = self.lock();
        for id in state.subscriptions_of(channel) {
            let Some(entry) = state.subscriptions.get_mut(&id) else { continue };
            entry.event_count += 1;
            let position = UpdatePosition::Nth(entry.event_count);
            let has_started = entry.delivery_start.is_none_or(|start| start <= now);
            let is_lost = self.faults.should_inject_at_update(Fault::EventsLost, id, &[position]);
            let is_failed = self.faults.should_inject_at_update(Fault::EventsFailed, id, &[position]);
            if has_started && !is_lost {
                state.enqueue(id, (!is_failed).then(|| event.clone()));
            }
        }
    }

    fn delivery_start(&self) -> Option<Instant> {
        let mut rng = self.faults.sample(Fault::EventsLate)?;
        Some(Instant::now() + MAX_START_DELAY.mul_f64(rng.f64()))
    }

    fn lock(&self) -> MutexGuard<'_, RegistryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RegistryState {
    /// The ids in the order of subscribing.
    fn subscriptions_of(&self, channel: &Channel) -> BTreeSet<u64> {
        channel.matching_patterns().filter_map(|pattern| self.by_pattern.get(&pattern)).flatten().copied().collect()
    }

    /// Queues an event. Disconnects the connection if its queue is full.
    fn enqueue(&mut self, id: u64, event: Option<Arc<str>>) {
        let Some(SubscriptionEntry { client_id, connection_id, .. }) = self.subscriptions.get(&id) else { return };
        let connection_id = *connection_id;
        let queued = QueuedEvent { client_id: client_id.clone(), subscription: id, event };
        let connection = self.connections.get(&connection_id);
        let is_queued = connection.is_some_and(|connection| connection.queue.try_send(queued).is_ok());
        if !is_queued {
            tracing::warn!(connection = connection_id, "an Events client does not keep up: its connection is closed");
            self.disconnect(connection_id);
        }
    }

    fn disconnect(&mut self, connection_id: u64) {
        let Some(connection) = self.connections.remove(&connection_id) else { return };
        for id in connection.subscription_ids.into_values() {
            self.remove_subscription(id);
        }
    }

    fn remove_subscription(&mut self, id: u64) {
        let Some(entry) = self.subscriptions.remove(&id) else { return };
        if let Some(ids) = self.by_pattern.get_mut(&entry.pattern) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_pattern.remove(&entry.pattern);
            }
        }
    }
}

impl ConnectionHandle {
    /// Adds a subscription under an id that the connection does not use yet, and returns its number. `None`
    /// if the connection is disconnected.
    pub fn subscribe(&self, client_id: &str, pattern: &ChannelPattern) -> Option<u64> {
        let delivery_start = self.registry.delivery_start();
        let mut state = self.registry.lock();
        let id = state.subscription_count + 1;
        let client_id = Arc::<str>::from(client_id);
        state.connections.get_mut(&self.id)?.subscription_ids.insert(client_id.clone(), id);
        state.subscription_count = id;
        let pattern = pattern.path().to_owned();
        state.by_pattern.entry(pattern.clone()).or_default().insert(id);
        let entry = SubscriptionEntry { pattern, connection_id: self.id, client_id, delivery_start, event_count: 0 };
        state.subscriptions.insert(id, entry);
        Some(id)
    }

    pub fn unsubscribe(&self, client_id: &str) {
        let mut state = self.registry.lock();
        let connection = state.connections.get_mut(&self.id);
        if let Some(id) = connection.and_then(|connection| connection.subscription_ids.remove(client_id)) {
            state.remove_subscription(id);
        }
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        self.registry.lock().disconnect(self.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::fault_injection::FaultPlan;

    fn publish(registry: &SubscriptionRegistry, channel: &str, event: &str) {
        registry.publish(&Channel::parse(channel).unwrap(), &event.into());
    }

    fn subscribe(connection: &ConnectionHandle, client_id: &str, pattern: &str) {
        connection.subscribe(client_id, &ChannelPattern::parse(pattern).unwrap()).unwrap();
    }

    /// The ids and events that are queued.
    fn queued(events: &mut mpsc::Receiver<QueuedEvent>) -> Vec<(String, String)> {
        let queued = std::iter::from_fn(|| events.try_recv().ok());
        let text = |event: Option<Arc<str>>| event.map_or("failed".to_owned(), |event| event.to_string());
        queued.map(|QueuedEvent { client_id, event, .. }| (client_id.to_string(), text(event))).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(id, event)| ((*id).to_owned(), (*event).to_owned())).collect()
    }

    fn with_fault(fault: Fault) -> SubscriptionRegistry {
        let rates = [(fault, 1.0)].into();
        SubscriptionRegistry::new(FaultInjector::new(&FaultPlan { rates, ..FaultPlan::default() }))
    }

    #[test]
    fn event_reaches_its_channel_and_the_wildcards_above() {
        let registry = SubscriptionRegistry::new(FaultInjector::default());
        let (connection, mut events) = registry.connect();
        for (id, pattern) in [("all", "/a/*"), ("below", "/a/b/*"), ("same", "a/b/c"), ("other", "/a/b"), ("b", "/b/*")]
        {
            subscribe(&connection, id, pattern);
        }
        publish(&registry, "/a/b/c", "1");
        assert_eq!(queued(&mut events), pairs(&[("all", "1"), ("below", "1"), ("same", "1")]));
        publish(&registry, "a", "2");
        assert_eq!(queued(&mut events), [], "a wildcard does not match the channel above it");
        connection.unsubscribe("all");
        publish(&registry, "/a/b", "3");
        assert_eq!(queued(&mut events), pairs(&[("other", "3")]));
    }

    #[test]
    fn ended_subscriptions_leave_no_entries() {
        let registry = SubscriptionRegistry::new(FaultInjector::default());
        let (connection, _events) = registry.connect();
        for id in ["1", "2", "3"] {
            subscribe(&connection, id, "/a/*");
        }
        connection.unsubscribe("2");
        connection.unsubscribe("2");
        drop(connection);
        let state = registry.lock();
        assert!(state.connections.is_empty() && state.subscriptions.is_empty() && state.by_pattern.is_empty());
    }

    #[tokio::test]
    async fn full_queue_disconnects_after_the_queued_events() {
        let registry = SubscriptionRegistry::new(FaultInjector::default());
        let (slow, mut slow_events) = registry.connect();
        subscribe(&slow, "s", "/a");
        for _ in 0..=MAX_QUEUED_EVENTS {
            publish(&registry, "/a", "1");
        }
        for _ in 0..MAX_QUEUED_EVENTS {
            assert!(slow_events.recv().await.is_some());
        }
        assert!(slow_events.recv().await.is_none());
        assert_eq!(slow.subscribe("again", &ChannelPattern::parse("/a").unwrap()), None);
    }

    #[test]
    fn lost_event_is_not_delivered() {
        let on_updates = [(Fault::EventsLost, 2, UpdatePosition::Nth(1))].into();
        let registry = SubscriptionRegistry::new(FaultInjector::new(&FaultPlan { on_updates, ..FaultPlan::default() }));
        let (connection, mut events) = registry.connect();
        subscribe(&connection, "first", "/a");
        subscribe(&connection, "second", "/a");
        publish(&registry, "/a", "1");
        publish(&registry, "/a", "2");
        assert_eq!(queued(&mut events), pairs(&[("first", "1"), ("first", "2"), ("second", "2")]));
    }

    #[test]
    fn failed_event_is_reported_to_its_subscription() {
        let on_updates = [(Fault::EventsFailed, 1, UpdatePosition::Nth(2))].into();
        let registry = SubscriptionRegistry::new(FaultInjector::new(&FaultPlan { on_updates, ..FaultPlan::default() }));
        let (connection, mut events) = registry.connect();
        subscribe(&connection, "s", "/a");
        for event in ["1", "2", "3"] {
            publish(&registry, "/a", event);
        }
        assert_eq!(queued(&mut events), pairs(&[("s", "1"), ("s", "failed"), ("s", "3")]));
    }

    #[tokio::test(start_paused = true)]
    async fn late_subscription_misses_its_first_events() {
        let registry = with_fault(Fault::EventsLate);
        let (connection, mut events) = registry.connect();
        subscribe(&connection, "s", "/a");
        publish(&registry, "/a", "1");
        advance(MAX_START_DELAY).await;
        publish(&registry, "/a", "2");
        assert_eq!(queued(&mut events), pairs(&[("s", "2")]));
    }
}
