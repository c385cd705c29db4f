//! Who is subscribed to what, and the way of a payload to each of them.
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::mpsc;

use super::filter::Filter;
use crate::unkind::{Boundary, Fates, Mishap};

/// How many updates may wait for a connection that does not keep up.
const WAITING_UPDATES: usize = 1_000;

/// All subscriptions of one API, each with what its connection knows of it. Clones share them.
pub struct Hub<S> {
    seats: Arc<Mutex<Seats<S>>>,
    fates: Fates,
}

struct Seats<S> {
    next: u64,
    taken: BTreeMap<u64, Taken<S>>,
    /// How many subscriptions there ever were.
    subscribed: u64,
}

struct Taken<S> {
    outbox: mpsc::Sender<Update<S>>,
    /// By the id the client chose.
    registrations: HashMap<String, Subscriber<S>>,
}

struct Subscriber<S> {
    registration: Registration<S>,
    /// Counted from 1 in the order of subscribing.
    number: u64,
    /// How many updates were for it.
    updates: u64,
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
    /// Without updates, and as unkind to its subscribers as the fates want it.
    pub fn new(fates: Fates) -> Self {
        let seats = Seats { next: 0, taken: BTreeMap::new(), subscribed: 0 };
        Self { seats: Arc::new(Mutex::new(seats)), fates }
    }

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
        self.seats().taken.retain(|number, Taken { outbox, registrations }| {
            let stays = registrations.iter_mut().all(|(id, subscriber)| {
                let Some(news) = news(&subscriber.registration) else { return true };
                match subscriber.fate(&self.fates, &news) {
                    Fate::Told => {}
                    Fate::Missed => return true,
                    Fate::Cut => return false,
                }
                let subscription = subscriber.registration.subscription.clone();
                outbox.try_send(Update { id: id.clone(), subscription, news }).is_ok()
            });
            if !stays {
                tracing::warn!(connection = number, "a WebSocket client does not keep up: its connection is closed");
            }
            stays
        });
    }

    fn seats(&self) -> MutexGuard<'_, Seats<S>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Seat<S> {
    pub fn subscribe(&self, id: &str, registration: Registration<S>) {
        let mut seats = self.hub.seats();
        seats.subscribed += 1;
        let subscriber = Subscriber { registration, number: seats.subscribed, updates: 0 };
        if let Some(taken) = seats.taken.get_mut(&self.number) {
            taken.registrations.insert(id.to_owned(), subscriber);
        }
    }

    pub fn unsubscribe(&self, id: &str) {
        if let Some(taken) = self.hub.seats().taken.get_mut(&self.number) {
            taken.registrations.remove(id);
        }
    }
}

/// What becomes of an update on its way to one subscriber.
enum Fate {
    Told,
    Missed,
    /// The connection ends instead.
    Cut,
}

impl<S> Subscriber<S> {
    fn fate(&mut self, fates: &Fates, news: &News) -> Fate {
        let News::Payload(payload) = news else { return Fate::Told };
        self.updates += 1;
        let is_last = ends_a_turn(payload);
        let boundaries = &[Boundary::Nth(self.updates), Boundary::Last][..if is_last { 2 } else { 1 }];
        let befalls = |mishap| fates.strike_subscriber(mishap, self.number, boundaries).is_some();
        if befalls(Mishap::SubscriberCut) {
            return Fate::Cut;
        }
        let is_missed = befalls(Mishap::UpdateLost) || is_last && befalls(Mishap::LastUpdateLost);
        if is_missed { Fate::Missed } else { Fate::Told }
    }
}

fn ends_a_turn(payload: &Value) -> bool {
    let status = payload.pointer("/metadata/status").and_then(Value::as_str);
    status.is_some_and(|status| ["COMPLETED", "CANCELLED", "FAILED"].contains(&status))
}

impl<S> Drop for Seat<S> {
    fn drop(&mut self) {
        self.hub.seats().taken.remove(&self.number);
    }
}

impl<S> Clone for Hub<S> {
    fn clone(&self) -> Self {
        Self { seats: self.seats.clone(), fates: self.fates.clone() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::unkind::Unkindness;

    fn registration(invalidation: Option<Filter>) -> Registration<()> {
        let filter = Filter::of_arguments(Map::new());
        Registration { subscription: Arc::new(()), field: "onUpdate".into(), filter, invalidation }
    }

    fn payload(number: usize) -> Arc<Value> {
        Arc::new(json!({ "number": number }))
    }

    #[tokio::test]
    async fn a_connection_that_does_not_keep_up_hears_what_waited_and_then_the_end() {
        let hub = Hub::new(Fates::default());
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
        let hub = Hub::new(Fates::default());
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

    fn unkind_hub(mishap: Mishap, subscriber: u64, boundary: Boundary) -> Hub<()> {
        let subscribers = [(mishap, subscriber, boundary)].into();
        Hub::new(Fates::of(&Unkindness { subscribers, ..Unkindness::default() }))
    }

    fn turn(status: &str) -> Arc<Value> {
        Arc::new(json!({ "metadata": { "status": status } }))
    }

    async fn heard(updates: &mut mpsc::Receiver<Update<()>>) -> Option<Value> {
        match updates.recv().await?.news {
            News::Payload(payload) => Some(Value::clone(&payload)),
            News::Invalidated => None,
        }
    }

    #[tokio::test]
    async fn a_lost_update_is_lost_to_one_subscriber_alone() {
        let hub = unkind_hub(Mishap::UpdateLost, 2, Boundary::Nth(1));
        let ((ann, mut anns), (bob, mut bobs)) = (hub.join(), hub.join());
        ann.subscribe("a", registration(None));
        bob.subscribe("b", registration(None));
        hub.publish("onUpdate", &payload(1));
        hub.publish("onUpdate", &payload(2));
        assert_eq!(heard(&mut anns).await, Some(json!({ "number": 1 })));
        assert_eq!(heard(&mut bobs).await, Some(json!({ "number": 2 })));
    }

    #[tokio::test]
    async fn a_connection_is_cut_instead_of_an_update() {
        let hub = unkind_hub(Mishap::SubscriberCut, 1, Boundary::Nth(2));
        let (seat, mut updates) = hub.join();
        seat.subscribe("a", registration(None));
        (1..=3).for_each(|number| hub.publish("onUpdate", &payload(number)));
        assert_eq!(heard(&mut updates).await, Some(json!({ "number": 1 })));
        assert_eq!(heard(&mut updates).await, None, "it ended");
    }

    #[tokio::test]
    async fn a_connection_is_cut_instead_of_the_last_update_of_a_turn() {
        let hub = unkind_hub(Mishap::SubscriberCut, 1, Boundary::Last);
        let (seat, mut updates) = hub.join();
        seat.subscribe("a", registration(None));
        for status in ["RUNNING", "COMPLETED"] {
            hub.publish("onUpdate", &turn(status));
        }
        assert_eq!(heard(&mut updates).await, Some(Value::clone(&turn("RUNNING"))));
        assert_eq!(heard(&mut updates).await, None, "it ended");
    }

    #[tokio::test]
    async fn only_the_last_update_of_a_turn_is_lost() {
        let hub =
            Hub::new(Fates::of(&Unkindness { rates: [(Mishap::LastUpdateLost, 1.0)].into(), ..Unkindness::default() }));
        let (seat, mut updates) = hub.join();
        seat.subscribe("a", registration(None));
        for status in ["RUNNING", "COMPLETED", "RUNNING"] {
            hub.publish("onUpdate", &turn(status));
        }
        assert_eq!(heard(&mut updates).await, Some(Value::clone(&turn("RUNNING"))));
        assert_eq!(heard(&mut updates).await, Some(Value::clone(&turn("RUNNING"))));
    }
}
