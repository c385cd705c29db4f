//! The JavaScript runtime and the DynamoDB data source, compared with recorded and documented responses of
//! AWS.
//!
//! `cases/` holds calls of handlers; `cases/functions/` has one file for each resolver of this backend.
//! `accepted/` and `refused/` hold files for the checks at deployment: refused are files that AWS refuses,
//! that it runs otherwise than JavaScript, or that need what the local server has not. `dynamodb/` holds
//! requests to a data source.
mod agents;
mod cases;
mod conversation_condition;
mod deployment;
mod fixture;
mod limits;
mod model_settings;
mod on_behalf;
mod quotas;
mod reasoning;
#[path = "../support/repository_template.rs"]
mod repository_template;
mod rust_counterparts;
mod sharing;
mod starts;
mod status;
mod tables;
mod titles;
mod waiting;

use std::path::{Path, PathBuf};

/// The files of a folder in `tests/resolvers`, sorted.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resolvers").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.is_file()).collect();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.sort();
    paths
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
