//! The JavaScript runtime and the DynamoDB data source, against recorded and documented answers of AWS.
//!
//! `cases/` calls handlers, `cases/functions/` those of this backend, one file for each of `resolvers/`; `refused/` and
//! `accepted/` are files that AWS would refuse or take at deployment, `dynamodb/` holds conversations with a data source.
mod cases;
mod deployment;
mod limits;
mod quotas;
mod sharing;
mod status;
mod tables;

use std::path::{Path, PathBuf};

/// The files of a folder beside this one, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resolvers").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|fault| panic!("{}: {fault}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.is_file()).collect();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.sort();
    paths
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}
