//! A backend with 10,000 idle subscriptions, each on a connection of its own: what they cost in memory, what in time.
//! Fails when a bound is broken.
mod crowd;
mod server;
mod user;

use std::{process::ExitCode, time::Duration};

use crowd::Crowd;
use server::Server;
use user::{Times, User};

const SUBSCRIPTIONS: usize = 10_000;
/// Of the server's own memory, for one idle subscription with its connection.
const KILOBYTES_EACH: u64 = 64;
/// What a crowd that says nothing may add to what others wait for: so many times as long, or so much.
const TIMES_AS_LONG: u32 = 2;
const LEEWAY: Duration = Duration::from_millis(15);

#[tokio::main]
async fn main() -> ExitCode {
    if server::raises_its_limit() {
        return server::again_with_more_files();
    }
    let server = Server::start().await;
    let mut user = User::of(&server).await;
    user.times().await; // whatever is done for the first time
    let (empty, alone) = (server.resident_kilobytes(), user.times().await);
    let crowd = Crowd::gather(&server, SUBSCRIPTIONS).await;
    let (full, among_many) = (server.resident_kilobytes(), user.times().await);
    let each = full.saturating_sub(empty) / SUBSCRIPTIONS as u64;
    println!("{SUBSCRIPTIONS} idle subscriptions on {} connections", crowd.connections());
    println!("memory: {empty} KB without, {full} KB with; {each} KB each, bound {KILOBYTES_EACH}");
    let kept = [each <= KILOBYTES_EACH, judge(&alone, &among_many)];
    drop(crowd);
    if kept == [true; 2] { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn judge(alone: &Times, among_many: &Times) -> bool {
    let rows = [
        ("sendMessage", &alone.sends, &among_many.sends),
        ("getTurn", &alone.reads, &among_many.reads),
        ("a word of the model to its subscriber", &alone.deliveries, &among_many.deliveries),
    ];
    let judged = rows.map(|(what, alone, among_many)| {
        let (before, after) = (alone.at(99), among_many.at(99));
        let bound = (before * TIMES_AS_LONG).max(before + LEEWAY);
        println!(
            "{what}: median {:.1?} without, {:.1?} with; p99 {before:.1?} without, {after:.1?} with, bound {bound:.1?}",
            alone.at(50),
            among_many.at(50)
        );
        after <= bound
    });
    judged == [true; 3]
}
