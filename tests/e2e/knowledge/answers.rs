//! Answers with citations, from documents that change.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use local::{
    fault_injection::{Fault, FaultPlan},
    server::ServerOptions,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    api_client::RETRIEVE,
    fixture::{Answer, CITING_MODEL, DOCUMENTS, Fixture, MARKER_MODEL, REFUSING_MODEL},
};

const LEAVE_QUESTION: &str = "How many days of leave do employees get in a calendar year?";
const LEAVE: &str = "s3://local-knowledge/leave.md";

/// Each citation, and the text that cites.
fn cited_texts(answer: &Answer) -> Vec<(&Value, String)> {
    let cited_text = |text: &str, citation: &Value| {
        let [start, end] = ["start", "end"].map(|name| citation[name].as_u64().unwrap() as usize);
        let units: Vec<u16> = text.encode_utf16().collect();
        String::from_utf16(&units[start..end]).unwrap()
    };
    answer
        .blocks()
        .flat_map(|block| {
            let citations = block["citations"].as_array().into_iter().flatten();
            citations.map(|citation| (citation, cited_text(block["text"].as_str().unwrap(), citation)))
        })
        .collect()
}

/// Where the first citation ends in the whole text.
fn first_citation_end(answer: &Answer) -> usize {
    let mut before = 0;
    for block in answer.blocks() {
        if let Some(citation) = block["citations"].as_array().and_then(|citations| citations.first()) {
            return before + citation["end"].as_u64().unwrap() as usize;
        }
        before += utf16_length(block["text"].as_str().unwrap());
    }
    panic!("the answer has a citation")
}

fn utf16_length(text: &str) -> usize {
    text.encode_utf16().count()
}

fn event_text(event: &Value) -> String {
    event["content"].as_array().unwrap().iter().filter_map(|block| block["text"].as_str()).collect()
}

/// The end of a text may come with its event alone.
#[track_caller]
fn assert_streamed_as_stored(answer: &Answer) {
    let streamed = answer.streamed_text();
    let rest = answer.events.iter().fold(streamed.as_str(), |rest, event| {
        let stored = event_text(event);
        let is_same = |(left, right): &(char, char)| left == right;
        let common: usize = rest.chars().zip(stored.chars()).take_while(is_same).map(|(left, _)| left.len_utf8()).sum();
        &rest[common..]
    });
    let stored = answer.text();
    assert!(!streamed.is_empty() && rest.is_empty(), "streamed: {streamed:?}\nstored: {stored:?}\nrest: {rest:?}");
    let (streamed, stored) = (answer.streamed_citations(), answer.citations());
    assert!(stored.starts_with(&streamed), "streamed: {streamed:?}\nstored: {stored:?}");
}

#[tokio::test]
async fn question_is_answered_with_citations_of_the_right_passage() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    for (model, agent) in [(CITING_MODEL, "citing"), (MARKER_MODEL, "marking")] {
        fixture.put_agent(agent, model, json!({})).await;
        let answer = fixture.ask(&fixture.backend.api, agent, LEAVE_QUESTION).await;
        assert_streamed_as_stored(&answer);
        // On a busy machine, the cited text may come with the event alone.
        if utf16_length(&answer.streamed_text()) > first_citation_end(&answer) {
            assert!(!answer.streamed_citations().is_empty(), "{model}: {:?}", answer.metadata);
        }
        let (citation, text) = cited_texts(&answer).remove(0);
        assert_eq!((&citation["source"], &citation["title"]), (&json!(LEAVE), &json!("leave.md")), "{model}");
        assert!(citation["passage"].as_str().unwrap().contains("25 days of leave"), "{citation}");
        let expected = if model == CITING_MODEL { "Employees get 25 days" } else { "[1]" };
        assert!(text.starts_with(expected), "{model}: {text}");
    }
}

#[tokio::test]
async fn default_agent_answers_from_the_documents() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let answer = fixture.ask(&fixture.backend.api, "default", LEAVE_QUESTION).await;
    assert!(answer.sources().contains(&LEAVE), "{:?}", answer.events);
}

#[tokio::test]
async fn model_searches_with_its_tool() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    fixture.put_agent("searching", CITING_MODEL, json!({ "mode": "TOOL", "results": 1 })).await;
    let answer = fixture.ask(&fixture.backend.api, "searching", LEAVE_QUESTION).await;
    let content: Vec<&Value> = answer.events.iter().flat_map(|event| event["content"].as_array().unwrap()).collect();
    let call = content.iter().find(|block| block["toolUse"].is_object()).expect("the model calls its tool");
    assert_eq!(call["toolUse"]["name"], "search_documents");
    let result = content.iter().find_map(|block| block["toolResult"]["json"].as_str()).unwrap();
    let found: Value = serde_json::from_str(result).unwrap();
    assert_eq!(found["passages"][0]["source"], LEAVE);
    assert_eq!(answer.sources(), [LEAVE], "{:?}", answer.events);
    let (_, text) = cited_texts(&answer).remove(0);
    assert!(text.starts_with("Employees get 25 days"), "{text}");
    assert_streamed_as_stored(&answer);
}

#[tokio::test]
async fn model_that_refuses_search_results_cites_by_markers() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    for (agent, mode) in [("always", "ALWAYS"), ("always", "ALWAYS"), ("searching", "TOOL")] {
        fixture.put_agent(agent, REFUSING_MODEL, json!({ "mode": mode, "results": 1 })).await;
        let answer = fixture.ask(&fixture.backend.api, agent, LEAVE_QUESTION).await;
        assert_eq!(answer.sources(), [LEAVE], "{:?}", answer.events);
        let (_, text) = cited_texts(&answer).remove(0);
        assert_eq!(text, "[1]", "{mode}");
    }
}

#[tokio::test]
async fn answer_follows_documents_that_change() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let ask = || fixture.ask(&fixture.backend.api, "default", LEAVE_QUESTION);
    assert!(ask().await.text().contains("25 days"));

    let job = fixture.change(|| fixture.write("leave.md", "Employees get 30 days of leave in each year.")).await;
    assert_eq!(job.report.statistics.modified_documents_indexed, 1);
    let answer = ask().await;
    assert!(answer.text().contains("30 days") && !answer.text().contains("25 days"), "{}", answer.text());

    let job = fixture.change(|| fs::remove_file(fixture.folder.path().join("leave.md")).unwrap()).await;
    assert_eq!(job.report.statistics.documents_deleted, 1);
    let answer = ask().await;
    assert!(!answer.text().contains("30 days") && !answer.sources().contains(&LEAVE), "{}", answer.text());

    let text = "Employees get 28 days of leave in each year.";
    let job = fixture.change(|| fixture.write("new/leave.txt", text)).await;
    assert_eq!(job.report.statistics.new_documents_indexed, 1);
    let answer = ask().await;
    assert!(answer.sources().contains(&"s3://local-knowledge/new/leave.txt"), "{:?}", answer.sources());
}

pub fn with_fault(fault: Fault) -> impl FnOnce(ServerOptions) -> ServerOptions {
    let on_hits = BTreeSet::from([(fault, 1)]);
    let fault_plan = FaultPlan { on_hits, resume_time: Duration::from_secs(4), ..FaultPlan::default() };
    |options| ServerOptions { fault_plan, ..options }
}

#[tokio::test]
async fn pause_of_the_database_is_waited_for_with_a_note() {
    let fixture = Fixture::with_options(&DOCUMENTS, with_fault(Fault::KnowledgeResuming)).await;
    let answer = fixture.ask(&fixture.backend.api, "default", LEAVE_QUESTION).await;
    assert_eq!(answer.notes(), ["KNOWLEDGE_RESUMING"], "{:?}", answer.metadata);
    assert!(answer.sources().contains(&LEAVE), "{:?}", answer.events);
}

#[tokio::test]
async fn missing_index_costs_the_documents_and_not_the_turn() {
    let rates = BTreeMap::from([(Fault::KnowledgeIndexMissing, 1.0)]);
    let fault_plan = FaultPlan { rates, ..FaultPlan::default() };
    let fixture = Fixture::with_options(&DOCUMENTS, |options| ServerOptions { fault_plan, ..options }).await;
    let answer = fixture.ask(&fixture.backend.api, "default", LEAVE_QUESTION).await;
    assert_eq!(answer.notes(), ["KNOWLEDGE_UNAVAILABLE"], "{:?}", answer.metadata);
    assert_eq!((answer.sources(), answer.text().is_empty()), (Vec::<&str>::new(), false));
    let injected = fixture.backend.server.faults.injected_counts();
    assert_eq!(injected.get(&Fault::KnowledgeIndexMissing), Some(&1), "the search is not repeated");

    let response = fixture.call(Method::POST, RETRIEVE, json!({ "retrievalQuery": { "text": "leave" } })).await;
    let (status, error_type, message) = response.error();
    assert_eq!((status, error_type), (400, "ValidationException"));
    let expected = "The vector database encountered an error while processing the request: ERROR: relation \
                    \"bedrock_integration.bedrock_kb\" does not exist; ";
    assert!(message.starts_with(expected), "{message}");
}

#[tokio::test]
async fn throttled_search_is_repeated() {
    let fixture = Fixture::with_options(&DOCUMENTS, with_fault(Fault::KnowledgeThrottled)).await;
    let answer = fixture.ask(&fixture.backend.api, "default", LEAVE_QUESTION).await;
    assert_eq!(answer.notes(), Vec::<&str>::new());
    assert!(answer.sources().contains(&LEAVE), "{:?}", answer.events);
}
