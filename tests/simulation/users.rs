//! What people do in a conversation, by seed, and what they are told of it.
use std::{sync::Arc, time::Duration};

use client::requests::{CreateConversation, Request, SendMessage};
use local::identity::Caller;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{aws::api, dice::Dice, subscriber::Line, weather::Link, world::World};

/// How often a request without an answer is repeated before its user gives up.
const TRIES: u32 = 12;

#[derive(Clone)]
pub struct User {
    world: Arc<World>,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Whether it took effect is not known.
    Lost,
    Refused(String),
}

/// As far as users look at a turn.
#[derive(Debug, Deserialize)]
struct Looked {
    status: String,
}

/// An operation on a turn.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OnTurn {
    #[serde(skip)]
    operation: &'static str,
    conversation_id: String,
    id: String,
}

impl User {
    pub fn new(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world) }
    }

    pub async fn ask<R: Request>(&self, request: &R) -> Result<R::Answer, Problem> {
        let answer = self.post(R::DOCUMENT, R::FIELD, &request.variables()).await?;
        Ok(serde_json::from_value(answer).unwrap_or_else(|error| panic!("{} answers otherwise: {error}", R::FIELD)))
    }

    async fn post(&self, document: &str, field: &str, variables: &Value) -> Result<Value, Problem> {
        let body = json!({ "query": document, "variables": variables }).to_string();
        let answer = api::request(&self.world, Link::UserToApi, Caller::from_api_key(), body).await;
        let mut answer: Value = match answer {
            Ok(answer) => serde_json::from_slice(&answer).expect("AppSync answers JSON"),
            Err(_) => return Err(Problem::Lost),
        };
        match answer["errors"][0]["errorType"].as_str() {
            Some("Code") => panic!("{document} with {variables}: {}", answer["errors"]),
            Some(refused) => Err(Problem::Refused(refused.to_owned())),
            None if answer["errors"].is_array() => Err(Problem::Refused(answer["errors"].to_string())),
            None => Ok(answer["data"][field].take()),
        }
    }

    /// Again and again, until it is answered otherwise than by misfortune.
    async fn insist<T>(&self, what: &str, ask: impl AsyncFn() -> Result<T, Problem>) -> Result<T, Problem> {
        let mut last = Problem::Lost;
        for _ in 0..TRIES {
            let answer = ask().await;
            self.world.trace(|| format!("{what}: {:?}", answer.as_ref().err()));
            match answer {
                Err(problem) if problem.may_pass() => last = problem,
                answer => return answer,
            }
            sleep(self.world.dice(|dice| dice.milliseconds(50..8_000))).await;
        }
        Err(last)
    }

    async fn create(&self) {
        let request = CreateConversation { id: Some(self.world.conversation()), title: None, agent_id: None };
        while self.insist("create", async || self.ask(&request).await).await.is_err() {}
    }

    /// Whether it is known to have been taken.
    async fn send(&self, id: &str, text: &str) -> Result<(), Problem> {
        let request = SendMessage {
            conversation_id: Some(self.world.conversation()),
            id: Some(id.to_owned()),
            text: text.to_owned(),
        };
        let sent = self.insist(&format!("send {id}"), async || self.ask(&request).await).await;
        if sent.is_ok() {
            self.world.note(|record| record.acknowledged.insert(id.to_owned(), text.to_owned()));
        }
        sent.map(drop)
    }

    async fn on_turn(&self, operation: &'static str, id: &str) -> Result<Looked, Problem> {
        let request = OnTurn { operation, conversation_id: self.world.conversation(), id: id.to_owned() };
        let document = format!(
            "{} Op($conversationId: ID!, $id: ID!) {{ {operation}(conversationId: $conversationId, id: $id) \
             {{ status }} }}",
            if request.operation == "getTurn" { "query" } else { "mutation" },
        );
        let variables = json!(request);
        let answer = self
            .insist(&format!("{operation} {id}"), async || self.post(&document, operation, &variables).await)
            .await?;
        serde_json::from_value(answer).map_err(|_| Problem::Refused("null".into()))
    }

    async fn wait_for_the_end(&self, id: &str) {
        for looks in 1..16 {
            if let Ok(turn) = self.on_turn("getTurn", id).await
                && matches!(turn.status.as_str(), "COMPLETED" | "CANCELLED" | "FAILED")
            {
                return;
            }
            sleep(Duration::from_secs(looks * looks)).await;
        }
    }
}

impl Problem {
    fn may_pass(&self) -> bool {
        match self {
            Self::Lost => true,
            Self::Refused(error) => {
                matches!(
                    error.as_str(),
                    "TryAgain" | "ExecutionTimeout" | "InternalFailure" | "Lambda:ServiceException"
                )
            }
        }
    }
}

/// A conversation of a few messages, with everything that people do besides.
pub async fn converse(world: Arc<World>, line: Line) {
    let (user, other) = (User::new(&world), User::new(&world));
    user.create().await;
    line.stands().await;
    for number in 1..=world.dice(|dice| dice.one_of(&[1, 1, 1, 2, 2, 3])) {
        let id = format!("t{number}");
        let text = format!("«question {number}» {}", world.dice(Dice::draw));
        if !begin(&world, &user, &other, &id, &text, &line).await {
            continue;
        }
        meddle(&world, &other, &id, &text, &line).await;
        if world.dice(|dice| dice.percent(85)) {
            user.wait_for_the_end(&id).await;
        }
        again(&world, &user, &other, &id, &line).await;
    }
}

/// Sends a message: alone, twice at once, or against another one.
async fn begin(world: &Arc<World>, user: &User, other: &User, id: &str, text: &str, line: &Line) -> bool {
    let sent = match world.dice(|dice| dice.below(10)) {
        0..2 => {
            let (one, two) = tokio::join!(user.send(id, text), other.send(id, text));
            one.or(two)
        }
        2..4 => {
            let rival = format!("{id}-rival");
            let (one, two) = tokio::join!(user.send(id, text), other.send(&rival, "«rival»"));
            if two.is_ok() {
                line.expect(&rival);
                user.wait_for_the_end(&rival).await;
            }
            match one {
                Err(Problem::Refused(_)) => user.send(id, text).await,
                one => one,
            }
        }
        _ => user.send(id, text).await,
    };
    if sent.is_ok() {
        line.expect(id);
    }
    sent.is_ok()
}

/// While the turn is being answered: a repeated send, the same id for something else, a cancel.
async fn meddle(world: &Arc<World>, other: &User, id: &str, text: &str, line: &Line) {
    let (pause, what) = world.dice(|dice| {
        let pause = if dice.percent(60) { dice.milliseconds(0..1_500) } else { dice.seconds(0..90) };
        (pause, dice.below(10))
    });
    match what {
        0..3 => {
            sleep(pause).await;
            drop(other.on_turn("cancelTurn", id).await);
        }
        3 => {
            sleep(pause).await;
            if other.send(id, text).await.is_ok() {
                line.expect(id);
            }
        }
        4 => {
            sleep(pause).await;
            let sent = other.send(id, "something else").await;
            if sent.is_ok() {
                world.note(|record| record.violations.push(format!("invariant 2: {id} was taken for another text")));
            }
        }
        _ => {}
    }
}

/// After the end: retries and continues, which may be cancelled too.
async fn again(world: &Arc<World>, user: &User, other: &User, id: &str, line: &Line) {
    while world.dice(|dice| dice.percent(30)) {
        let operation = world.dice(|dice| dice.one_of(&["retryTurn", "continueTurn"]));
        let ordered = user.on_turn(operation, id).await;
        line.expect(id);
        if ordered.is_err() {
            return;
        }
        if world.dice(|dice| dice.percent(25)) {
            sleep(world.dice(|dice| dice.milliseconds(0..4_000))).await;
            drop(other.on_turn("cancelTurn", id).await);
        }
        user.wait_for_the_end(id).await;
    }
}
