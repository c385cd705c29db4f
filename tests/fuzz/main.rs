//! Fuzz tests of everything that parses foreign bytes: no panic, no hang, no unbounded memory.
//!
//! By default each target takes its corpus and a few hundred inputs of a fixed seed. Environment variables:
//! `FUZZ_SECONDS=60` runs each target for a minute with a new seed, `FUZZ_SEED=…` repeats a seed, and
//! `FUZZ_INPUT=file` gives one input to the targets selected by name:
//! `FUZZ_SECONDS=60 cargo test --test fuzz -- --nocapture`.
mod fuzzer;
mod mutator;
#[path = "../support/mod.rs"]
mod support;

mod credentials;
mod cursors;
mod documents;
mod event_streams;
mod events_api;
mod gateway;
mod handshakes;
mod mcp_messages;
mod requests;
mod resolver_files;
mod runtime_api;
mod sessions;
mod tables;
mod templates;
mod tokens;
mod tool_answers;
mod tool_calls;
mod tool_checks;
mod tool_responses;
mod websocket_api;

use std::path::{Path, PathBuf};

pub fn byte_inputs(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Every file of a folder of the project and of its subfolders, sorted.
pub fn project_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("the folder is readable") {
            let path = entry.expect("the entry is readable").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}
