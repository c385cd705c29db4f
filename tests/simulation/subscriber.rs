//! A subscriber: the client's own rule over a connection that loses, doubles, delays and breaks.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
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
    evidence::Page,
    users::{Problem, User},
    weather::Fault,
    world::World,
};

/// AppSync's way to one subscriber.
#[derive(Clone)]
pub struct Line {
    news: mpsc::UnboundedSender<News>,
    connection: Arc<Mutex<Connection>>,
    /// Told when it is known where the conversation stands.
    standing: Arc<Notify>,
}

enum News {
    Update { connection: u32, update: Box<Value> },
    Expected { turn_id: String },
    Reconnect,
}

struct Connection {
    number: u32,
    /// AppSync delivers from this moment on, which may be a while after it said so.
    listening_from: Option<Instant>,
    /// When what was sent last arrives: what follows does not overtake it.
    arrival: Instant,
}

pub type Pages = Arc<Mutex<BTreeMap<String, Page>>>;

pub struct Subscriber {
    number: u64,
    world: Arc<World>,
    user: User,
    line: Line,
    news: mpsc::UnboundedReceiver<News>,
    reassembly: ConversationReassembly,
    pages: Pages,
    asked: FuturesUnordered<BoxFuture<'static, Answered>>,
}

enum Answered {
    Events(Result<ConversationEvents, Problem>),
    Turn { turn_id: String, answer: Result<Box<Turn>, Problem> },
}

impl Line {
    /// From now on nothing may be missed.
    pub async fn stands(&self) {
        self.standing.notified().await;
    }

    /// The turn was ordered by this subscriber's user.
    pub fn expect(&self, turn_id: &str) {
        drop(self.news.send(News::Expected { turn_id: turn_id.to_owned() }));
    }

    /// Connects anew, as after a night.
    pub fn reconnect(&self) {
        drop(self.news.send(News::Reconnect));
    }

    pub fn carry(&self, world: &World, update: &Value) {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.listening_from.is_none_or(|from| Instant::now() < from)
            || world.strikes(|weather| weather.lost_updates, Fault::UpdateLost)
        {
            return;
        }
        let soon = Instant::now() + world.dice(|dice| dice.milliseconds(1..30));
        let arrival = match world.strikes(|weather| weather.disordered_updates, Fault::UpdateReordered) {
            true => soon + world.dice(|dice| dice.milliseconds(0..3_000)),
            false => soon.max(connection.arrival),
        };
        connection.arrival = connection.arrival.max(soon);
        self.arrive(connection.number, arrival, update);
        if world.strikes(|weather| weather.disordered_updates, Fault::UpdateDoubled) {
            self.arrive(connection.number, arrival + Duration::from_millis(5), update);
        }
    }

    fn arrive(&self, connection: u32, at: Instant, update: &Value) {
        let (news, update) = (self.news.clone(), Box::new(update.clone()));
        tokio::spawn(async move {
            sleep_until(at).await;
            drop(news.send(News::Update { connection, update }));
        });
    }
}

impl Subscriber {
    /// Listens until the run ends.
    pub fn begin(number: u64, world: &Arc<World>) -> (Line, Pages) {
        let (sender, news) = mpsc::unbounded_channel();
        let connection = Connection { number: 0, listening_from: None, arrival: Instant::now() };
        let connection = Arc::new(Mutex::new(connection));
        let line = Line { news: sender, connection, standing: Arc::default() };
        let pages = Pages::default();
        let mut subscriber = Self {
            number,
            world: Arc::clone(world),
            user: User::new(world),
            line: line.clone(),
            news,
            reassembly: ConversationReassembly::new(),
            pages: Arc::clone(&pages),
            asked: FuturesUnordered::new(),
        };
        world.listen(line.clone());
        tokio::spawn(async move { subscriber.listen().await });
        (line, pages)
    }

    async fn listen(&mut self) {
        self.connect();
        loop {
            self.look();
            self.ask();
            let cut = self.world.strikes(|weather| weather.cuts / 10, Fault::SubscriberCut);
            if cut {
                self.away().await;
                continue;
            }
            select! {
                biased;
                Some(news) = self.news.recv() => self.hear(news),
                Some(answered) = self.asked.next() => self.take(answered),
                () = wake(self.reassembly.wake_at()) => self.reassembly.advance(now()),
            }
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Update { connection, update } if connection == self.connection() => {
                if let Ok(update) = serde_json::from_value::<ConversationUpdate>(*update) {
                    self.reassembly.on_update(&update, now());
                }
            }
            News::Update { .. } => {}
            News::Expected { turn_id } => self.reassembly.expect_turn(&turn_id, now()),
            News::Reconnect => self.connect(),
        }
    }

    /// `start_ack`: AppSync may still lose what is published in the moments after it.
    fn connect(&mut self) {
        let deaf = self.world.strikes(|weather| weather.lost_updates, Fault::UpdateLost);
        let deaf = if deaf { self.world.dice(|dice| dice.milliseconds(0..2_000)) } else { Duration::ZERO };
        {
            let mut connection = self.line.connection.lock().unwrap_or_else(PoisonError::into_inner);
            connection.number += 1;
            connection.listening_from = Some(Instant::now() + deaf);
        }
        self.reassembly.on_subscribed();
    }

    async fn away(&mut self) {
        {
            let mut connection = self.line.connection.lock().unwrap_or_else(PoisonError::into_inner);
            connection.number += 1;
            connection.listening_from = None;
        }
        let long = self.world.strikes(|weather| weather.cuts, Fault::SubscriberAway);
        sleep(self.world.dice(|dice| if long { dice.seconds(30..600) } else { dice.seconds(0..10) })).await;
        self.connect();
    }

    fn connection(&self) -> u32 {
        self.line.connection.lock().unwrap_or_else(PoisonError::into_inner).number
    }

    fn look(&mut self) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(TurnChange { turn_id, change }) = self.reassembly.poll_change() {
            let page = pages.entry(turn_id).or_default();
            match change {
                Change::Appended(text) => page.text.push_str(&text),
                Change::Replaced(text) => page.text = text,
                Change::Reopened => page.ended = None,
                Change::Ended(ending) => page.ended = Some(ending.status),
                Change::Question(_) | Change::Note(_) => {}
            }
        }
    }

    fn ask(&mut self) {
        while let Some(ask) = self.reassembly.poll_fetch() {
            self.world.trace(|| format!("subscriber {} asks {ask:?}", self.number));
            self.asked.push(answer(self.user.clone(), self.world.conversation(), ask).boxed());
        }
    }

    fn take(&mut self, answered: Answered) {
        match answered {
            Answered::Events(Ok(page)) => {
                self.line.standing.notify_one();
                self.reassembly.on_events(&page, now());
            }
            Answered::Turn { answer: Ok(turn), .. } => self.reassembly.on_turn(&turn, now()),
            Answered::Events(Err(_)) => self.reassembly.on_events_failed(now()),
            Answered::Turn { turn_id, answer: Err(_) } => self.reassembly.on_turn_failed(&turn_id, now()),
        }
    }
}

async fn answer(user: User, conversation_id: String, ask: Fetch) -> Answered {
    match ask {
        Fetch::Events { after } => {
            let limit = Some(if after.is_some() { 100 } else { 1 });
            Answered::Events(user.ask(&GetEvents { conversation_id, limit, before: None, after }).await)
        }
        Fetch::Turn { turn_id, query } => {
            let request = GetTurn {
                conversation_id,
                id: turn_id.clone(),
                attempt: query.attempt,
                after_sequence: Some(query.after_sequence),
            };
            Answered::Turn { turn_id, answer: user.ask(&request).await.map(Box::new) }
        }
    }
}

async fn wake(at: Option<std::time::Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
