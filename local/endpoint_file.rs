//! Reads `endpoint.json`, in which a running server tells other processes how to reach it.
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// The members of `endpoint.json` that `parlance chat` and `parlance token` need.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointFile {
    /// The GraphQL URL.
    pub url: String,
    /// None when the API accepts no API key.
    pub api_key: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum EndpointFileError {
    #[error("No server runs in this folder: start one with `cargo run`.")]
    NoServer,
    #[error("{} cannot be used: {reason}.", path.display())]
    Unusable { path: PathBuf, reason: String },
}

impl EndpointFile {
    /// `state_dir` is the server's `--state` folder.
    pub fn read(state_dir: &Path) -> Result<Self, EndpointFileError> {
        let path = state_dir.join("endpoint.json");
        let unusable = |reason: String| EndpointFileError::Unusable { path: path.clone(), reason };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string())),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(EndpointFileError::NoServer),
            Err(error) => Err(unusable(error.to_string())),
        }
    }

    /// The server's URL without a path, such as `http://localhost:4000`.
    pub fn origin(&self) -> &str {
        self.url.trim_end_matches("/graphql")
    }
}
