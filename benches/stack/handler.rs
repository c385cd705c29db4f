//! A handler's first turn, a turn of a warm one, and the memory it takes.
use std::time::{Duration, Instant};

use crate::{backend::Backend, tape::Tape};

/// For answers up to 256 KB.
const RESIDENT_MEGABYTES: f64 = 25.0;

/// From the send to the scripted model's first sign of life, of a warm handler: the better of two.
const WARM_MILLISECONDS: f64 = 15.0;

/// Whether the budgets are kept.
pub async fn measure(tape: &Tape) -> bool {
    let backend = Backend::start(Duration::ZERO).await;
    let conversation_id = backend.conversation_with("parlance.deltas-10-1").await;
    let mut asked = Vec::new();
    for temperature in ["cold", "warm", "warm"] {
        tape.rewind();
        let sent = Instant::now();
        backend.converse(&conversation_id).await;
        let until = |what: &str| {
            let event = tape.events().into_iter().find(|event| event.what == what);
            event.map_or(f64::NAN, |event| (event.at - sent).as_secs_f64() * 1_000.0)
        };
        println!(
            "{temperature}: send to model asked {:.1} ms, to first publish {:.1} ms",
            until("messageStart"),
            until("publish")
        );
        asked.push(until("messageStart"));
    }
    let warm = asked.into_iter().skip(1).fold(f64::NAN, f64::min);
    println!("warm: model asked after {warm:.1} ms at best, budget {WARM_MILLISECONDS:.1} ms");
    let long = backend.conversation_with("parlance.deltas-52000-0").await;
    backend.converse(&long).await;
    let resident = peak_resident_of_children();
    match resident {
        Some(megabytes) => println!("handler: at most {megabytes:.1} MB resident for answers of 256 KB"),
        None => println!("handler: this system does not tell its memory"),
    }
    backend.stop().await;
    warm <= WARM_MILLISECONDS && resident.is_some_and(|megabytes| megabytes < RESIDENT_MEGABYTES)
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
