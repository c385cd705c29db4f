//! Settings of the stack's own knowledge base: how documents are cut.
use std::{fs, path::Path};

use local::{
    fault_injection::{FaultInjector, FaultPlan},
    knowledge_base::{EmbeddingsOptions, IngestionJob, JobList, KnowledgeBase, KnowledgeOptions},
    server::ServerOptions,
    stack::{self, Chunking, VectorStore},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{api_client::RETRIEVE, fixture::Fixture};
use crate::backend::with_timeout;

/// More tokens than a chunk has.
fn long_document() -> String {
    (1..=200).map(|number| format!("Rule {number} says that valve {number} is closed.\n\n")).collect()
}

#[tokio::test]
async fn documents_are_cut_as_the_parameters_say() {
    let text = long_document();
    for (parameters, chunks) in [
        (&[][..], 5..=10),
        (&[("KnowledgeChunkTokens", "100"), ("KnowledgeChunkOverlapPercent", "50")], 30..=50),
        (&[("KnowledgeChunking", "NONE")], 1..=1),
    ] {
        let add_parameters = |mut options: ServerOptions| {
            options.parameters.extend(parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())));
            options
        };
        let fixture = Fixture::with_options(&[("rules.md", &text)], add_parameters).await;
        let size = fixture.knowledge().size();
        assert!(chunks.contains(&size.chunks), "{parameters:?}: {size:?}");
        if chunks == (1..=1) {
            let request = json!({ "retrievalQuery": { "text": "Which valve is closed?" } });
            let found: Value = fixture.call(Method::POST, RETRIEVE, request).await.body;
            assert_eq!(found["retrievalResults"][0]["content"]["text"], text.trim());
        }
    }
}

/// Runs a job of a knowledge base that is opened for it, as at the start of a server.
async fn ingest(documents: &Path, index: &Path, chunking: Chunking) -> (KnowledgeBase, IngestionJob) {
    let options = KnowledgeOptions { folder: documents.to_owned(), embeddings: EmbeddingsOptions::default() };
    let settings = stack::KnowledgeBase {
        id: "LOCALKB001".into(),
        data_source_id: "LOCALDS001".into(),
        store: VectorStore::Rds,
        chunking,
    };
    let faults = FaultInjector::default();
    let knowledge = KnowledgeBase::open(&options, &settings, Some(index), &FaultPlan::default(), &faults).unwrap();
    let ingested = knowledge.clone();
    let changes = tokio::spawn(async move { ingested.ingest_changes().await });
    let mut jobs = knowledge.jobs();
    let has_ended = |jobs: &JobList| jobs.last_ended().is_some();
    let job = with_timeout(jobs.wait_for(has_ended)).await.unwrap().last_ended().unwrap().clone();
    changes.abort();
    (knowledge, job)
}

#[tokio::test]
async fn changed_setting_cuts_every_document_again() {
    let directory = tempfile::tempdir().unwrap();
    let [documents, index] = ["documents", "index"].map(|name| directory.path().join(name));
    fs::create_dir(&documents).unwrap();
    fs::write(documents.join("rules.md"), long_document()).unwrap();
    fs::write(documents.join("short.md"), "One rule.").unwrap();
    let fixed = |max_tokens| Chunking::FixedSize { max_tokens, overlap_percentage: 20 };
    let (knowledge, job) = ingest(&documents, &index, fixed(300)).await;
    assert_eq!(job.report.statistics.new_documents_indexed, 2);
    let chunks = knowledge.size().chunks;
    drop(knowledge);

    let (knowledge, job) = ingest(&documents, &index, fixed(300)).await;
    assert_eq!((job.report.statistics.modified_documents_indexed, knowledge.size().chunks), (0, chunks));
    drop(knowledge);

    for (chunking, expected) in [(fixed(100), chunks + 5..=usize::MAX), (Chunking::None, 2..=2)] {
        let (knowledge, job) = ingest(&documents, &index, chunking).await;
        assert_eq!(job.report.statistics.modified_documents_indexed, 2, "{chunking:?}");
        assert!(expected.contains(&knowledge.size().chunks), "{chunking:?}: {:?}", knowledge.size());
    }
}
