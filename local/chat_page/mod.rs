//! The chat page at `/` of the server's port, and its build.
//!
//! Requests must name localhost, because `config.json` has the API key.
mod build_command;
mod build_error;
mod build_progress;
mod builder;
#[cfg(test)]
mod builder_tests;
mod output_tail;
mod page_config;
mod page_folder;
mod routes;
mod security_headers;

use std::{ffi::OsString, path::Path, sync::Arc};

use axum::Router;
use http::HeaderValue;
use retrieval::Folder;
use tokio::sync::watch;

use self::{
    builder::{BuildLimits, Builder},
    page_folder::PageFolder,
    security_headers::content_security_policy,
};

pub use build_error::BuildError;
pub use build_progress::{BuildProgress, BuildStep, print_progress};
pub use page_config::{PageConfig, SignInMode};

/// The page of a folder for one stack. Clones share it.
#[derive(Clone)]
pub struct ChatPage(Arc<Shared>);

struct Shared {
    /// The build that is served.
    files: Folder,
    config: PageConfig,
    policy: HeaderValue,
    builder: Builder,
    progress: watch::Sender<BuildProgress>,
}

impl ChatPage {
    /// The page in `web/` of a folder. Node and npm are looked for in `search_path`, the value of `PATH`.
    pub fn new(root: &Path, config: PageConfig, search_path: OsString) -> Self {
        let folder = PageFolder::new(root);
        let policy = HeaderValue::try_from(content_security_policy(&config));
        Self(Arc::new(Shared {
            // The prefix is that of documents.
            files: Folder { path: folder.dist(), uri_prefix: String::new() },
            policy: policy.unwrap_or(HeaderValue::from_static("default-src 'none'")),
            config,
            builder: Builder { folder, search_path, limits: BuildLimits::default() },
            progress: watch::Sender::default(),
        }))
    }

    /// Builds the page if it is missing or older than its sources. Dropping the returned future ends the
    /// build.
    pub async fn build(&self) {
        self.0.builder.build(&self.0.progress).await;
    }

    pub fn progress(&self) -> watch::Receiver<BuildProgress> {
        self.0.progress.subscribe()
    }

    /// Serves `/`, `/config.json`, and the files of the build.
    pub fn router(&self) -> Router {
        routes::router(self.0.clone())
    }
}
