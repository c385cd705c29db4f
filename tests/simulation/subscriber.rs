//! A subscriber: the client's reassembly over a subscription of the API, whose connection loses, duplicates
//! and reorders updates and breaks.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use client::{
    documents::ON_CONVERSATION_UPDATE,
    reassembly::{Change, ConversationChange, ConversationReassembly, Fetch, TurnChange},
    requests::{GetEvents, GetTurn},
    schema::{ConversationEvents, ConversationUpdate, ToolStatus, Turn},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use local::appsync::InProcessSubscription;
use serde_json::{Value, json};
use tokio::{
    select,
    sync::{Notify, mpsc},
    task::AbortHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    access::{Access, AccessStamp},
    checker::Violation,
    environment::Environment,
    fault_profile::{Fault, Link},
    observations::DisplayedTurn,
    people::Person,
    users::{RequestError, User},
};

/// How long a subscriber waits for its subscription to be acknowledged.
const START_TIMEOUT: Duration = Duration::from_secs(30);

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
    Update {
        connection: u32,
        update: Box<Value>,
    },
    ExpectTurn {
        turn_id: String,
    },
    /// The API has ended the subscription.
    Ended {
        connection: u32,
    },
    Reconnect,
}

/// The API's answer to a subscription's start.
enum Start {
    Accepted(InProcessSubscription),
    /// The subscriber may not read the conversation.
    Refused,
    Failed,
}

struct Connection {
    number: u32,
    /// None while the subscriber is offline.
    receives_from: Option<Instant>,
    /// When the last update in order arrives. Later updates do not arrive before it.
    last_arrival: Instant,
}

pub struct Subscriber {
    number: usize,
    environment: Arc<Environment>,
    user: User,
    handle: SubscriberHandle,
    messages: mpsc::UnboundedReceiver<Message>,
    reassembly: ConversationReassembly,
    display: DisplayedTurns,
    fetches: FuturesUnordered<BoxFuture<'static, FetchResult>>,
    /// Receives the updates of the current subscription.
    receiver: Option<AbortHandle>,
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

    /// Sends an update over a connection, with the connection's faults.
    fn send_update(&self, environment: &Environment, number: u32, update: &Value) {
        let mut connection = self.connection();
        let is_receiving =
            connection.number == number && connection.receives_from.is_some_and(|from| from <= Instant::now());
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
    pub fn start(number: usize, person: Person, environment: &Arc<Environment>) -> (SubscriberHandle, DisplayedTurns) {
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
            user: User::new(environment, person),
            handle: handle.clone(),
            messages,
            reassembly: ConversationReassembly::new(),
            display: Arc::clone(&display),
            fetches: FuturesUnordered::new(),
            receiver: None,
        };
        tokio::spawn(async move { subscriber.run().await });
        (handle, display)
    }

    async fn run(&mut self) {
        self.connect().await;
        loop {
            self.display_changes();
            self.start_fetches();
            if self.environment.should_inject(Fault::SubscriberDisconnected, |profile| profile.disconnects / 10) {
                self.stay_offline().await;
                self.connect().await;
                continue;
            }
            select! {
                biased;
                Some(message) = self.messages.recv() => self.handle_message(message).await,
                Some(result) = self.fetches.next() => self.handle_fetch_result(result),
                () = sleep_until_or_forever(self.reassembly.wake_at()) => self.reassembly.advance(now()),
            }
        }
    }

    async fn handle_message(&mut self, message: Message) {
        match message {
            Message::Update { connection, update } => {
                let is_current = connection == self.handle.connection().number;
                if is_current && let Ok(update) = serde_json::from_value::<ConversationUpdate>(*update) {
                    self.reassembly.on_update(&update, now());
                }
            }
            Message::ExpectTurn { turn_id } => self.reassembly.expect_turn(&turn_id, now()),
            Message::Reconnect => self.connect().await,
            Message::Ended { connection } => {
                if connection == self.handle.connection().number {
                    self.connect().await;
                }
            }
        }
    }

    /// Subscribes, again after a failure. A subscriber that is refused tries again once it is told to
    /// reconnect.
    async fn connect(&mut self) {
        loop {
            self.replace_connection(None);
            let access = self.environment.access_stamp(self.user.person);
            let start = start_subscription(Arc::clone(&self.environment), self.number, self.user.person);
            match start.await {
                Start::Accepted(subscription) => return self.receive_from(subscription, access),
                Start::Refused => self.wait_for_reconnect().await,
                Start::Failed => sleep(self.environment.with_rng(|rng| rng.milliseconds(500..5_000))).await,
            }
        }
    }

    async fn wait_for_reconnect(&mut self) {
        while let Some(message) = self.messages.recv().await {
            if let Message::Reconnect = message {
                return;
            }
        }
    }

    /// AppSync may lose the updates of the first moments after `start_ack`. `access` is the subscriber's when
    /// it began to subscribe.
    fn receive_from(&mut self, subscription: InProcessSubscription, access: AccessStamp) {
        let person = self.user.person;
        self.environment.check_reading(person, access, "a subscription");
        let is_proof = access.access != Access::Unknown && self.environment.access_stamp(person) == access;
        let has_delay = self.environment.should_inject(Fault::UpdateLost, |profile| profile.lost_updates);
        let delay = match has_delay {
            true => self.environment.with_rng(|rng| rng.milliseconds(0..2_000)),
            false => Duration::ZERO,
        };
        let connection = self.replace_connection(Some(Instant::now() + delay));
        let receiver = Receiver {
            environment: Arc::clone(&self.environment),
            person,
            handle: self.handle.clone(),
            connection,
            is_proof,
        };
        self.receiver = Some(tokio::spawn(receiver.run(subscription)).abort_handle());
        self.reassembly.on_subscribed();
    }

    async fn stay_offline(&mut self) {
        self.replace_connection(None);
        let is_long = self.environment.should_inject(Fault::SubscriberOfflineForMinutes, |profile| profile.disconnects);
        let time = self.environment.with_rng(|rng| if is_long { rng.seconds(30..600) } else { rng.seconds(0..10) });
        sleep(time).await;
    }

    /// Returns the number of the new connection.
    fn replace_connection(&mut self, receives_from: Option<Instant>) -> u32 {
        if let Some(receiver) = self.receiver.take() {
            receiver.abort();
        }
        let mut connection = self.handle.connection();
        connection.number += 1;
        connection.receives_from = receives_from;
        connection.number
    }

    fn display_changes(&mut self) {
        let mut turns = self.display.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(change) = self.reassembly.poll_change() {
            let ConversationChange::Turn(TurnChange { turn_id, change }) = change else { continue };
            let turn = turns.entry(turn_id).or_default();
            match change {
                Change::Appended(text) => turn.text.push_str(&text),
                Change::Replaced(text) => turn.text = text,
                Change::Reopened => turn.end = None,
                Change::Ended(end) => turn.end = Some(end.status),
                Change::ToolCalled(call) => {
                    turn.calls.entry(call.id.clone()).or_insert(ToolStatus::Running);
                }
                Change::ToolProgress(call) => drop(turn.calls.insert(call.id, call.status)),
                Change::Waiting(calls) => turn.calls.extend(calls.into_iter().map(|call| (call.id, call.status))),
                Change::ToolResult(result) => drop(turn.calls.insert(result.tool_use_id, result.status)),
                Change::ReasoningAppended { .. } | Change::ReasoningCleared | Change::Reasoned(_) => {}
                Change::Question(_) | Change::Note(_) | Change::Cited(_) => {}
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

async fn start_subscription(environment: Arc<Environment>, number: usize, person: Person) -> Start {
    let variables = json!({ "conversationId": environment.conversation_id() });
    let body = Arc::<str>::from(json!({ "query": ON_CONVERSATION_UPDATE, "variables": variables }).to_string());
    let caller = environment.people.caller(person);
    let api = environment.fixture.api.clone();
    let execute = move || {
        let (api, caller, body) = (api.clone(), caller.clone(), Arc::clone(&body));
        async move { api.subscribe(caller, &body).await }
    };
    let started = timeout(START_TIMEOUT, environment.call(Link::UserToApi, execute)).await;
    let start = match started {
        Ok(Ok(Ok(subscription))) => Start::Accepted(subscription),
        Ok(Ok(Err(errors))) if errors[0]["errorType"] == "NotFound" => Start::Refused,
        Ok(Ok(Err(_)) | Err(_)) | Err(_) => Start::Failed,
    };
    environment.trace(|| format!("subscriber {number} starts: {}", start.name()));
    start
}

impl Start {
    fn name(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Receives the updates of one subscription.
struct Receiver {
    environment: Arc<Environment>,
    person: Person,
    handle: SubscriberHandle,
    connection: u32,
    /// Whether the subscriber's access did not change while it subscribed. The API may have authorized
    /// another subscription before the change and registered it afterwards, so its updates prove nothing.
    is_proof: bool,
}

impl Receiver {
    async fn run(self, mut subscription: InProcessSubscription) {
        while let Some(mut response) = subscription.next_response().await {
            if self.is_proof {
                let access = self.environment.access_stamp(self.person);
                self.environment.check_reading(self.person, access, "an update");
            }
            if !response["errors"].is_null() {
                let violation = Violation::new(3, format!("an update has errors: {}", response["errors"]));
                self.environment.with_recorder(|recorder| recorder.violations.push(violation));
            }
            let mut update = response["data"]["onConversationUpdate"].take();
            if let Some(mutant) = self.environment.mutant {
                mutant.change_update(&self.environment, &mut update);
            }
            self.handle.send_update(&self.environment, self.connection, &update);
        }
        self.handle.send(Message::Ended { connection: self.connection });
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
