//! The whole backend, measured: how often it publishes, how late a delta is published, how much is sent, what the table is charged.
use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use client::{
    AppSync, Credentials,
    credentials::IamKeys,
    documents,
    realtime::{Realtime, session::Signal},
    requests::{CreateConversation, PutAgent, SendMessage},
};
use futures::StreamExt;
use local::{
    laptop::{Laptop, Models, Options},
    unkind::Unkindness,
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

/// Answers to measure: deltas, milliseconds between them, and AppSync's latencies.
const ANSWERS: [(u32, u64, &[u64]); 2] = [(300, 15, &[0, 30, 60, 200]), (1000, 10, &[0, 30, 60, 200])];

/// Budgets for an answer of 300 deltas, 15 ms apart.
const MUTATIONS: usize = 30;
const DELAY_P95: Duration = Duration::from_millis(300);
const TAIL: Duration = Duration::from_millis(20);
const WRITE_UNITS: f64 = 90.0;
/// For answers up to 256 KB.
const RESIDENT_MEGABYTES: f64 = 25.0;

#[tokio::main]
async fn main() -> ExitCode {
    let tape = Tape::default();
    let watched = Targets::new().with_target("local::bedrock", Level::TRACE).with_target("local::unkind", Level::TRACE);
    tracing_subscriber::registry().with(tape.clone().with_filter(watched)).init();
    println!("deltas  every   latency  mutations  bytes up  delay p50     p95      max  metadata->final  write units");
    let mut kept = true;
    for (count, pause, latencies) in ANSWERS {
        for latency in latencies {
            let measured = measure(&tape, count, pause, Duration::from_millis(*latency)).await;
            println!("{count:>6}  {pause:>3} ms  {latency:>4} ms  {measured}");
            kept &= count != 300 || measured.keeps_budgets(Duration::from_millis(*latency));
        }
    }
    kept &= measure_handler(&tape).await;
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A handler's first turn, a turn of a warm one, and the memory it took for 256 KB of answer.
async fn measure_handler(tape: &Tape) -> bool {
    let state = tempfile::tempdir().expect("a folder");
    let laptop = Laptop::start(options(state.path().to_owned(), Duration::ZERO)).await.expect("the backend starts");
    let api = AppSync::new(&laptop.endpoint.url, Credentials::ApiKey(laptop.endpoint.api_key.clone())).expect("an URL");
    let conversation_id = prepare(&laptop, "parlance.deltas-10-1").await;
    for temperature in ["cold", "warm", "warm"] {
        tape.rewind();
        let sent = Instant::now();
        converse(&api, conversation_id.clone()).await;
        let until = |what: &str| {
            let event = tape.events().into_iter().find(|event| event.what == what);
            event.map_or(f64::NAN, |event| (event.at - sent).as_secs_f64() * 1_000.0)
        };
        println!(
            "{temperature}: send to model asked {:.1} ms, to first publish {:.1} ms",
            until("messageStart"),
            until("publish")
        );
    }
    let long = prepare(&laptop, "parlance.deltas-52000-0").await;
    converse(&api, long).await;
    let resident = peak_resident_of_children();
    match resident {
        Some(megabytes) => println!("handler: at most {megabytes:.1} MB resident for answers of 256 KB"),
        None => println!("handler: this system does not tell its memory"),
    }
    laptop.stop().await;
    resident.is_some_and(|megabytes| megabytes < RESIDENT_MEGABYTES)
}

/// In megabytes, of the child with the highest peak; as Linux tells it.
fn peak_resident_of_children() -> Option<f64> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let children: String =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok()).collect();
    let peak = |child: &str| -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1_024.0)
    };
    children.split_whitespace().filter_map(peak).reduce(f64::max)
}

/// One answer on a backend of its own.
async fn measure(tape: &Tape, count: u32, pause: u64, publish_latency: Duration) -> Measured {
    let state = tempfile::tempdir().expect("a folder");
    let laptop = Laptop::start(options(state.path().to_owned(), publish_latency)).await.expect("the backend starts");
    let conversation_id = prepare(&laptop, &format!("parlance.deltas-{count}-{pause}")).await;
    let api = AppSync::new(&laptop.endpoint.url, Credentials::ApiKey(laptop.endpoint.api_key.clone())).expect("an URL");
    tape.rewind();
    let charged = laptop.database.charged();
    let batches = converse(&api, conversation_id).await;
    let measured = Measured::of(&tape.events(), &batches, laptop.database.charged().write_units - charged.write_units);
    laptop.stop().await;
    measured
}

async fn prepare(laptop: &Laptop, model_id: &str) -> String {
    let keys = &laptop.endpoint.administrator;
    let keys = IamKeys {
        access_key: keys.access_key_id.clone(),
        secret_key: keys.secret_access_key.clone(),
        session_token: None,
        region: laptop.endpoint.region.clone(),
    };
    let administrator = AppSync::new(&laptop.endpoint.url, Credentials::Iam(keys)).expect("an URL");
    let agent = PutAgent { id: "measured".into(), model_id: model_id.into(), ..PutAgent::default() };
    administrator.call(&agent).await.expect("the agent is put");
    let api = AppSync::new(&laptop.endpoint.url, Credentials::ApiKey(laptop.endpoint.api_key.clone())).expect("an URL");
    let wish = CreateConversation { agent_id: Some(agent.id), ..CreateConversation::default() };
    api.call(&wish).await.expect("the conversation is created").id
}

/// The bytes of text in each update, in order; the last is what the final event added.
async fn converse(api: &AppSync, conversation_id: String) -> Vec<usize> {
    let variables = serde_json::json!({ "conversationId": conversation_id });
    let mut updates = Realtime::new(api).subscribe(documents::ON_CONVERSATION_UPDATE, &variables);
    assert!(matches!(updates.next().await, Some(Signal::Subscribed)));
    let message = SendMessage { conversation_id: Some(conversation_id), id: None, text: "Count.".into() };
    api.call(&message).await.expect("the message is sent");
    let mut sizes = Vec::new();
    while let Some(Signal::Data(data)) = updates.next().await {
        let update = &data["onConversationUpdate"];
        if update["metadata"]["status"] == "COMPLETED" {
            let whole = update["event"]["text"].as_str().map_or(0, str::len);
            sizes.push(whole - sizes.iter().sum::<usize>());
            break;
        }
        sizes.push(update["metadata"]["agentPartialMessage"].as_str().map_or(0, str::len));
    }
    sizes
}

fn options(state: std::path::PathBuf, publish_latency: Duration) -> Options {
    Options {
        root: env!("CARGO_MANIFEST_DIR").into(),
        state,
        ephemeral: true,
        port: 0,
        parameters: BTreeMap::new(),
        models: Models::Scripted,
        executable: env!("CARGO_BIN_EXE_parlance").into(),
        unkindness: Unkindness { publish_latency, ..Unkindness::default() },
        time_scale: 1.0,
    }
}

struct Measured {
    mutations: usize,
    bytes: u64,
    delays: Vec<Duration>,
    tail: Duration,
    write_units: f64,
}

impl Measured {
    /// Each delta of five bytes is as late as the publish that carried it.
    fn of(events: &[Recorded], batches: &[usize], write_units: f64) -> Self {
        let publishes: Vec<&Recorded> = events.iter().filter(|event| event.what == "publish").collect();
        let carried =
            publishes.iter().zip(batches).flat_map(|(publish, bytes)| std::iter::repeat_n(publish.at, bytes / 5));
        let deltas = events.iter().filter(|event| event.what == "contentBlockDelta").map(|event| event.at);
        let mut delays: Vec<Duration> = carried.zip(deltas).map(|(published, said)| published - said).collect();
        delays.sort();
        let metadata = events.iter().find(|event| event.what == "metadata").map(|event| event.at);
        let last = publishes.last().map(|publish| publish.at);
        Self {
            mutations: publishes.len(),
            bytes: publishes.iter().map(|publish| publish.bytes).sum(),
            delays,
            tail: last.zip(metadata).map_or(Duration::MAX, |(last, metadata)| last.saturating_duration_since(metadata)),
            write_units,
        }
    }

    fn delay(&self, share: f64) -> Duration {
        let last = self.delays.len().saturating_sub(1);
        self.delays.get((last as f64 * share) as usize).copied().unwrap_or_default()
    }

    fn keeps_budgets(&self, latency: Duration) -> bool {
        let on_time = self.delay(0.95) < DELAY_P95 && self.tail <= 2 * latency + TAIL;
        self.mutations <= MUTATIONS && on_time && self.write_units <= WRITE_UNITS
    }
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        let [p50, p95, max] = [0.5, 0.95, 1.0].map(|share| milliseconds(self.delay(share)));
        let Self { mutations, bytes, write_units, .. } = self;
        let tail = milliseconds(self.tail);
        write!(
            f,
            "{mutations:>9}  {bytes:>8}  {p50:>6.0} ms  {p95:>3.0} ms  {max:>4.0} ms  {tail:>12.0} ms  {write_units:>11}"
        )
    }
}

/// What the scripted model and the way to AppSync say of themselves, with the moment they said it.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<Recorded>>>);

#[derive(Clone)]
struct Recorded {
    at: Instant,
    what: String,
    bytes: u64,
}

impl Tape {
    fn rewind(&self) {
        self.0.lock().expect("nobody panicked").clear();
    }

    fn events(&self) -> Vec<Recorded> {
        self.0.lock().expect("nobody panicked").clone()
    }
}

impl<S: Subscriber> Layer<S> for Tape {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut recorded = Recorded { at: Instant::now(), what: String::new(), bytes: 0 };
        event.record(&mut recorded);
        self.0.lock().expect("nobody panicked").push(recorded);
    }
}

impl Visit for Recorded {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.what = format!("{value:?}");
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "bytes" {
            self.bytes = value;
        }
    }
}
