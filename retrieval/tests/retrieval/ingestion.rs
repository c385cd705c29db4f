//! What an ingestion does with new, modified, deleted, unchanged and broken documents.
use std::{
    fs,
    ops::ControlFlow,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use retrieval::{
    Chunking, Document, Format, Index, IngestError, IngestionReport, Method, Query, Vectors,
    index::{IngestionStatistics, Progress},
};

use crate::fixture::{Fixture, LetterEmbedder, keep_going};

const TRAVEL: &str = "Hotels cost at most 140 euros a night.";
const LEAVE: &str = "Annual leave is 28 days.";

fn failures(report: &IngestionReport) -> Vec<(&str, &str)> {
    report.failures.iter().map(|failure| (failure.uri.as_str(), failure.reason.as_str())).collect()
}

#[test]
fn new_modified_deleted_and_unchanged_documents_are_counted() {
    let fixture = Fixture::new(&[("leave.txt", LEAVE), ("old.txt", "Old."), ("travel.md", TRAVEL), ("x.png", "")]);
    let first = fixture.ingest().statistics;
    let expected = IngestionStatistics {
        documents_scanned: 3,
        new_documents_indexed: 3,
        documents_skipped: 1,
        ..Default::default()
    };
    assert_eq!(first, expected);

    fixture.write("travel.md", "Hotels cost at most 160 euros a night.");
    fixture.write("new.txt", "New.");
    fixture.remove("old.txt");
    let second = fixture.ingest().statistics;
    let expected = IngestionStatistics {
        documents_scanned: 3,
        new_documents_indexed: 1,
        modified_documents_indexed: 1,
        documents_deleted: 1,
        documents_skipped: 1,
        ..Default::default()
    };
    assert_eq!(second, expected);
    assert_eq!(fixture.document_names(), ["leave.txt", "new.txt", "travel.md"]);
    assert!(fixture.search("price of hotels", Method::Hybrid)[0].text.contains("160 euros"));
}

#[test]
fn unchanged_folder_costs_no_work() {
    let embedder = LetterEmbedder::new("letters", 26);
    let fixture = Fixture::with_vectors(&[("travel.md", TRAVEL)], Vectors::Embedded(embedder.clone()));
    fixture.ingest();
    assert_eq!(embedder.take_passages(), [TRAVEL]);
    let statistics = fixture.ingest().statistics;
    assert_eq!(statistics, IngestionStatistics { documents_scanned: 1, ..Default::default() });
    assert!(embedder.take_passages().is_empty());
}

#[test]
fn changed_attributes_are_counted_apart_and_embed_nothing() {
    let embedder = LetterEmbedder::new("letters", 26);
    let fixture = Fixture::with_vectors(&[("travel.md", TRAVEL)], Vectors::Embedded(embedder.clone()));
    fixture.ingest();
    embedder.take_passages();
    fixture.write("travel.md.metadata.json", r#"{"metadataAttributes": {"year": 2025}}"#);
    let statistics = fixture.ingest().statistics;
    let expected = IngestionStatistics {
        documents_scanned: 1,
        metadata_documents_scanned: 1,
        metadata_documents_modified: 1,
        ..Default::default()
    };
    assert_eq!(statistics, expected);
    assert!(embedder.take_passages().is_empty());
    let passage = &fixture.search("hotels", Method::Semantic)[0];
    assert_eq!(serde_json::to_value(&passage.attributes["year"]).unwrap(), 2025);
}

#[test]
fn broken_documents_fail_alone_and_are_explained() {
    let fixture = Fixture::new(&[("good.txt", LEAVE), ("empty.txt", " "), ("b.docx", "no archive"), ("b.pdf", "x")]);
    fixture.write("latin.txt", b"Gr\xf6\xdfe");
    fixture.write("owned.txt", "Secret.");
    fixture.write("owned.txt.metadata.json", "[]");
    let report = fixture.ingest();
    assert_eq!(report.statistics.new_documents_indexed, 1);
    assert_eq!(report.statistics.documents_failed, 5);
    let reasons = failures(&report);
    assert!(reasons[0].0 == "s3://bucket/b.docx" && reasons[0].1.starts_with("The DOCX file cannot be read: "));
    assert!(reasons[1].0 == "s3://bucket/b.pdf" && reasons[1].1.starts_with("The PDF file cannot be read: "));
    let others = [
        ("s3://bucket/empty.txt", "The file has no text."),
        ("s3://bucket/latin.txt", "The file is neither UTF-8 nor UTF-16 text."),
        ("s3://bucket/owned.txt", "The metadata file is not JSON with an object metadataAttributes."),
    ];
    assert_eq!(reasons[2..], others);
    assert_eq!(fixture.document_names(), ["good.txt"]);
}

#[test]
fn document_that_fails_is_no_longer_found_in_its_old_version() {
    let fixture = Fixture::ingested(&[("leave.txt", LEAVE), ("travel.md", TRAVEL)]);
    fixture.write("travel.md.metadata.json", "{");
    let report = fixture.ingest();
    assert_eq!((report.statistics.documents_failed, report.statistics.documents_deleted), (1, 0));
    assert_eq!(fixture.document_names(), ["leave.txt"]);
    fixture.remove("travel.md.metadata.json");
    assert_eq!(fixture.ingest().statistics.new_documents_indexed, 1);
}

#[test]
fn stopped_ingestion_changes_nothing() {
    let fixture = Fixture::ingested(&[("leave.txt", LEAVE)]);
    fixture.write("leave.txt", "Annual leave is 30 days.");
    fixture.write("travel.md", TRAVEL);
    let mut stop_at_second = |progress: Progress<'_>| match progress.documents_done {
        0 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    let stopped = fixture.index.ingest(&fixture.folder, &mut stop_at_second);
    assert!(matches!(stopped, Err(IngestError::Stopped)));
    assert_eq!(fixture.document_names(), ["leave.txt"]);
    assert_eq!(fixture.search("annual leave", Method::Hybrid)[0].text, LEAVE);
    assert_eq!(fixture.ingest().statistics.new_documents_indexed, 1);
}

#[test]
fn progress_names_each_document() {
    let fixture = Fixture::new(&[("a.txt", "A."), ("b.txt", "B.")]);
    let mut seen = Vec::new();
    let mut record = |progress: Progress<'_>| {
        seen.push((progress.uri.to_owned(), progress.documents_done, progress.documents));
        ControlFlow::Continue(())
    };
    fixture.index.ingest(&fixture.folder, &mut record).unwrap();
    assert_eq!(seen, [("s3://bucket/a.txt".to_owned(), 0, 2), ("s3://bucket/b.txt".to_owned(), 1, 2)]);
}

#[test]
fn one_ingestion_runs_at_a_time_and_searches_see_the_state_before() {
    let fixture = Fixture::ingested(&[("leave.txt", LEAVE)]);
    fixture.write("leave.txt", "Annual leave is 30 days.");
    let mut during = |_: Progress<'_>| {
        assert!(matches!(fixture.try_ingest(), Err(IngestError::Busy)));
        assert_eq!(fixture.search("annual leave", Method::Hybrid)[0].text, LEAVE);
        ControlFlow::Continue(())
    };
    fixture.index.ingest(&fixture.folder, &mut during).unwrap();
    assert_eq!(fixture.search("annual leave", Method::Hybrid)[0].text, "Annual leave is 30 days.");
}

#[test]
fn processes_that_are_started_meanwhile_do_not_refuse_the_next_ingestion() {
    let fixture = Fixture::ingested(&[("leave.txt", LEAVE)]);
    let is_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_ended.load(Ordering::Relaxed) {
                Command::new("true").status().unwrap();
            }
        });
        let refusal = (0..100).find_map(|_| fixture.try_ingest().err());
        is_ended.store(true, Ordering::Relaxed);
        assert!(refusal.is_none(), "{refusal:?}");
    });
}

#[test]
fn second_process_that_ingests_into_the_same_folder_is_refused() {
    let fixture = Fixture::ingested(&[("leave.txt", LEAVE)]);
    let other = Index::open(&fixture.index_path(), Chunking::default(), Vectors::HashedNgrams).unwrap();
    let mut during = |_: Progress<'_>| {
        assert!(matches!(other.ingest(&fixture.folder, &mut keep_going), Err(IngestError::Busy)));
        ControlFlow::Continue(())
    };
    fixture.index.ingest(&fixture.folder, &mut during).unwrap();
}

#[test]
fn reopened_index_answers_as_before() {
    for vectors in [Vectors::HashedNgrams, Vectors::Embedded(LetterEmbedder::new("letters", 26))] {
        let fixture = Fixture::with_vectors(&[("leave.txt", LEAVE), ("travel.md", TRAVEL)], vectors.clone());
        fixture.ingest();
        let before = fixture.search("hotels at night", Method::Hybrid);
        let fixture = fixture.reopen(Chunking::default(), vectors);
        assert_eq!(fixture.search("hotels at night", Method::Hybrid), before);
        assert_eq!(fixture.ingest().statistics.new_documents_indexed, 0);
    }
}

#[test]
fn index_after_many_changes_answers_as_one_that_was_built_at_once() {
    let text = |number: usize, version: usize| {
        format!("Rule {number} in version {version} is about valve {} and pump {}.", number % 3, version * number)
    };
    let fixture = Fixture::new(&[]);
    for version in 1..5 {
        for number in 0..20 {
            match (number + version) % 4 {
                0 if fixture.folder.path.join(format!("{number}.txt")).exists() => {
                    fixture.remove(&format!("{number}.txt"));
                }
                1 => fixture.write(&format!("{number}.txt"), text(number, version)),
                _ => {}
            }
        }
        fixture.ingest();
    }
    let rebuilt = Index::open(&fixture.index_path().join("rebuilt"), Chunking::default(), Vectors::HashedNgrams);
    let rebuilt = rebuilt.unwrap();
    rebuilt.ingest(&fixture.folder, &mut keep_going).unwrap();
    assert!(rebuilt.chunk_count() > 3);
    for method in [Method::Lexical, Method::Semantic, Method::Hybrid] {
        let query = Query { method, results: 20, ..Query::new("Which rule is about valve 2 and pump 12?") };
        assert_eq!(fixture.index.search(&query).unwrap(), rebuilt.search(&query).unwrap());
    }
}

#[test]
fn other_embedder_or_dimensions_embed_everything_again() {
    let letters = LetterEmbedder::new("letters", 26);
    let fixture = Fixture::with_vectors(&[("leave.txt", LEAVE), ("travel.md", TRAVEL)], Vectors::Embedded(letters));
    fixture.ingest();
    for (name, dimensions) in [("other", 26), ("other", 13)] {
        let embedder = LetterEmbedder::new(name, dimensions);
        let fixture = Fixture::with_vectors(&[], Vectors::HashedNgrams);
        fixture.write("leave.txt", LEAVE);
        fixture.ingest();
        let fixture = fixture.reopen(Chunking::default(), Vectors::Embedded(embedder.clone()));
        assert_eq!(fixture.ingest().statistics.modified_documents_indexed, 1);
        assert_eq!(embedder.take_passages(), [LEAVE]);
    }
    let other = LetterEmbedder::new("letters", 13);
    let fixture = fixture.reopen(Chunking::default(), Vectors::Embedded(other.clone()));
    assert_eq!(fixture.ingest().statistics.modified_documents_indexed, 2);
    assert_eq!(other.take_passages(), [LEAVE, TRAVEL]);
    assert_eq!(fixture.found("hotels", Method::Semantic).len(), 2);
}

#[test]
fn other_chunking_cuts_every_document_again() {
    let fixture = Fixture::ingested(&[("a.txt", "One two three four. Five six seven eight.")]);
    assert_eq!(fixture.index.chunk_count(), 1);
    let fixture = fixture.reopen(Chunking::fixed_size(5, 1).unwrap(), Vectors::HashedNgrams);
    assert_eq!(fixture.ingest().statistics.modified_documents_indexed, 1);
    assert_eq!(fixture.index.chunk_count(), 2);
}

#[test]
fn only_changed_chunks_of_a_document_are_embedded() {
    let embedder = LetterEmbedder::new("letters", 26);
    let fixture = Fixture::with_vectors(&[], Vectors::Embedded(embedder.clone()));
    let fixture = fixture.reopen(Chunking::fixed_size(5, 1).unwrap(), Vectors::Embedded(embedder.clone()));
    fixture.write("a.txt", "One two three four. Five six seven eight.");
    fixture.ingest();
    assert_eq!(embedder.take_passages().len(), 2);
    fixture.write("a.txt", "One two three four. Five six seven nine.");
    fixture.ingest();
    assert_eq!(embedder.take_passages(), ["Five six seven nine."]);
}

#[test]
fn unreachable_embedder_fails_the_ingestion_and_keeps_the_index() {
    let embedder = LetterEmbedder::new("letters", 26);
    let fixture = Fixture::with_vectors(&[("leave.txt", LEAVE)], Vectors::Embedded(embedder.clone()));
    fixture.ingest();
    fixture.write("travel.md", TRAVEL);
    embedder.is_available.store(false, Ordering::Relaxed);
    assert_eq!(fixture.try_ingest().unwrap_err().to_string(), "The embedder cannot be reached.");
    assert_eq!(fixture.document_names(), ["leave.txt"]);
    embedder.is_available.store(true, Ordering::Relaxed);
    assert_eq!(fixture.ingest().statistics.new_documents_indexed, 1);
}

#[test]
fn text_that_the_embedder_refuses_fails_its_document_alone() {
    let embedder = LetterEmbedder::new("letters", 26);
    let files = [("leave.txt", LEAVE), ("odd.txt", "This is unembeddable.")];
    let fixture = Fixture::with_vectors(&files, Vectors::Embedded(embedder));
    let report = fixture.ingest();
    assert_eq!(failures(&report), [("s3://bucket/odd.txt", "The embedder refuses the text.")]);
    assert_eq!(fixture.document_names(), ["leave.txt"]);
}

#[test]
fn documents_are_put_and_deleted_directly() {
    let fixture = Fixture::ingested(&[("leave.txt", LEAVE)]);
    let document = |content: &str| Document {
        uri: "s3://bucket/direct.md".into(),
        format: Format::Markdown,
        content: content.into(),
        attributes: Default::default(),
    };
    let report = fixture.index.put_documents(vec![document("Parking is free."), document("Parking costs 2 euros.")]);
    assert_eq!(report.unwrap().statistics.documents_scanned, 1);
    assert_eq!(fixture.search("parking", Method::Hybrid)[0].text, "Parking costs 2 euros.");
    assert_eq!(fixture.index.chunk_count(), 2);

    let report = fixture.index.delete_documents(&["s3://bucket/leave.txt", "s3://bucket/unknown.md"]).unwrap();
    assert_eq!(report.statistics.documents_deleted, 1);
    assert_eq!(fixture.document_names(), ["direct.md"]);

    let statistics = fixture.ingest().statistics;
    assert_eq!((statistics.new_documents_indexed, statistics.documents_deleted), (1, 1));
}

#[test]
fn documents_of_other_settings_are_not_mixed() {
    let fixture = Fixture::ingested(&[("leave.txt", LEAVE)]);
    let embedder = LetterEmbedder::new("letters", 26);
    let fixture = fixture.reopen(Chunking::default(), Vectors::Embedded(embedder.clone()));
    let document = || Document {
        uri: "s3://bucket/direct.txt".into(),
        format: Format::Text,
        content: "Parking is free.".into(),
        attributes: Default::default(),
    };
    assert!(matches!(fixture.index.put_documents(vec![document()]), Err(IngestError::OtherSettings)));
    fixture.ingest();
    fixture.index.put_documents(vec![document()]).unwrap();
    assert_eq!(fixture.found("parking", Method::Semantic), ["direct.txt", "leave.txt"]);

    embedder.is_available.store(false, Ordering::Relaxed);
    let report = fixture.index.delete_documents(&["s3://bucket/direct.txt"]).unwrap();
    assert_eq!(report.statistics.documents_deleted, 1);
}

#[test]
fn emptied_folder_empties_the_index() {
    let fixture = Fixture::ingested(&[("leave.txt", LEAVE)]);
    fixture.remove("leave.txt");
    assert_eq!(fixture.ingest().statistics.documents_deleted, 1);
    assert!(fixture.search("leave", Method::Hybrid).is_empty());
    let fixture = fixture.reopen(Chunking::default(), Vectors::HashedNgrams);
    assert_eq!(fixture.index.chunk_count(), 0);
}

#[test]
fn missing_folder_fails_the_ingestion_and_keeps_the_index() {
    let fixture = Fixture::ingested(&[("leave.txt", LEAVE)]);
    fs::remove_dir_all(&fixture.folder.path).unwrap();
    assert!(matches!(fixture.try_ingest(), Err(IngestError::Folder(_))));
    assert_eq!(fixture.document_names(), ["leave.txt"]);
}

#[test]
fn damaged_index_says_which_folder_to_delete() {
    let fixture = Fixture::ingested(&[("leave.txt", LEAVE)]);
    let path = fixture.index_path();
    fs::write(path.join("meta.json"), "{").unwrap();
    let Err(error) = Index::open(&path, Chunking::default(), Vectors::HashedNgrams) else {
        panic!("a damaged index opens");
    };
    let error = error.to_string();
    assert!(
        error.contains(path.to_str().unwrap()) && error.ends_with("delete the folder to build it again."),
        "{error}"
    );
}
