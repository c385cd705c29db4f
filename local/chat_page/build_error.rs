//! Why there is no current build of the page.
use std::{io, path::PathBuf, sync::Arc, time::Duration};

/// The oldest Node that builds the page: major and minor version.
pub const MIN_NODE: (u32, u32) = (20, 19);

/// A sentence without its end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BuildError {
    #[error("its sources are not in {}", .0.display())]
    NoSources(PathBuf),
    #[error("there is no Node; install Node {}.{} or later and start the server again", MIN_NODE.0, MIN_NODE.1)]
    NoNode,
    #[error(
        "Node {found} is too old; install Node {}.{} or later and start the server again", MIN_NODE.0, MIN_NODE.1
    )]
    OldNode { found: String },
    #[error("there is no npm; install it and start the server again")]
    NoNpm,
    #[error("{command} {reason}")]
    Command {
        command: String,
        reason: FailureReason,
        /// The last lines of its output.
        last_lines: Vec<String>,
    },
    #[error("{} cannot be used: {error}", path.display())]
    File { path: PathBuf, error: Arc<io::Error> },
    #[error("npm run build has put no page into the folder that PARLANCE_CHAT_DIST names")]
    NoPage,
    #[error("another server has been building it for {} minutes", .0.as_secs() / 60)]
    Locked(Duration),
}

/// How a command failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FailureReason {
    #[error("ended with the exit code {0}")]
    ExitCode(i32),
    #[error("was killed")]
    Killed,
    #[error("did not end within {} minutes", .0.as_secs() / 60)]
    TimeLimit(Duration),
    #[error("cannot be started: {0}")]
    Start(Arc<io::Error>),
}

impl BuildError {
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |error| Self::File { path, error: Arc::new(error) }
    }

    /// The last lines of the output of a command that failed.
    pub fn last_lines(&self) -> &[String] {
        match self {
            Self::Command { last_lines, .. } => last_lines,
            Self::NoSources(_)
            | Self::NoNode
            | Self::OldNode { .. }
            | Self::NoNpm
            | Self::File { .. }
            | Self::NoPage
            | Self::Locked(_) => &[],
        }
    }
}
