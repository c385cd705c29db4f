//! An ingestion in a process that is killed.
use std::{
    env,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use retrieval::{Chunking, Folder, Index, Method, Query, Vectors};

use crate::fixture::{Fixture, keep_going};

const KILLS: u32 = 20;
const DOCUMENTS: usize = 40;
/// Set for the process that is killed: the fixture's folder of documents and its index.
const CHILD_PATHS: &str = "RETRIEVAL_KILLED_INGESTION";

#[test]
fn killed_ingestion_leaves_the_old_index_or_the_new_one() {
    if let Some(paths) = env::var_os(CHILD_PATHS) {
        let paths: Vec<_> = env::split_paths(&paths).collect();
        return ingest(&paths[0], &paths[1]);
    }
    let fixture = Fixture::new(&[]);
    write_version(&fixture, "first");
    fixture.ingest();
    write_version(&fixture, "second");
    let started = Instant::now();
    assert!(spawn_ingestion(&fixture).wait().unwrap().success());
    let duration = started.elapsed();
    for kill in 0..KILLS {
        let (before, after) = if kill % 2 == 0 { ("second", "first") } else { ("first", "second") };
        write_version(&fixture, after);
        let mut child = spawn_ingestion(&fixture);
        thread::sleep(duration * kill / KILLS);
        child.kill().unwrap();
        child.wait().unwrap();
        let counts = chunks_of_versions(&fixture, [before, after]);
        assert!([[DOCUMENTS, 0], [0, DOCUMENTS]].contains(&counts), "kill {kill}: {counts:?}");
        // The next process completes the work.
        ingest(&fixture.folder.path, &fixture.index_path());
        assert_eq!(chunks_of_versions(&fixture, [before, after]), [0, DOCUMENTS]);
    }
}

fn write_version(fixture: &Fixture, version: &str) {
    for number in 0..DOCUMENTS {
        fixture.write(&format!("{number}.txt"), format!("Document {number} in its {version} version."));
    }
}

fn spawn_ingestion(fixture: &Fixture) -> Child {
    let paths = env::join_paths([&fixture.folder.path, &fixture.index_path()]).unwrap();
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "kills::killed_ingestion_leaves_the_old_index_or_the_new_one"])
        .env(CHILD_PATHS, paths)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn ingest(documents: &Path, index: &Path) {
    let index = Index::open(index, Chunking::default(), Vectors::HashedNgrams).unwrap();
    let folder = Folder { path: documents.to_owned(), uri_prefix: "s3://bucket/".into() };
    index.ingest(&folder, &mut keep_going).unwrap();
}

/// Opens the index as the next process does.
fn chunks_of_versions(fixture: &Fixture, versions: [&str; 2]) -> [usize; 2] {
    let index = Index::open(&fixture.index_path(), Chunking::default(), Vectors::HashedNgrams).unwrap();
    versions.map(|version| {
        let query = Query { method: Method::Lexical, results: 100, ..Query::new(version) };
        index.search(&query).unwrap().passages.len()
    })
}
