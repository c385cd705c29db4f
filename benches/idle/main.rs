//! Benchmark of a server with 10,000 idle subscriptions, each on its own connection: memory, and latency for
//! an active user. The process fails when a budget is exceeded.
mod latency_probe;
mod server;
mod subscribers;

use std::{process::ExitCode, time::Duration};

use latency_probe::{Latencies, LatencyProbe};
use server::Server;
use subscribers::Subscribers;

const SUBSCRIPTIONS: usize = 10_000;
/// The server's resident memory for one idle subscription and its connection.
const MAX_KILOBYTES_EACH: u64 = 64;
/// A latency may grow by this factor or by this time, whichever allows more.
const MAX_LATENCY_FACTOR: u32 = 2;
const MAX_LATENCY_INCREASE: Duration = Duration::from_millis(15);

#[tokio::main]
async fn main() -> ExitCode {
    if !server::has_raised_file_limit() {
        return server::rerun_with_raised_file_limit();
    }
    let server = Server::start().await;
    let mut probe = LatencyProbe::new(&server).await;
    probe.measure().await; // Warms up the server and its handler.
    let memory_without = server.resident_kilobytes();
    let latencies_without = probe.measure().await;
    let subscribers = Subscribers::connect(&server, SUBSCRIPTIONS).await;
    let memory_with = server.resident_kilobytes();
    let latencies_with = probe.measure().await;

    let kilobytes_each = memory_with.saturating_sub(memory_without) / SUBSCRIPTIONS as u64;
    println!("{SUBSCRIPTIONS} idle subscriptions on {} connections", subscribers.connections());
    println!(
        "memory: {memory_without} KB without, {memory_with} KB with; {kilobytes_each} KB each, bound {MAX_KILOBYTES_EACH}"
    );
    let memory_in_budget = kilobytes_each <= MAX_KILOBYTES_EACH;
    let latencies_in_budget = compare(&latencies_without, &latencies_with);
    drop(subscribers);
    if memory_in_budget && latencies_in_budget { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the latencies, and returns whether all budgets are kept.
fn compare(without: &Latencies, with: &Latencies) -> bool {
    let rows = [
        ("sendMessage", &without.sends, &with.sends),
        ("getTurn", &without.reads, &with.reads),
        ("a delta of the model to its subscriber", &without.deliveries, &with.deliveries),
    ];
    let mut in_budget = true;
    for (name, without, with) in rows {
        let (p99_without, p99_with) = (without.percentile(99), with.percentile(99));
        let bound = (p99_without * MAX_LATENCY_FACTOR).max(p99_without + MAX_LATENCY_INCREASE);
        println!(
            "{name}: median {:.1?} without, {:.1?} with; p99 {p99_without:.1?} without, {p99_with:.1?} with, bound {bound:.1?}",
            without.percentile(50),
            with.percentile(50)
        );
        in_budget &= p99_with <= bound;
    }
    in_budget
}
