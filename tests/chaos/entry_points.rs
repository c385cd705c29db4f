//! Turns that are asked over AppSync Events and over the WebSocket API, while processes are killed, events
//! are delivered twice, and messages to clients are lost. After the client rule every client has the stored
//! text.
use std::{collections::BTreeMap, time::Duration};

use client::schema::TurnStatus;
use futures::{StreamExt, future::join_all, stream};
use local::fault_injection::{Fault, FaultPlan};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    answer_parts::Answer,
    entry_clients::{Connection, EventsSocket, host_of, publish},
    fixture::{Fixture, SCENARIO_TIMEOUT, SECOND_RETRY_AFTER_LEASE, Turn, deltas, reserve_machine},
    random_faults::number_of_runs,
    reader::DisplayedTurn,
};

const MODEL: &str = "parlance.deltas-40-20";
const DELTAS: usize = 40;
/// For each entry point.
const DEFAULT_RUNS: usize = 6;
/// In this many runs every fault is injected at least once.
const RUNS_WITH_EVERY_FAULT: usize = 200;
/// Turns that share a server and its seed.
const TURNS_PER_SERVER: usize = 20;
const CONCURRENT_SERVERS: usize = 3;
/// Without a message for this long, a client asks for the turn.
const SILENCE: Duration = Duration::from_secs(2);
const CHANNEL_OF_QUESTIONS: &str = "/chat/request/api-key/0123456789abcdef";
const CHANNEL_OF_ANSWERS: &str = "/chat/responses/api-key/0123456789abcdef";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryPoint {
    Events,
    WebSocket,
}

fn fault_profile(seed: u64, entry_point: EntryPoint) -> FaultPlan {
    let of_entry_point = match entry_point {
        EntryPoint::Events => vec![(Fault::EventsLost, 0.1), (Fault::EventsLate, 0.1), (Fault::EventsFailed, 0.02)],
        EntryPoint::WebSocket => vec![(Fault::ConnectionsGone, 0.05)],
    };
    let mut rates = BTreeMap::from([
        (Fault::TableConflict, 0.01),
        (Fault::TableThrottled, 0.01),
        (Fault::PublishRefused, 0.02),
        (Fault::PublishUnconfirmed, 0.02),
        (Fault::EventTwice, 0.1),
        (Fault::EventAgain, 0.1),
        (Fault::ProcessKilled, 0.1),
    ]);
    rates.extend(of_entry_point);
    FaultPlan { seed, rates, ..FaultPlan::default() }
}

/// A client of an entry point with the API key.
enum Client {
    Events { url: String, headers: Value, socket: EventsSocket },
    WebSocket { url: String, connection: Connection },
}

impl Client {
    async fn connect(fixture: &Fixture, entry_point: EntryPoint) -> Self {
        let endpoint = &fixture.server.endpoint;
        match entry_point {
            EntryPoint::Events => {
                let url = endpoint.events_url.clone().expect("the stack has an Events API");
                let host = host_of(&url);
                let headers = json!({ "host": host, "x-api-key": endpoint.events_api_key });
                let socket = EventsSocket::subscribe(&url, &headers, CHANNEL_OF_ANSWERS).await;
                Self::Events { socket: socket.expect("the subscription is accepted"), url, headers }
            }
            EntryPoint::WebSocket => {
                let url = endpoint.websocket_url.as_ref().expect("the stack has a WebSocket API");
                let url = format!("{url}?apiKey={}", endpoint.api_key.as_ref().expect("the API has a key"));
                let connection = open_connection(&url).await;
                Self::WebSocket { connection, url }
            }
        }
    }

    /// Sends a message, which may be lost.
    async fn send(&mut self, message: &Value) {
        match self {
            Self::Events { url, headers, .. } => drop(publish(url, headers, CHANNEL_OF_QUESTIONS, message).await),
            Self::WebSocket { connection, .. } => connection.send(&message.to_string()).await,
        }
    }

    /// The next message; `None` after silence. A connection that has ended is opened again.
    async fn next(&mut self) -> Option<Value> {
        match self {
            Self::Events { socket, .. } => timeout(SILENCE, socket.next()).await.ok(),
            Self::WebSocket { url, connection } => {
                let next = timeout(SILENCE, connection.next()).await.ok()?;
                if next.is_none() {
                    *connection = open_connection(url).await;
                }
                next
            }
        }
    }
}

/// Connects until the authorizer and the gateway, whose processes may be killed, have let the client in.
async fn open_connection(url: &str) -> Connection {
    let connect = async {
        loop {
            match Connection::open(url, &[]).await {
                Ok((connection, _)) => return connection,
                Err(status) => assert!(status >= 500, "the connection is refused with {status}"),
            }
        }
    };
    timeout(SCENARIO_TIMEOUT, connect).await.expect("the connection is accepted in time")
}

/// Asks a question and applies the client rule until the turn has ended. Returns what the client displays.
async fn ask(fixture: &Fixture, entry_point: EntryPoint, turn: &Turn) -> DisplayedTurn {
    let mut client = Client::connect(fixture, entry_point).await;
    let question = json!({
        "action": "send",
        "id": turn.id,
        "conversationId": turn.conversation_id,
        "text": turn.question,
        "stream": true,
    });
    let history = json!({
        "action": "history",
        "id": format!("history-{}", turn.id),
        "conversationId": turn.conversation_id,
        "turnId": turn.id,
    });
    let mut answer = Answer::default();
    client.send(&question).await;
    loop {
        let Some(message) = client.next().await else {
            // The question may have been lost, or all that came after it. A message is idempotent.
            client.send(&question).await;
            client.send(&history).await;
            continue;
        };
        let is_about_this_turn = message["turnId"] == turn.id.as_str() || message["turn"]["id"] == turn.id.as_str();
        match message["type"].as_str() {
            // Without a stored text the answer has a sentence that says so.
            Some("answer") if is_about_this_turn && message["status"] != "COMPLETED" => client.send(&history).await,
            Some("answer") if is_about_this_turn => {
                // A part may be missing; the history has the whole text.
                let is_next_part = message["part"].as_u64().unwrap_or(1) == answer.next_part();
                if let Some(text) = is_next_part.then(|| answer.add(&message)).flatten() {
                    return displayed(turn, text, &message["status"]);
                }
            }
            Some("turn") if is_about_this_turn && has_ended(&message["turn"]) => {
                return displayed(turn, text_of(&message["turn"]), &message["turn"]["status"]);
            }
            _ => {}
        }
    }
}

fn has_ended(turn: &Value) -> bool {
    let is_final = ["COMPLETED", "CANCELLED", "FAILED"].iter().any(|status| turn["status"] == *status);
    let events = turn["answer"].as_array().map_or(&[][..], Vec::as_slice);
    is_final && events.last().is_some_and(|event| !event["stopReason"].is_null() || !event["failure"].is_null())
}

fn text_of(turn: &Value) -> String {
    let events = turn["answer"].as_array().expect("an ended turn has an answer");
    events.iter().filter_map(|event| event["text"].as_str()).collect()
}

fn displayed(turn: &Turn, text: String, status: &Value) -> DisplayedTurn {
    let status: TurnStatus = serde_json::from_value(status.clone()).expect("the status is one of the schema");
    DisplayedTurn { question: Some(turn.question.clone()), text, status, calls: BTreeMap::new() }
}

/// Plays turns on one server. Returns how often each fault was injected.
async fn run(seed: u64, entry_point: EntryPoint, turn_count: usize) -> BTreeMap<Fault, u64> {
    let parameters = [("EventsApi", "true"), ("WebSocketApi", "true")];
    let plan = fault_profile(seed, entry_point);
    let fixture = Fixture::start_with(plan, SECOND_RETRY_AFTER_LEASE, &parameters, Vec::new()).await;
    let turns = fixture.create_turns(MODEL, turn_count).await;
    let answers = turns.iter().map(|turn| timeout(SCENARIO_TIMEOUT, ask(&fixture, entry_point, turn)));
    let displayed = join_all(answers).await;
    fixture.server.lambda.wait_for_events().await;
    for (turn, displayed) in turns.iter().zip(displayed) {
        let displayed = displayed.unwrap_or_else(|_| panic!("{}: no answer in time", turn.conversation_id));
        fixture.check(turn, &deltas(DELTAS), &[displayed]).await;
    }
    let counts = fixture.server.faults.injected_counts();
    fixture.server.stop().await;
    counts
}

async fn run_all(entry_point: EntryPoint) {
    let _shares = reserve_machine(1).await;
    let runs = number_of_runs(DEFAULT_RUNS);
    let servers = (0..runs.div_ceil(TURNS_PER_SERVER))
        .map(|server| run(server as u64, entry_point, TURNS_PER_SERVER.min(runs - server * TURNS_PER_SERVER)));
    let counts: Vec<BTreeMap<Fault, u64>> = stream::iter(servers).buffer_unordered(CONCURRENT_SERVERS).collect().await;
    println!("{runs} turns over {entry_point:?}; faults injected:");
    for fault in fault_profile(0, entry_point).rates.into_keys() {
        let count: u64 = counts.iter().filter_map(|counts| counts.get(&fault)).sum();
        println!("{fault:20}{count:>6}");
        assert!(count > 0 || runs < RUNS_WITH_EVERY_FAULT, "{fault} was never injected");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_over_events_have_one_answer_despite_faults() {
    run_all(EntryPoint::Events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_over_websockets_have_one_answer_despite_faults() {
    run_all(EntryPoint::WebSocket).await;
}
