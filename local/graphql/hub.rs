//! Who is subscribed to what, and the way of a payload to each of them.
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::mpsc;

use super::filter::Filter;

/// How many updates may wait for a connection that does not keep up.
const WAITING_UPDATES: usize = 1_000;

/// All subscriptions of one API, each with what its connection knows of it. Clones share them.
pub struct Hub<S>(Arc<Mutex<Seats<S>>>);

struct Seats<S> {
    next: u64,
    taken: BTreeMap<u64, Taken<S>>,
}

struct Taken<S> {
    outbox: mpsc::Sender<Update<S>>,
    /// By the id the client chose.
    registrations: HashMap<String, Registration<S>>,
}

/// What a subscription wants to hear of.
pub struct Registration<S> {
    pub subscription: Arc<S>,
    pub field: String,
    pub filter: Filter,
    /// When a mutation ends it.
    pub invalidation: Option<Filter>,
}

/// What a connection is to tell its client.
pub struct Update<S> {
    pub id: String,
    pub subscription: Arc<S>,
    pub news: News,
}

pub enum News {
    Payload(Arc<Value>),
    Invalidated,
}

/// A connection's place in the hub; given up when dropped.
pub struct Seat<S> {
    hub: Hub<S>,
    number: u64,
}

impl<S> Hub<S> {
    /// The updates end when the connection has fallen too far behind.
    pub fn join(&self) -> (Seat<S>, mpsc::Receiver<Update<S>>) {
        let (outbox, updates) = mpsc::channel(WAITING_UPDATES);
        let mut seats = self.seats();
        let number = seats.next;
        seats.next += 1;
        seats.taken.insert(number, Taken { outbox, registrations: HashMap::new() });
        (Seat { hub: self.clone(), number }, updates)
    }

    /// Hands a payload to every subscription of the field whose filter it passes, in the order of publication.
    pub fn publish(&self, field: &str, payload: &Arc<Value>) {
        self.tell(|registration| {
            let concerned = registration.field == field && registration.filter.matches(payload);
            concerned.then(|| News::Payload(payload.clone()))
        });
    }

    /// Ends the subscriptions of the field whose invalidation filter the payload passes.
    pub fn invalidate(&self, field: &str, payload: &Value) {
        self.tell(|registration| {
            let filter = registration.invalidation.as_ref().filter(|_| registration.field == field);
            filter.is_some_and(|filter| filter.matches(payload)).then_some(News::Invalidated)
        });
    }

    fn tell(&self, news: impl Fn(&Registration<S>) -> Option<News>) {
        self.seats().taken.retain(|number, taken| {
            let kept_up = taken.registrations.iter().all(|(id, registration)| {
                let Some(news) = news(registration) else { return true };
                let subscription = registration.subscription.clone();
                taken.outbox.try_send(Update { id: id.clone(), subscription, news }).is_ok()
            });
            if !kept_up {
                tracing::warn!(connection = number, "a WebSocket client does not keep up: its connection is closed");
            }
            kept_up
        });
    }

    fn seats(&self) -> MutexGuard<'_, Seats<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Seat<S> {
    pub fn subscribe(&self, id: &str, registration: Registration<S>) {
        if let Some(taken) = self.hub.seats().taken.get_mut(&self.number) {
            taken.registrations.insert(id.to_owned(), registration);
        }
    }

    pub fn unsubscribe(&self, id: &str) {
        if let Some(taken) = self.hub.seats().taken.get_mut(&self.number) {
            taken.registrations.remove(id);
        }
    }
}

impl<S> Drop for Seat<S> {
    fn drop(&mut self) {
        self.hub.seats().taken.remove(&self.number);
    }
}

impl<S> Clone for Hub<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Default for Hub<S> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Seats { next: 0, taken: BTreeMap::new() })))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn registration(invalidation: Option<Filter>) -> Registration<()> {
        let filter = Filter::of_arguments(Map::new());
        Registration { subscription: Arc::new(()), field: "onUpdate".into(), filter, invalidation }
    }

    fn payload(number: usize) -> Arc<Value> {
        Arc::new(json!({ "number": number }))
    }

    #[tokio::test]
    async fn a_connection_that_does_not_keep_up_hears_what_waited_and_then_the_end() {
        let hub = Hub::default();
        let (slow, mut behind) = hub.join();
        let (quick, mut abreast) = hub.join();
        slow.subscribe("s", registration(None));
        quick.subscribe("q", registration(None));
        for number in 0..=WAITING_UPDATES {
            hub.publish("onUpdate", &payload(number));
            assert!(abreast.recv().await.is_some());
        }
        for number in 0..WAITING_UPDATES {
            let update = behind.recv().await.unwrap();
            assert!(matches!(update.news, News::Payload(found) if found == payload(number)));
        }
        assert!(behind.recv().await.is_none());
    }

    #[tokio::test]
    async fn an_invalidation_reaches_those_whose_filter_it_passes() {
        let hub = Hub::default();
        let (seat, mut updates) = hub.join();
        let of_user = |user: &str| Filter::of_arguments(Map::from_iter([("user".to_owned(), user.into())]));
        seat.subscribe("ann", registration(Some(of_user("ann"))));
        seat.subscribe("bob", registration(Some(of_user("bob"))));
        seat.subscribe("never", registration(None));
        hub.invalidate("onUpdate", &json!({ "user": "bob" }));
        drop(seat);
        let update = updates.recv().await.unwrap();
        assert!(update.id == "bob" && matches!(update.news, News::Invalidated));
        assert!(updates.recv().await.is_none());
    }
}
