//! What a running server has written down for others on this machine.
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// As much of `endpoint.json` as others need.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Announced {
    pub url: String,
    /// Nothing when the API takes none.
    pub api_key: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("No server runs in this folder: start one with `cargo run`.")]
    NoServer,
    #[error("{} cannot be used: {reason}.", path.display())]
    File { path: PathBuf, reason: String },
}

impl Announced {
    /// `state` is where the server keeps `endpoint.json`.
    pub fn read(state: &Path) -> Result<Self, Fault> {
        let path = state.join("endpoint.json");
        let unusable = |reason: String| Fault::File { path: path.clone(), reason };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string())),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Fault::NoServer),
            Err(error) => Err(unusable(error.to_string())),
        }
    }

    /// `http://localhost:4000`
    pub fn server(&self) -> &str {
        self.url.trim_end_matches("/graphql")
    }
}
