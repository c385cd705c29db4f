//! Streams of servers and the events that become of them: `golden/NAME.sse` and `golden/NAME.events`. With
//! `UPDATE_EXPECT=1` the events are written anew.
use std::{fs, io, path::PathBuf, time::Instant};

use axum::body::Bytes;
use fancy_regex::Regex;
use futures::{StreamExt, stream};
use local::openai_models::{Event, answer_events, event_data, whole_events};

/// The events of a stream that arrives in chunks of this many bytes.
async fn events(stream: &[u8], length: usize) -> String {
    let chunks: Vec<io::Result<Bytes>> = stream.chunks(length).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let data = event_data(stream::iter(chunks)).boxed();
    lines(&answer_events(data, Instant::now()).collect::<Vec<_>>().await)
}

/// One line per event, without what differs from run to run.
fn lines(events: &[Event]) -> String {
    let latency = Regex::new(r#""latencyMs":\d+"#).unwrap();
    let new_id = Regex::new("tooluse_[0-9a-f]{22}").unwrap();
    let lines = events.iter().map(|event| {
        let (name, payload) = event.payload();
        let line = format!("{name} {payload}\n");
        let line = latency.replace_all(&line, r#""latencyMs":0"#).into_owned();
        new_id.replace_all(&line, "tooluse_new").into_owned()
    });
    lines.collect()
}

/// The seeds of `changed_streams_end`.
const CHANGED_STREAMS: u64 = 2_000;

#[tokio::test]
async fn changed_streams_end() {
    let streams: Vec<Vec<u8>> = golden_files().iter().map(|path| fs::read(path).unwrap()).collect();
    for seed in 0..CHANGED_STREAMS {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut stream = streams[rng.usize(..streams.len())].clone();
        for _ in 0..rng.usize(1..8) {
            let position = rng.usize(..stream.len());
            match rng.u8(..3) {
                0 => stream[position] = rng.u8(..),
                1 => drop(stream.remove(position)),
                _ => stream.insert(position, *rng.choice(br#"{}[]":,\ 0n"#).unwrap()),
            }
        }
        let found = events(&stream, rng.usize(1..40)).await;
        let last = found.lines().last().unwrap_or_default();
        assert!(last.starts_with("metadata ") || last.contains("Exception "), "seed {seed}: {found}");
    }
}

fn golden_files() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openai_models/golden");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension != "events")).collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn streams_become_events_wherever_they_are_cut() {
    let files = golden_files();
    assert!(files.len() > 15, "{files:?}");
    for path in files {
        let stream = fs::read(&path).unwrap();
        let is_whole = path.extension().is_some_and(|extension| extension == "json");
        let found = if is_whole { lines(&whole_events(&stream, Instant::now())) } else { events(&stream, 1).await };
        for length in [2, 3, 17, stream.len()] {
            if !is_whole {
                assert_eq!(events(&stream, length).await, found, "{} by {length}", path.display());
            }
        }
        let expected = path.with_extension("events");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&expected, &found).unwrap();
        }
        assert_eq!(found, fs::read_to_string(&expected).unwrap_or_default(), "{}", path.display());
    }
}
