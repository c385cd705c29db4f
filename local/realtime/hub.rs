//! Who is subscribed to what, and the way of a payload to each of them.
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::mpsc;

use super::Filter;
use crate::graphql::Subscription;

/// How many updates may wait for a connection that does not keep up.
const WAITING_UPDATES: usize = 1_000;

/// All subscriptions of one API. Clones share them.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<Seats>>);

#[derive(Default)]
struct Seats {
    next: u64,
    taken: BTreeMap<u64, Taken>,
}

struct Taken {
    outbox: mpsc::Sender<Update>,
    /// By the id the client chose.
    subscriptions: HashMap<String, Registered>,
}

struct Registered {
    subscription: Arc<Subscription>,
    filter: Filter,
    invalidation: Option<Filter>,
}

/// What a connection is to tell its client.
pub struct Update {
    pub id: String,
    pub subscription: Arc<Subscription>,
    pub news: News,
}

pub enum News {
    Payload(Arc<Value>),
    Invalidated,
}

/// A connection's place in the hub; given up when dropped.
pub struct Seat {
    hub: Hub,
    number: u64,
}

impl Hub {
    /// The updates end when the connection has fallen too far behind.
    pub fn join(&self) -> (Seat, mpsc::Receiver<Update>) {
        let (outbox, updates) = mpsc::channel(WAITING_UPDATES);
        let mut seats = self.seats();
        let number = seats.next;
        seats.next += 1;
        seats.taken.insert(number, Taken { outbox, subscriptions: HashMap::new() });
        (Seat { hub: self.clone(), number }, updates)
    }

    /// Hands a payload to every subscription of the field whose filter it passes, in the order of publication.
    pub fn publish(&self, field: &str, payload: &Value) {
        let payload = Arc::new(payload.clone());
        self.tell(|registered| {
            let concerned = registered.subscription.field == field && registered.filter.matches(&payload);
            concerned.then(|| News::Payload(payload.clone()))
        });
    }

    /// Ends the subscriptions of the field whose invalidation filter the payload passes.
    pub fn invalidate(&self, field: &str, payload: &Value) {
        self.tell(|registered| {
            let filter = registered.invalidation.as_ref().filter(|_| registered.subscription.field == field);
            filter.is_some_and(|filter| filter.matches(payload)).then_some(News::Invalidated)
        });
    }

    fn tell(&self, news: impl Fn(&Registered) -> Option<News>) {
        self.seats().taken.retain(|number, taken| {
            let kept_up = taken.subscriptions.iter().all(|(id, registered)| {
                let Some(news) = news(registered) else { return true };
                let subscription = registered.subscription.clone();
                taken.outbox.try_send(Update { id: id.clone(), subscription, news }).is_ok()
            });
            if !kept_up {
                tracing::warn!(connection = number, "a WebSocket client does not keep up: its connection is closed");
            }
            kept_up
        });
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub fn subscribe(&self, id: &str, subscription: Arc<Subscription>, filter: Filter, invalidation: Option<Filter>) {
        if let Some(taken) = self.hub.seats().taken.get_mut(&self.number) {
            taken.subscriptions.insert(id.to_owned(), Registered { subscription, filter, invalidation });
        }
    }

    pub fn unsubscribe(&self, id: &str) {
        if let Some(taken) = self.hub.seats().taken.get_mut(&self.number) {
            taken.subscriptions.remove(id);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.seats().taken.remove(&self.number);
    }
}
