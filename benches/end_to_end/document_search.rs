//! Turns whose documents are searched before the model is asked: what the search adds to the time until then,
//! beside its own.
use std::{
    fs,
    time::{Duration, Instant},
};

use axum::{Json, Router, routing::post};
use client::requests::{PutAgent, PutKnowledge};
use local::knowledge_base::{EmbeddingsOptions, JobList, KnowledgeOptions};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::sleep};

use crate::{
    backend::Backend,
    recorder::{RecordedEvent, Recorder},
};

/// Cites as Claude does.
const MODEL: &str = "anthropic.claude-sonnet-5";
/// How long the vector of a text takes, and so every search.
const EMBEDDING_TIME: Duration = Duration::from_millis(200);
/// The turns of one measurement. The best of them counts, because the machine may be busy.
const TURNS: usize = 10;
/// What a search may add beside its own time.
const MAX_ADDED: Duration = Duration::from_millis(5);
const DOCUMENT: &str = "Employees get 25 days of leave in each calendar year.";
const QUESTION: &str = "How many days of leave do employees get in a calendar year?";

/// Returns whether all budgets are kept.
pub async fn measure_all(recorder: &Recorder) -> bool {
    let folder = tempfile::tempdir().expect("a folder is created");
    fs::write(folder.path().join("leave.md"), DOCUMENT).expect("a document is written");
    let embeddings = EmbeddingsOptions { url: Some(serve_embeddings().await.parse().expect("a URL")), model: None };
    let knowledge = KnowledgeOptions { folder: folder.path().into(), embeddings };
    let backend = Backend::start_with_documents(MODEL, knowledge).await;
    let mut jobs = backend.server.knowledge.as_ref().expect("the server has documents").jobs();
    jobs.wait_for(|jobs: &JobList| jobs.last_ended().is_some()).await.expect("the documents are ingested");
    let plain = best_turn(&backend, recorder, None).await;
    let searched = best_turn(&backend, recorder, Some(PutKnowledge::default())).await;
    backend.stop().await;
    let added = searched.until_request - searched.search - plain.until_request;
    println!(
        "documents: model asked {:.1} ms after RUNNING without a search, {:.1} ms after it with one of {:.1} ms: {:.1} ms \
         added; RUNNING is published during the search in {} of {TURNS} turns",
        plain.until_request, searched.until_request, searched.search, added, searched.running_first
    );
    added <= milliseconds(MAX_ADDED) && searched.running_first == TURNS
}

/// The times of a turn, in milliseconds.
struct Turn {
    /// From the first publish until the model's stream is opened. Negative if the stream is opened first.
    until_request: f64,
    search: f64,
    /// In how many turns the first publish was sent before the search ended.
    running_first: usize,
}

impl Turn {
    fn from_events(events: &[RecordedEvent]) -> Self {
        let at = |message: &str| events.iter().find(|event| event.message == message).map(|event| event.at);
        let (running, request) = (at("publish").expect("a publish"), at("model stream opened").expect("a request"));
        let search = at("search received").zip(at("search answered"));
        Self {
            until_request: between(running, request),
            search: search.map_or(0.0, |(start, end)| between(start, end)),
            running_first: usize::from(search.is_some_and(|(_, end)| running < end)),
        }
    }

    fn overhead(&self) -> f64 {
        self.until_request - self.search
    }
}

/// The turn with the least overhead.
async fn best_turn(backend: &Backend, recorder: &Recorder, knowledge: Option<PutKnowledge>) -> Turn {
    let agent = PutAgent { id: "measured".into(), model_id: MODEL.into(), knowledge, ..PutAgent::default() };
    let conversation_id = backend.conversation_with_agent(agent).await;
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        recorder.clear();
        backend.complete_turn_about(&conversation_id, QUESTION).await;
        turns.push(Turn::from_events(&recorder.events()));
    }
    let running_first = turns.iter().map(|turn| turn.running_first).sum();
    let best = turns.into_iter().min_by(|one, other| one.overhead().total_cmp(&other.overhead()));
    Turn { running_first, ..best.expect("a turn was measured") }
}

/// The URL of a server that gives every text the same vector, after a while.
async fn serve_embeddings() -> String {
    let embed = async |Json(request): Json<Value>| {
        sleep(EMBEDDING_TIME).await;
        let count = request["input"].as_array().map_or(0, Vec::len);
        let data = (0..count).map(|index| json!({ "index": index, "embedding": [1.0, 0.5] }));
        Json(json!({ "data": data.collect::<Vec<Value>>() }))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/v1", listener.local_addr().expect("the listener has an address"));
    let router = Router::new().route("/v1/embeddings", post(embed));
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}

fn between(start: Instant, end: Instant) -> f64 {
    milliseconds(end.saturating_duration_since(start)) - milliseconds(start.saturating_duration_since(end))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
