//! Who is subscribed to what, and the way of a payload to each of them.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::mpsc;

use crate::fault_injection::{Fault, FaultInjector, UpdatePosition};
use crate::graphql::{
    subscriptions::filter::Filter,
    subscriptions::index::{Pin, Register},
};

/// How many updates may wait for a connection that does not keep up.
const WAITING_UPDATES: usize = 1_000;

/// All subscriptions of one API, each with what its connection knows of it. Clones share them.
pub struct Hub<S> {
    seats: Arc<Mutex<Seats<S>>>,
    faults: FaultInjector,
}

struct Seats<S> {
    next: u64,
    taken: HashMap<u64, Taken<S>>,
    /// How many subscriptions there ever were.
    subscribed: u64,
    /// Counted from 1 in the order of subscribing.
    subscribers: HashMap<u64, Subscriber<S>>,
    register: Register,
}

struct Taken<S> {
    outbox: mpsc::Sender<Update<S>>,
    /// Its subscribers, by the id the client chose.
    numbers: HashMap<Arc<str>, u64>,
}

struct Subscriber<S> {
    registration: Registration<S>,
    pin: Option<Pin>,
    seat: u64,
    id: Arc<str>,
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
    pub id: Arc<str>,
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
    /// Without updates, and as unkind to its subscribers as the faults want it.
    pub fn new(faults: FaultInjector) -> Self {
        let seats = Seats {
            next: 0,
            taken: HashMap::new(),
            subscribed: 0,
            subscribers: HashMap::new(),
            register: Register::default(),
        };
        Self { seats: Arc::new(Mutex::new(seats)), faults }
    }

    /// The updates end when the connection has fallen too far behind.
    pub fn join(&self) -> (Seat<S>, mpsc::Receiver<Update<S>>) {
        let (outbox, updates) = mpsc::channel(WAITING_UPDATES);
        let mut seats = self.seats();
        let number = seats.next;
        seats.next += 1;
        seats.taken.insert(number, Taken { outbox, numbers: HashMap::new() });
        (Seat { hub: self.clone(), number }, updates)
    }

    /// Hands a payload to every subscription of the field whose filter it passes, in the order of publication.
    pub fn publish(&self, field: &str, payload: &Arc<Value>) {
        let mut seats = self.seats();
        let concerned = seats.register.concerned(field, payload);
        seats.tell(concerned, &self.faults, |registration| {
            registration.filter.matches(payload).then(|| News::Payload(payload.clone()))
        });
    }

    /// Ends the subscriptions of the field whose invalidation filter the payload passes.
    pub fn invalidate(&self, field: &str, payload: &Value) {
        let mut seats = self.seats();
        let all = seats.register.all(field);
        seats.tell(all, &self.faults, |registration| {
            let filter = registration.invalidation.as_ref();
            filter.is_some_and(|filter| filter.matches(payload)).then_some(News::Invalidated)
        });
    }

    fn seats(&self) -> MutexGuard<'_, Seats<S>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Seats<S> {
    fn tell(
        &mut self,
        numbers: impl IntoIterator<Item = u64>,
        faults: &FaultInjector,
        news: impl Fn(&Registration<S>) -> Option<News>,
    ) {
        for number in numbers {
            let Some(subscriber) = self.subscribers.get_mut(&number) else { continue };
            let Some(news) = news(&subscriber.registration) else { continue };
            let is_told = match subscriber.fate(number, faults, &news) {
                Fate::Missed => continue,
                Fate::Cut => false,
                Fate::Told => {
                    let outbox = self.taken.get(&subscriber.seat).map(|taken| &taken.outbox);
                    outbox.is_some_and(|outbox| outbox.try_send(subscriber.update(news)).is_ok())
                }
            };
            if !is_told {
                let seat = subscriber.seat;
                tracing::warn!(connection = seat, "a WebSocket client does not keep up: its connection is closed");
                self.give_up(seat);
            }
        }
    }

    fn enter(&mut self, seat: u64, id: &str, registration: Registration<S>) {
        self.strike(seat, id);
        let Some(taken) = self.taken.get_mut(&seat) else { return };
        self.subscribed += 1;
        let (number, id, pin) = (self.subscribed, Arc::<str>::from(id), registration.filter.pin());
        taken.numbers.insert(id.clone(), number);
        self.register.enter(&registration.field, pin.clone(), number);
        self.subscribers.insert(number, Subscriber { registration, pin, seat, id, updates: 0 });
    }

    fn strike(&mut self, seat: u64, id: &str) {
        let number = self.taken.get_mut(&seat).and_then(|taken| taken.numbers.remove(id));
        number.into_iter().for_each(|number| self.forget(number));
    }

    fn give_up(&mut self, seat: u64) {
        let taken = self.taken.remove(&seat);
        taken.into_iter().flat_map(|taken| taken.numbers.into_values()).for_each(|number| self.forget(number));
    }

    fn forget(&mut self, number: u64) {
        if let Some(Subscriber { registration, pin, .. }) = self.subscribers.remove(&number) {
            self.register.strike(&registration.field, pin.as_ref(), number);
        }
    }
}

impl<S> Seat<S> {
    pub fn subscribe(&self, id: &str, registration: Registration<S>) {
        self.hub.seats().enter(self.number, id, registration);
    }

    pub fn unsubscribe(&self, id: &str) {
        self.hub.seats().strike(self.number, id);
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
    fn update(&self, news: News) -> Update<S> {
        Update { id: self.id.clone(), subscription: self.registration.subscription.clone(), news }
    }

    fn fate(&mut self, number: u64, faults: &FaultInjector, news: &News) -> Fate {
        let News::Payload(payload) = news else { return Fate::Told };
        self.updates += 1;
        let is_last = ends_a_turn(payload);
        let boundaries = &[UpdatePosition::Nth(self.updates), UpdatePosition::Last][..if is_last { 2 } else { 1 }];
        let befalls = |fault| faults.should_inject_at_update(fault, number, boundaries);
        if befalls(Fault::SubscriberCut) {
            return Fate::Cut;
        }
        let is_missed = befalls(Fault::UpdateLost) || is_last && befalls(Fault::LastUpdateLost);
        if is_missed { Fate::Missed } else { Fate::Told }
    }
}

fn ends_a_turn(payload: &Value) -> bool {
    let status = payload.pointer("/metadata/status").and_then(Value::as_str);
    status.is_some_and(|status| ["COMPLETED", "CANCELLED", "FAILED"].contains(&status))
}

impl<S> Drop for Seat<S> {
    fn drop(&mut self) {
        self.hub.seats().give_up(self.number);
    }
}

impl<S> Clone for Hub<S> {
    fn clone(&self) -> Self {
        Self { seats: self.seats.clone(), faults: self.faults.clone() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::fault_injection::FaultPlan;

    fn registration(invalidation: Option<Filter>) -> Registration<()> {
        let filter = Filter::of_arguments(Map::new());
        Registration { subscription: Arc::new(()), field: "onUpdate".into(), filter, invalidation }
    }

    fn payload(number: usize) -> Arc<Value> {
        Arc::new(json!({ "number": number }))
    }

    #[tokio::test]
    async fn a_connection_that_does_not_keep_up_hears_what_waited_and_then_the_end() {
        let hub = Hub::new(FaultInjector::default());
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
        let hub = Hub::new(FaultInjector::default());
        let (seat, mut updates) = hub.join();
        let of_user = |user: &str| Filter::of_arguments(Map::from_iter([("user".to_owned(), user.into())]));
        seat.subscribe("ann", registration(Some(of_user("ann"))));
        seat.subscribe("bob", registration(Some(of_user("bob"))));
        seat.subscribe("never", registration(None));
        hub.invalidate("onUpdate", &json!({ "user": "bob" }));
        drop(seat);
        let update = updates.recv().await.unwrap();
        assert!(&*update.id == "bob" && matches!(update.news, News::Invalidated));
        assert!(updates.recv().await.is_none());
    }

    #[tokio::test]
    async fn what_ended_leaves_nothing_behind() {
        let hub = Hub::new(FaultInjector::default());
        let (ann, _anns) = hub.join();
        let (bob, _bobs) = hub.join();
        for (seat, id) in [(&ann, "1"), (&ann, "2"), (&ann, "2"), (&bob, "1")] {
            seat.subscribe(id, registration(None));
        }
        ann.unsubscribe("1");
        drop(bob);
        assert_eq!(hub.seats().register.all("onUpdate"), [3].into(), "under an id again: anew");
        drop(ann);
        let seats = hub.seats();
        assert!(seats.taken.is_empty() && seats.subscribers.is_empty() && seats.register.all("onUpdate").is_empty());
    }

    fn hub_with_faults(fault: Fault, subscriber: u64, boundary: UpdatePosition) -> Hub<()> {
        let on_updates = [(fault, subscriber, boundary)].into();
        Hub::new(FaultInjector::new(&FaultPlan { on_updates, ..FaultPlan::default() }))
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
        let hub = hub_with_faults(Fault::UpdateLost, 2, UpdatePosition::Nth(1));
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
        let hub = hub_with_faults(Fault::SubscriberCut, 1, UpdatePosition::Nth(2));
        let (seat, mut updates) = hub.join();
        seat.subscribe("a", registration(None));
        (1..=3).for_each(|number| hub.publish("onUpdate", &payload(number)));
        assert_eq!(heard(&mut updates).await, Some(json!({ "number": 1 })));
        assert_eq!(heard(&mut updates).await, None, "it ended");
    }

    #[tokio::test]
    async fn a_connection_is_cut_instead_of_the_last_update_of_a_turn() {
        let hub = hub_with_faults(Fault::SubscriberCut, 1, UpdatePosition::Last);
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
        let hub = Hub::new(FaultInjector::new(&FaultPlan {
            rates: [(Fault::LastUpdateLost, 1.0)].into(),
            ..FaultPlan::default()
        }));
        let (seat, mut updates) = hub.join();
        seat.subscribe("a", registration(None));
        for status in ["RUNNING", "COMPLETED", "RUNNING"] {
            hub.publish("onUpdate", &turn(status));
        }
        assert_eq!(heard(&mut updates).await, Some(Value::clone(&turn("RUNNING"))));
        assert_eq!(heard(&mut updates).await, Some(Value::clone(&turn("RUNNING"))));
    }
}
