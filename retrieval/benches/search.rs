//! Time of a search in about 11,000 chunks, and of their ingestion:
//!
//! ```text
//! cargo bench -p retrieval
//! ```
use std::{
    error::Error,
    fs,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use retrieval::{Chunking, Document, Folder, Format, Index, Method, Query, Vectors};

const DOCUMENTS: usize = 1_000;
const CHUNKS_PER_DOCUMENT: usize = 10;
/// A chunk of 300 tokens has about so many words.
const WORDS_PER_CHUNK: usize = 220;
const VOCABULARY: usize = 20_000;
const SEARCHES: usize = 500;
const LONG_DOCUMENT_WORDS: usize = 700_000;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let folder = Folder { path: directory.path().join("documents"), uri_prefix: "s3://bench/".into() };
    fs::create_dir(&folder.path)?;
    let mut random = fastrand::Rng::with_seed(1);
    let vocabulary: Vec<String> = (0..VOCABULARY).map(|_| random_word(&mut random)).collect();
    for number in 0..DOCUMENTS {
        let text = text(&mut random, &vocabulary, WORDS_PER_CHUNK * CHUNKS_PER_DOCUMENT);
        fs::write(folder.path.join(format!("{number}.txt")), text)?;
    }
    let path = directory.path().join("index");
    let index = Index::open(&path, Chunking::fixed_size(300, 1)?, Vectors::HashedNgrams)?;
    let ingestion = time(|| index.ingest(&folder, &mut |_| ControlFlow::Continue(())));
    println!("ingestion of {DOCUMENTS} documents, {} chunks: {ingestion:?}", index.chunk_count());
    println!("ingestion without changes: {:?}", time(|| index.ingest(&folder, &mut |_| ControlFlow::Continue(()))));
    let reopened = time(|| Index::open(&path, Chunking::default(), Vectors::HashedNgrams));
    println!("opening: {reopened:?}; size on disk: {} MB", folder_bytes(&path)? / 1_000_000);
    for method in [Method::Lexical, Method::Semantic, Method::Hybrid] {
        let mut durations: Vec<Duration> = (0..SEARCHES)
            .map(|_| {
                let question = text(&mut random, &vocabulary, 10);
                time(|| index.search(&Query { method, ..Query::new(&question) }))
            })
            .collect();
        durations.sort();
        let percentile = |percent: usize| durations[SEARCHES * percent / 100];
        println!("{method:?}: p50 {:?}, p95 {:?}, p99 {:?}", percentile(50), percentile(95), percentile(99));
    }
    let document = Document {
        uri: "s3://bench/long.md".into(),
        format: Format::Markdown,
        content: text(&mut random, &vocabulary, LONG_DOCUMENT_WORDS).into_bytes(),
        attributes: Default::default(),
    };
    let megabytes = document.content.len() as f64 / 1e6;
    let other = Index::open(&directory.path().join("long"), Chunking::default(), Vectors::HashedNgrams)?;
    let ingestion = time(|| other.put_documents(vec![document]));
    println!("ingestion of one document of {megabytes:.1} MB, {} chunks: {ingestion:?}", other.chunk_count());
    Ok(())
}

fn time<T, E: Error>(run: impl FnOnce() -> Result<T, E>) -> Duration {
    let started = Instant::now();
    if let Err(error) = run() {
        panic!("{error}");
    }
    started.elapsed()
}

/// Words of a skewed distribution, as natural texts have it.
fn text(random: &mut fastrand::Rng, vocabulary: &[String], words: usize) -> String {
    let mut text = String::new();
    for position in 1..=words {
        let rank = (random.f64().powi(3) * vocabulary.len() as f64) as usize;
        text.push_str(&vocabulary[rank]);
        text.push_str(if position % 12 == 0 { ". " } else { " " });
    }
    text
}

fn random_word(random: &mut fastrand::Rng) -> String {
    (0..random.usize(2..10)).map(|_| random.lowercase()).collect()
}

fn folder_bytes(path: &std::path::Path) -> std::io::Result<u64> {
    fs::read_dir(path)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}
