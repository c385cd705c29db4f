//! The first text and the messages of an answer over each entry point; and the publishes of an answer whose
//! messages to another entry point hang.
use std::time::{Duration, Instant};

use client::realtime::Signal;
use futures::StreamExt;
use serde_json::{Value, json};

use crate::{
    answer_delivery::{Measurement, Units},
    backend::Backend,
    entry_clients::{Connection, EventsSocket, host_of, publish},
    recorder::Recorder,
};

const MODEL: &str = "parlance.deltas-300-15";
/// The first one starts processes, and is not counted.
const ROUNDS: usize = 6;
/// What the gateway may add to the first text over GraphQL: a function, and one more request.
const MAX_ADDED_DELAY: Duration = Duration::from_millis(150);
/// The handler gives up such a message after 3 seconds.
const HANGING: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryPoint {
    GraphQL,
    Events,
    WebSocket,
}

/// A streamed answer, as its client sees it.
struct StreamedAnswer {
    first_text: Duration,
    messages: usize,
    bytes: usize,
}

/// Returns whether all budgets are kept.
pub async fn measure_all(recorder: &Recorder) -> bool {
    let mut in_budget = true;
    let mut graphql = Duration::MAX;
    for entry_point in [EntryPoint::GraphQL, EntryPoint::Events, EntryPoint::WebSocket] {
        let answer = measure(entry_point).await;
        let first_text = answer.first_text;
        if entry_point == EntryPoint::GraphQL {
            graphql = first_text;
        }
        let added = first_text.saturating_sub(graphql);
        println!(
            "{entry_point:?}: first text after {:.1} ms, {:.1} ms more than over GraphQL; {} messages with {} bytes for 300 deltas",
            first_text.as_secs_f64() * 1_000.0,
            added.as_secs_f64() * 1_000.0,
            answer.messages,
            answer.bytes,
        );
        in_budget &= added <= MAX_ADDED_DELAY;
    }
    in_budget & measure_with_hanging_replies(recorder).await
}

/// The median of some answers.
async fn measure(entry_point: EntryPoint) -> StreamedAnswer {
    let backend = Backend::start_with_entry_points(Duration::ZERO).await;
    let conversation_id = backend.conversation_with(MODEL).await;
    let mut answers = Vec::new();
    for _ in 0..ROUNDS {
        answers.push(match entry_point {
            EntryPoint::GraphQL => ask_over_graphql(&backend, &conversation_id).await,
            EntryPoint::Events => ask_over_events(&backend, &conversation_id).await,
            EntryPoint::WebSocket => ask_over_websocket(&backend, &conversation_id).await,
        });
    }
    backend.stop().await;
    answers.remove(0);
    answers.sort_by_key(|answer| answer.first_text);
    answers.swap_remove(answers.len() / 2)
}

fn question(conversation_id: &str) -> Value {
    json!({ "action": "send", "conversationId": conversation_id, "text": "Count.", "stream": true })
}

async fn ask_over_graphql(backend: &Backend, conversation_id: &str) -> StreamedAnswer {
    let mut updates = backend.subscribe(conversation_id).await;
    let mut counter = Counter::start();
    backend.send(conversation_id, "Count.").await;
    while let Some(Signal::Data(data)) = updates.next().await {
        let update = &data["onConversationUpdate"];
        if counter.add(update, update["metadata"]["status"] == "COMPLETED") {
            break;
        }
    }
    counter.finish()
}

async fn ask_over_events(backend: &Backend, conversation_id: &str) -> StreamedAnswer {
    let endpoint = &backend.server.endpoint;
    let url = endpoint.events_url.as_deref().expect("the stack has an Events API");
    let host = host_of(url);
    let headers = json!({ "host": host, "x-api-key": endpoint.events_api_key });
    let mut socket = EventsSocket::subscribe(url, &headers, "/chat/responses/api-key/0123456789abcdef")
        .await
        .expect("it is accepted");
    let mut counter = Counter::start();
    publish(url, &headers, "/chat/request/api-key/0123456789abcdef", &question(conversation_id)).await;
    loop {
        let message = socket.next().await;
        if counter.add(&message, message["type"] == "answer") {
            return counter.finish();
        }
    }
}

async fn ask_over_websocket(backend: &Backend, conversation_id: &str) -> StreamedAnswer {
    let endpoint = &backend.server.endpoint;
    let url = endpoint.websocket_url.as_deref().expect("the stack has a WebSocket API");
    let url = format!("{url}?apiKey={}", endpoint.api_key.as_deref().expect("the API has a key"));
    let (mut connection, _) = Connection::open(&url, &[]).await.expect("the connection is accepted");
    let mut counter = Counter::start();
    connection.send(&question(conversation_id).to_string()).await;
    loop {
        let message = connection.next().await.expect("the connection is open");
        if counter.add(&message, message["type"] == "answer") {
            return counter.finish();
        }
    }
}

struct Counter {
    sent_at: Instant,
    first_text: Option<Duration>,
    messages: usize,
    bytes: usize,
}

impl Counter {
    fn start() -> Self {
        Self { sent_at: Instant::now(), first_text: None, messages: 0, bytes: 0 }
    }

    /// Counts a message. Returns whether it is the last one.
    fn add(&mut self, message: &Value, is_last: bool) -> bool {
        if self.first_text.is_none() && message["metadata"]["agentPartialMessage"].is_string() {
            self.first_text = Some(self.sent_at.elapsed());
        }
        self.messages += 1;
        self.bytes += message.to_string().len();
        is_last
    }

    fn finish(self) -> StreamedAnswer {
        let first_text = self.first_text.expect("the answer was streamed");
        StreamedAnswer { first_text, messages: self.messages, bytes: self.bytes }
    }
}

/// An answer to a client of the Events API that gets nothing: subscribers get theirs as always.
async fn measure_with_hanging_replies(recorder: &Recorder) -> bool {
    let backend = Backend::start_with_entry_points(HANGING).await;
    let conversation_id = backend.conversation_with(MODEL).await;
    let endpoint = &backend.server.endpoint;
    let url = endpoint.events_url.as_deref().expect("the stack has an Events API");
    let headers = json!({ "x-api-key": endpoint.events_api_key });
    let message = question(&conversation_id);
    recorder.clear();
    let before = Units::consumed(&backend);
    let send = async { drop(publish(url, &headers, "/chat/request/api-key/0123456789abcdef", &message).await) };
    let batch_sizes = backend.follow_turn(&conversation_id, send).await;
    let units = Units::consumed(&backend).since(&before);
    let measurement = Measurement::new(&recorder.events(), &batch_sizes, units);
    println!("   300   15 ms  replies hang {measurement}");
    backend.stop().await;
    measurement.is_in_budget(Duration::ZERO)
}
