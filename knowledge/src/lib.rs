//! The Lambda functions of `knowledge/template.yaml`: `init` prepares the database of a knowledge base when
//! the stack is created, `sync` brings the knowledge base up to date when objects of its bucket change.
pub mod init;
pub mod sync;

mod aws;

/// Why a function cannot start: one sentence.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0} must be set.")]
    MissingVariable(&'static str),
    #[error("The HTTP client cannot be set up: {0}.")]
    Http(#[from] reqwest::Error),
}

fn variable(name: &'static str) -> Result<String, StartError> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or(StartError::MissingVariable(name))
}
