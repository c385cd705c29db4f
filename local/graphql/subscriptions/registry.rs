//! Subscription registry and fan-out.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::mpsc;

use super::{
    filter::{EqualityKey, Filter},
    index::SubscriptionIndex,
};
use crate::fault_injection::{Fault, FaultInjector, UpdatePosition};

/// The largest number of notifications that wait for one connection. A connection that exceeds it is
/// disconnected.
const MAX_QUEUED_NOTIFICATIONS: usize = 1_000;

/// All connections and subscriptions of one API. `S` is what a connection needs to know about a subscription.
/// Clones share the registry.
pub struct SubscriptionRegistry<S> {
    state: Arc<Mutex<RegistryState<S>>>,
    faults: FaultInjector,
}

struct RegistryState<S> {
    connection_count: u64,
    connections: HashMap<u64, ConnectionEntry<S>>,
    /// The number of subscriptions ever made; the id of the newest.
    subscription_count: u64,
    /// By id: ids begin at 1 and increase in the order of subscribing.
    subscriptions: HashMap<u64, SubscriptionEntry<S>>,
    index: SubscriptionIndex,
}

struct ConnectionEntry<S> {
    queue: mpsc::Sender<QueuedNotification<S>>,
    /// The ids of the connection's subscriptions by the ids that the client chose.
    subscription_ids: HashMap<Arc<str>, u64>,
}

struct SubscriptionEntry<S> {
    subscription: Arc<S>,
    field: String,
    filter: Filter,
    invalidation_filter: Option<Filter>,
    equality_key: Option<EqualityKey>,
    connection_id: u64,
    client_id: Arc<str>,
    /// The number of payloads that passed the filter.
    payload_count: u64,
}

/// A subscription to add to the registry.
pub struct NewSubscription<S> {
    pub subscription: Arc<S>,
    pub field: String,
    pub filter: Filter,
    /// An invalidation whose payload passes this filter ends the subscription.
    pub invalidation_filter: Option<Filter>,
}

/// A notification in the queue of a connection.
pub struct QueuedNotification<S> {
    /// The id that the client chose for the subscription.
    pub client_id: Arc<str>,
    pub subscription: Arc<S>,
    pub notification: Notification,
}

pub enum Notification {
    Payload(Arc<Value>),
    Invalidated,
}

/// A connection of the registry. Dropping the handle disconnects it and ends its subscriptions.
pub struct ConnectionHandle<S> {
    registry: SubscriptionRegistry<S>,
    id: u64,
}

impl<S> SubscriptionRegistry<S> {
    /// An empty registry with fault injection.
    pub fn new(faults: FaultInjector) -> Self {
        let state = RegistryState {
            connection_count: 0,
            connections: HashMap::new(),
            subscription_count: 0,
            subscriptions: HashMap::new(),
            index: SubscriptionIndex::default(),
        };
        Self { state: Arc::new(Mutex::new(state)), faults }
    }

    /// Adds a connection. Its queue ends when the connection is disconnected.
    pub fn connect(&self) -> (ConnectionHandle<S>, mpsc::Receiver<QueuedNotification<S>>) {
        let (queue, notifications) = mpsc::channel(MAX_QUEUED_NOTIFICATIONS);
        let mut state = self.lock();
        let id = state.connection_count;
        state.connection_count += 1;
        state.connections.insert(id, ConnectionEntry { queue, subscription_ids: HashMap::new() });
        (ConnectionHandle { registry: self.clone(), id }, notifications)
    }

    /// Queues a payload for every subscription of the field whose filter it passes. All subscribers receive
    /// payloads in the order of publication.
    pub fn publish(&self, field: &str, payload: &Arc<Value>) {
        let mut state = self.lock();
        for id in state.index.candidates(field, payload) {
            let Some(entry) = state.subscriptions.get_mut(&id) else { continue };
            if !entry.filter.matches(payload) {
                continue;
            }
            match entry.next_delivery(id, &self.faults, payload) {
                Delivery::Delivered => state.enqueue(id, Notification::Payload(payload.clone())),
                Delivery::Dropped => {}
                Delivery::Disconnected => {
                    let connection_id = entry.connection_id;
                    state.disconnect(connection_id);
                }
            }
        }
    }

    /// Ends the subscriptions of the field whose invalidation filter the payload passes.
    pub fn invalidate(&self, field: &str, payload: &Value) {
        let mut state = self.lock();
        for id in state.index.all(field) {
            let filter = state.subscriptions.get(&id).and_then(|entry| entry.invalidation_filter.as_ref());
            if filter.is_some_and(|filter| filter.matches(payload)) {
                state.enqueue(id, Notification::Invalidated);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, RegistryState<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> RegistryState<S> {
    /// Queues a notification. Disconnects the connection if its queue is full.
    fn enqueue(&mut self, id: u64, notification: Notification) {
        let Some(entry) = self.subscriptions.get(&id) else { return };
        let queued = QueuedNotification {
            client_id: entry.client_id.clone(),
            subscription: entry.subscription.clone(),
            notification,
        };
        let connection = self.connections.get(&entry.connection_id);
        let is_queued = connection.is_some_and(|connection| connection.queue.try_send(queued).is_ok());
        if !is_queued {
            let connection_id = entry.connection_id;
            tracing::warn!(connection = connection_id, "a WebSocket client does not keep up: its connection is closed");
            self.disconnect(connection_id);
        }
    }

    /// Adds a subscription. Replaces the connection's subscription with the same client id.
    fn subscribe(&mut self, connection_id: u64, client_id: &str, new: NewSubscription<S>) {
        self.unsubscribe(connection_id, client_id);
        let Some(connection) = self.connections.get_mut(&connection_id) else { return };
        self.subscription_count += 1;
        let id = self.subscription_count;
        let client_id = Arc::<str>::from(client_id);
        let equality_key = new.filter.equality_key();
        connection.subscription_ids.insert(client_id.clone(), id);
        self.index.insert(&new.field, equality_key.clone(), id);
        let entry = SubscriptionEntry {
            subscription: new.subscription,
            field: new.field,
            filter: new.filter,
            invalidation_filter: new.invalidation_filter,
            equality_key,
            connection_id,
            client_id,
            payload_count: 0,
        };
        self.subscriptions.insert(id, entry);
    }

    fn unsubscribe(&mut self, connection_id: u64, client_id: &str) {
        let connection = self.connections.get_mut(&connection_id);
        if let Some(id) = connection.and_then(|connection| connection.subscription_ids.remove(client_id)) {
            self.remove_subscription(id);
        }
    }

    fn disconnect(&mut self, connection_id: u64) {
        let Some(connection) = self.connections.remove(&connection_id) else { return };
        for id in connection.subscription_ids.into_values() {
            self.remove_subscription(id);
        }
    }

    fn remove_subscription(&mut self, id: u64) {
        if let Some(entry) = self.subscriptions.remove(&id) {
            self.index.remove(&entry.field, entry.equality_key.as_ref(), id);
        }
    }
}

impl<S> ConnectionHandle<S> {
    pub fn subscribe(&self, client_id: &str, new: NewSubscription<S>) {
        self.registry.lock().subscribe(self.id, client_id, new);
    }

    pub fn unsubscribe(&self, client_id: &str) {
        self.registry.lock().unsubscribe(self.id, client_id);
    }
}

/// The outcome of delivering a payload to one subscriber.
enum Delivery {
    Delivered,
    /// An injected fault loses the payload.
    Dropped,
    /// An injected fault closes the connection instead.
    Disconnected,
}

impl<S> SubscriptionEntry<S> {
    /// Counts a payload and decides by fault injection how it is delivered.
    fn next_delivery(&mut self, id: u64, faults: &FaultInjector, payload: &Value) -> Delivery {
        self.payload_count += 1;
        let is_last = ends_turn(payload);
        let positions = [UpdatePosition::Nth(self.payload_count), UpdatePosition::Last];
        let positions = if is_last { &positions[..] } else { &positions[..1] };
        let occurs = |fault| faults.should_inject_at_update(fault, id, positions);
        if occurs(Fault::SubscriberCut) {
            return Delivery::Disconnected;
        }
        if occurs(Fault::UpdateLost) || is_last && occurs(Fault::LastUpdateLost) {
            return Delivery::Dropped;
        }
        Delivery::Delivered
    }
}

fn ends_turn(payload: &Value) -> bool {
    let status = payload.pointer("/metadata/status").and_then(Value::as_str);
    matches!(status, Some("COMPLETED" | "CANCELLED" | "FAILED"))
}

impl<S> Drop for ConnectionHandle<S> {
    fn drop(&mut self) {
        self.registry.lock().disconnect(self.id);
    }
}

impl<S> Clone for SubscriptionRegistry<S> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), faults: self.faults.clone() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::fault_injection::FaultPlan;

    fn subscription(invalidation_filter: Option<Filter>) -> NewSubscription<()> {
        let filter = Filter::from_arguments(Map::new());
        NewSubscription { subscription: Arc::new(()), field: "onUpdate".into(), filter, invalidation_filter }
    }

    fn payload(number: usize) -> Arc<Value> {
        Arc::new(json!({ "number": number }))
    }

    #[tokio::test]
    async fn full_queue_disconnects_after_the_queued_notifications() {
        let registry = SubscriptionRegistry::new(FaultInjector::default());
        let (slow, mut slow_queue) = registry.connect();
        let (fast, mut fast_queue) = registry.connect();
        slow.subscribe("s", subscription(None));
        fast.subscribe("f", subscription(None));
        for number in 0..=MAX_QUEUED_NOTIFICATIONS {
            registry.publish("onUpdate", &payload(number));
            assert!(fast_queue.recv().await.is_some());
        }
        for number in 0..MAX_QUEUED_NOTIFICATIONS {
            let queued = slow_queue.recv().await.unwrap();
            assert!(matches!(queued.notification, Notification::Payload(found) if found == payload(number)));
        }
        assert!(slow_queue.recv().await.is_none());
    }

    #[tokio::test]
    async fn invalidation_ends_subscriptions_whose_filter_matches() {
        let registry = SubscriptionRegistry::new(FaultInjector::default());
        let (connection, mut queue) = registry.connect();
        let user_filter = |user: &str| Filter::from_arguments(Map::from_iter([("user".to_owned(), user.into())]));
        connection.subscribe("ann", subscription(Some(user_filter("ann"))));
        connection.subscribe("bob", subscription(Some(user_filter("bob"))));
        connection.subscribe("never", subscription(None));
        registry.invalidate("onUpdate", &json!({ "user": "bob" }));
        drop(connection);
        let queued = queue.recv().await.unwrap();
        assert!(&*queued.client_id == "bob" && matches!(queued.notification, Notification::Invalidated));
        assert!(queue.recv().await.is_none());
    }

    #[tokio::test]
    async fn ended_subscriptions_leave_no_entries() {
        let registry = SubscriptionRegistry::new(FaultInjector::default());
        let (ann, _ann_queue) = registry.connect();
        let (bob, _bob_queue) = registry.connect();
        for (connection, client_id) in [(&ann, "1"), (&ann, "2"), (&ann, "2"), (&bob, "1")] {
            connection.subscribe(client_id, subscription(None));
        }
        ann.unsubscribe("1");
        drop(bob);
        let remaining = registry.lock().index.all("onUpdate");
        assert_eq!(remaining, [3].into(), "a repeated client id makes a new subscription");
        drop(ann);
        let state = registry.lock();
        assert!(state.connections.is_empty() && state.subscriptions.is_empty());
        assert!(state.index.all("onUpdate").is_empty());
    }

    fn registry_with_fault(fault: Fault, subscription_id: u64, position: UpdatePosition) -> SubscriptionRegistry<()> {
        let on_updates = [(fault, subscription_id, position)].into();
        SubscriptionRegistry::new(FaultInjector::new(&FaultPlan { on_updates, ..FaultPlan::default() }))
    }

    fn turn_payload(status: &str) -> Arc<Value> {
        Arc::new(json!({ "metadata": { "status": status } }))
    }

    async fn next_payload(queue: &mut mpsc::Receiver<QueuedNotification<()>>) -> Option<Value> {
        match queue.recv().await?.notification {
            Notification::Payload(payload) => Some(Value::clone(&payload)),
            Notification::Invalidated => None,
        }
    }

    #[tokio::test]
    async fn lost_update_is_lost_to_one_subscriber_only() {
        let registry = registry_with_fault(Fault::UpdateLost, 2, UpdatePosition::Nth(1));
        let (ann, mut ann_queue) = registry.connect();
        let (bob, mut bob_queue) = registry.connect();
        ann.subscribe("a", subscription(None));
        bob.subscribe("b", subscription(None));
        registry.publish("onUpdate", &payload(1));
        registry.publish("onUpdate", &payload(2));
        assert_eq!(next_payload(&mut ann_queue).await, Some(json!({ "number": 1 })));
        assert_eq!(next_payload(&mut bob_queue).await, Some(json!({ "number": 2 })));
    }

    #[tokio::test]
    async fn disconnect_fault_replaces_the_nth_payload() {
        let registry = registry_with_fault(Fault::SubscriberCut, 1, UpdatePosition::Nth(2));
        let (connection, mut queue) = registry.connect();
        connection.subscribe("a", subscription(None));
        (1..=3).for_each(|number| registry.publish("onUpdate", &payload(number)));
        assert_eq!(next_payload(&mut queue).await, Some(json!({ "number": 1 })));
        assert_eq!(next_payload(&mut queue).await, None);
    }

    #[tokio::test]
    async fn disconnect_fault_replaces_the_last_payload_of_a_turn() {
        let registry = registry_with_fault(Fault::SubscriberCut, 1, UpdatePosition::Last);
        let (connection, mut queue) = registry.connect();
        connection.subscribe("a", subscription(None));
        for status in ["RUNNING", "COMPLETED"] {
            registry.publish("onUpdate", &turn_payload(status));
        }
        assert_eq!(next_payload(&mut queue).await, Some(Value::clone(&turn_payload("RUNNING"))));
        assert_eq!(next_payload(&mut queue).await, None);
    }

    #[tokio::test]
    async fn last_update_fault_loses_only_the_last_payload_of_a_turn() {
        let rates = [(Fault::LastUpdateLost, 1.0)].into();
        let registry = SubscriptionRegistry::new(FaultInjector::new(&FaultPlan { rates, ..FaultPlan::default() }));
        let (connection, mut queue) = registry.connect();
        connection.subscribe("a", subscription(None));
        for status in ["RUNNING", "COMPLETED", "RUNNING"] {
            registry.publish("onUpdate", &turn_payload(status));
        }
        assert_eq!(next_payload(&mut queue).await, Some(Value::clone(&turn_payload("RUNNING"))));
        assert_eq!(next_payload(&mut queue).await, Some(Value::clone(&turn_payload("RUNNING"))));
    }
}
