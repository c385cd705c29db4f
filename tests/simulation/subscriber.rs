//! A subscriber: the client's reassembly over a simulated connection, which loses, duplicates and reorders
//! updates and breaks.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use client::{
    reassembly::{Change, ConversationReassembly, Fetch, TurnChange},
    requests::{GetEvents, GetTurn},
    schema::{ConversationEvents, ConversationUpdate, Turn},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde_json::Value;
use tokio::{
    select,
    sync::{Notify, mpsc},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    environment::Environment,
    fault_profile::Fault,
    observations::DisplayedTurn,
    users::{RequestError, User},
};

/// What a subscriber displays, by turn.
pub type DisplayedTurns = Arc<Mutex<BTreeMap<String, DisplayedTurn>>>;

/// Sends updates and commands to a subscriber.
#[derive(Clone)]
pub struct SubscriberHandle {
    messages: mpsc::UnboundedSender<Message>,
    connection: Arc<Mutex<Connection>>,
    synchronized: Arc<Notify>,
}

enum Message {
    Update { connection: u32, update: Box<Value> },
    ExpectTurn { turn_id: String },
    Reconnect,
}

struct Connection {
    number: u32,
    /// None while the subscriber is offline.
    receives_from: Option<Instant>,
    /// When the last update in order arrives. Later updates do not arrive before it.
    last_arrival: Instant,
}

pub struct Subscriber {
    number: u64,
    environment: Arc<Environment>,
    user: User,
    handle: SubscriberHandle,
    messages: mpsc::UnboundedReceiver<Message>,
    reassembly: ConversationReassembly,
    display: DisplayedTurns,
    fetches: FuturesUnordered<BoxFuture<'static, FetchResult>>,
}

enum FetchResult {
    Events(Result<ConversationEvents, RequestError>),
    Turn { turn_id: String, result: Result<Box<Turn>, RequestError> },
}

impl SubscriberHandle {
    /// Returns once the subscriber knows the conversation's last position: from then on it may not miss an
    /// event.
    pub async fn wait_until_synchronized(&self) {
        self.synchronized.notified().await;
    }

    /// Tells the subscriber that its user has sent, retried or continued a turn.
    pub fn expect_turn(&self, turn_id: &str) {
        self.send(Message::ExpectTurn { turn_id: turn_id.to_owned() });
    }

    /// Replaces the connection by a new one.
    pub fn reconnect(&self) {
        self.send(Message::Reconnect);
    }

    /// Sends an update over the current connection, with the connection's faults.
    pub fn send_update(&self, environment: &Environment, update: &Value) {
        let mut connection = self.connection();
        let is_receiving = connection.receives_from.is_some_and(|from| from <= Instant::now());
        if !is_receiving || environment.should_inject(Fault::UpdateLost, |profile| profile.lost_updates) {
            return;
        }
        let earliest_arrival = Instant::now() + environment.with_rng(|rng| rng.milliseconds(1..30));
        let is_reordered = environment.should_inject(Fault::UpdateReordered, |profile| profile.disordered_updates);
        let arrival = match is_reordered {
            true => earliest_arrival + environment.with_rng(|rng| rng.milliseconds(0..3_000)),
            false => earliest_arrival.max(connection.last_arrival),
        };
        connection.last_arrival = connection.last_arrival.max(earliest_arrival);
        self.deliver_at(arrival, connection.number, update);
        if environment.should_inject(Fault::UpdateDuplicated, |profile| profile.disordered_updates) {
            self.deliver_at(arrival + Duration::from_millis(5), connection.number, update);
        }
    }

    fn deliver_at(&self, time: Instant, connection: u32, update: &Value) {
        let (handle, update) = (self.clone(), Box::new(update.clone()));
        tokio::spawn(async move {
            sleep_until(time).await;
            handle.send(Message::Update { connection, update });
        });
    }

    fn send(&self, message: Message) {
        // The subscriber is gone once the run is over.
        drop(self.messages.send(message));
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    /// Starts a subscriber that stays until the run ends.
    pub fn start(number: u64, environment: &Arc<Environment>) -> (SubscriberHandle, DisplayedTurns) {
        let (sender, messages) = mpsc::unbounded_channel();
        let connection = Connection { number: 0, receives_from: None, last_arrival: Instant::now() };
        let handle = SubscriberHandle {
            messages: sender,
            connection: Arc::new(Mutex::new(connection)),
            synchronized: Arc::default(),
        };
        let display = DisplayedTurns::default();
        let mut subscriber = Self {
            number,
            environment: Arc::clone(environment),
            user: User::new(environment),
            handle: handle.clone(),
            messages,
            reassembly: ConversationReassembly::new(),
            display: Arc::clone(&display),
            fetches: FuturesUnordered::new(),
        };
        environment.add_subscriber(handle.clone());
        tokio::spawn(async move { subscriber.run().await });
        (handle, display)
    }

    async fn run(&mut self) {
        self.connect();
        loop {
            self.display_changes();
            self.start_fetches();
            if self.environment.should_inject(Fault::SubscriberDisconnected, |profile| profile.disconnects / 10) {
                self.stay_offline().await;
                self.connect();
                continue;
            }
            select! {
                biased;
                Some(message) = self.messages.recv() => self.handle_message(message),
                Some(result) = self.fetches.next() => self.handle_fetch_result(result),
                () = sleep_until_or_forever(self.reassembly.wake_at()) => self.reassembly.advance(now()),
            }
        }
    }

    fn handle_message(&mut self, message: Message) {
        match message {
            Message::Update { connection, update } => {
                let is_current = connection == self.handle.connection().number;
                if is_current && let Ok(update) = serde_json::from_value::<ConversationUpdate>(*update) {
                    self.reassembly.on_update(&update, now());
                }
            }
            Message::ExpectTurn { turn_id } => self.reassembly.expect_turn(&turn_id, now()),
            Message::Reconnect => self.connect(),
        }
    }

    /// AppSync may lose the updates of the first moments after `start_ack`.
    fn connect(&mut self) {
        let has_delay = self.environment.should_inject(Fault::UpdateLost, |profile| profile.lost_updates);
        let delay = match has_delay {
            true => self.environment.with_rng(|rng| rng.milliseconds(0..2_000)),
            false => Duration::ZERO,
        };
        self.replace_connection(Some(Instant::now() + delay));
        self.reassembly.on_subscribed();
    }

    async fn stay_offline(&mut self) {
        self.replace_connection(None);
        let is_long = self.environment.should_inject(Fault::SubscriberOfflineForMinutes, |profile| profile.disconnects);
        let time = self.environment.with_rng(|rng| if is_long { rng.seconds(30..600) } else { rng.seconds(0..10) });
        sleep(time).await;
    }

    fn replace_connection(&self, receives_from: Option<Instant>) {
        let mut connection = self.handle.connection();
        connection.number += 1;
        connection.receives_from = receives_from;
    }

    fn display_changes(&mut self) {
        let mut turns = self.display.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(TurnChange { turn_id, change }) = self.reassembly.poll_change() {
            let turn = turns.entry(turn_id).or_default();
            match change {
                Change::Appended(text) => turn.text.push_str(&text),
                Change::Replaced(text) => turn.text = text,
                Change::Reopened => turn.end = None,
                Change::Ended(end) => turn.end = Some(end.status),
                Change::Question(_)
                | Change::Note(_)
                | Change::ToolCalled(_)
                | Change::ToolEnded(_)
                | Change::ToolResult(_) => {}
            }
        }
    }

    fn start_fetches(&mut self) {
        while let Some(fetch) = self.reassembly.poll_fetch() {
            self.environment.trace(|| format!("subscriber {} fetches {fetch:?}", self.number));
            let conversation_id = self.environment.conversation_id();
            self.fetches.push(execute_fetch(self.user.clone(), conversation_id, fetch).boxed());
        }
    }

    fn handle_fetch_result(&mut self, result: FetchResult) {
        match result {
            FetchResult::Events(Ok(events)) => {
                self.handle.synchronized.notify_one();
                self.reassembly.on_events(&events, now());
            }
            FetchResult::Events(Err(_)) => self.reassembly.on_events_failed(now()),
            FetchResult::Turn { result: Ok(turn), .. } => self.reassembly.on_turn(&turn, now()),
            FetchResult::Turn { turn_id, result: Err(_) } => self.reassembly.on_turn_failed(&turn_id, now()),
        }
    }
}

async fn execute_fetch(user: User, conversation_id: String, fetch: Fetch) -> FetchResult {
    match fetch {
        Fetch::Events { after } => {
            let limit = Some(if after.is_some() { 100 } else { 1 });
            FetchResult::Events(user.call(&GetEvents { conversation_id, limit, before: None, after }).await)
        }
        Fetch::Turn { turn_id, query } => {
            let request = GetTurn {
                conversation_id,
                id: turn_id.clone(),
                attempt: query.attempt,
                after_sequence: Some(query.after_sequence),
            };
            FetchResult::Turn { turn_id, result: user.call(&request).await.map(Box::new) }
        }
    }
}

async fn sleep_until_or_forever(time: Option<std::time::Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
