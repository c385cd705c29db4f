//! Start times and peak memory of handler processes.
use std::{
    env, iter,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use client::requests::GetConversation;
use local::command_line::CommandLine;

use crate::{backend::Backend, recorder::Recorder};

/// The peak of a process that streams an answer of 256 KB.
const MAX_RESIDENT_MEGABYTES: f64 = 25.0;

/// From the message to the first event of the scripted model, in a warm process: the best of `WARM_TURNS`, in
/// units of the fastest query of the same server. A time in milliseconds would measure the machine.
const MAX_WARM_QUERIES: f64 = 15.0;

const WARM_TURNS: usize = 5;
const QUERIES: usize = 20;

/// Returns whether all budgets are kept.
pub async fn measure(recorder: &Recorder) -> bool {
    let backend = Backend::start_with_handler(CommandLine { program: deployed_program(), arguments: Vec::new() }).await;
    let conversation_id = backend.conversation_with("parlance.deltas-10-1").await;
    let query = fastest_query(&backend, &conversation_id).await;
    let warm = measure_start_times(&backend, recorder, &conversation_id).await;
    let queries = warm / query;
    println!(
        "warm: model called after {warm:.1} ms at best, {queries:.1} times a query of {query:.1} ms, budget \
         {MAX_WARM_QUERIES:.1} times"
    );
    let before = peak_resident_of_children();
    let conversation_id = backend.conversation_with("parlance.deltas-52000-0").await;
    backend.complete_turn(&conversation_id).await;
    let resident = peak_resident_of_children();
    match resident {
        Some(megabytes) => println!(
            "handler: at most {megabytes:.1} MB resident for answers of 256 KB, {:.1} MB for short ones",
            before.unwrap_or(f64::NAN)
        ),
        None => println!("handler: this system does not report the memory of processes"),
    }
    backend.stop().await;
    queries <= MAX_WARM_QUERIES && resident.is_some_and(|megabytes| megabytes < MAX_RESIDENT_MEGABYTES)
}

/// Builds the handler as it is deployed. The program of this package has the local server in it, too, and the
/// pages of a program count as memory.
fn deployed_program() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--profile", "bench", "--locked", "--package", "handler", "--bin", "bootstrap"];
    let status = Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(status.expect("cargo is run").success(), "the handler is built");
    Path::new(env!("CARGO_BIN_EXE_parlance")).with_file_name("bootstrap")
}

/// The shortest of some requests that read one item, in milliseconds.
async fn fastest_query(backend: &Backend, conversation_id: &str) -> f64 {
    let request = GetConversation { id: conversation_id.to_owned() };
    let mut fastest = f64::INFINITY;
    for _ in 0..QUERIES {
        let sent_at = Instant::now();
        backend.api.call(&request).await.expect("the conversation is read");
        fastest = fastest.min(sent_at.elapsed().as_secs_f64() * 1_000.0);
    }
    fastest
}

/// Prints the times of one cold and of some warm turns, and returns the best warm time until the model is
/// called, in milliseconds.
async fn measure_start_times(backend: &Backend, recorder: &Recorder, conversation_id: &str) -> f64 {
    let mut warm = f64::NAN;
    for process in iter::once("cold").chain(iter::repeat_n("warm", WARM_TURNS)) {
        recorder.clear();
        let sent_at = Instant::now();
        backend.complete_turn(conversation_id).await;
        let milliseconds_until = |message: &str| {
            recorder.first(message).map_or(f64::NAN, |event| (event.at - sent_at).as_secs_f64() * 1_000.0)
        };
        let model_called = milliseconds_until("messageStart");
        let published = milliseconds_until("publish");
        println!("{process}: send to model called {model_called:.1} ms, to first publish {published:.1} ms");
        if process == "warm" {
            warm = warm.min(model_called);
        }
    }
    warm
}

/// The highest peak among all child processes, in megabytes. Known on Linux only.
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
