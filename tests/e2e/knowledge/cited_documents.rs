//! getCitation: passages of answers, and links to their documents.
use std::fs;

use client::{
    AppSync,
    errors::ErrorType,
    requests::{DeleteConversation, GetCitation, Request, ShareConversation},
    schema::{Access, CitedDocument},
};
use jiff::Timestamp;
use local::{identity::PoolUser, server::ServerOptions};
use reqwest::Response;
use serde_json::json;

use super::fixture::{Answer, CITING_MODEL, DOCUMENTS, Fixture};
use crate::backend::{Backend, execute, expect_api_error, new_id, send_message};

const QUESTION: &str = "How many days of leave do employees get in a calendar year?";
/// A name that must be encoded in a link.
const DOCUMENT: &str = "hr/Überstunden & <leave> 100% + #1?.md";
const TEXT: &str = "Employees get 25 days of leave in each calendar year.\n";

/// The citation at an index of the answer's last event.
fn citation_of(answer: &Answer, index: u32) -> GetCitation {
    let event_id = answer.events.last().unwrap()["id"].as_str().unwrap().to_owned();
    GetCitation { conversation_id: answer.conversation_id.clone(), event_id, index }
}

/// Follows the link as a browser does.
async fn open(document: &CitedDocument) -> Response {
    reqwest::get(document.url.as_deref().expect("the document has a link")).await.unwrap()
}

async fn error_of(api: &AppSync, request: &GetCitation) -> String {
    let response = execute(api, GetCitation::DOCUMENT, json!(request)).await;
    assert!(response["data"].is_null() || response["data"]["getCitation"].is_null(), "{response}");
    let error = &response["errors"][0];
    format!("{}: {}", error["errorType"].as_str().unwrap(), error["message"].as_str().unwrap())
}

#[tokio::test]
async fn owner_opens_the_document_of_a_citation() {
    let fixture = Fixture::new(&[(DOCUMENT, TEXT)]).await;
    let api = &fixture.backend.api;
    let answer = fixture.ask(api, "default", QUESTION).await;
    let before = Timestamp::now();
    let document = api.call(&citation_of(&answer, 0)).await.unwrap();
    let (citation, stored) = (&document.citation, answer.citations()[0]);
    assert_eq!((json!(citation.number), json!(citation.start)), (stored["number"].clone(), stored["start"].clone()));
    assert_eq!(citation.source.as_deref(), Some(&*format!("s3://local-knowledge/{DOCUMENT}")));
    assert!(citation.passage.contains("25 days of leave"), "{}", citation.passage);
    assert_eq!(citation.url, None);

    let expires_at: Timestamp = document.expires_at.as_deref().unwrap().parse().unwrap();
    let lifetime = expires_at.duration_since(before).as_secs_f64();
    assert!((298.0..=320.0).contains(&lifetime), "{lifetime}");
    let response = open(&document).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/markdown");
    assert_eq!(response.headers()["content-length"], TEXT.len().to_string());
    assert_eq!(response.text().await.unwrap(), TEXT);
}

#[tokio::test]
async fn link_leads_to_the_document_as_it_is_now() {
    let fixture = Fixture::new(&[("leave.txt", TEXT)]).await;
    let api = &fixture.backend.api;
    let answer = fixture.ask(api, "default", QUESTION).await;
    fixture.write("leave.txt", "It was 25 days.");
    let document = api.call(&citation_of(&answer, 0)).await.unwrap();
    assert!(document.citation.passage.contains("Employees get 25 days"), "the passage is that of the answer");
    assert_eq!(open(&document).await.text().await.unwrap(), "It was 25 days.");
    // A document of many pieces.
    let long = "Employees get 25 days of leave. ".repeat(10_000);
    fixture.write("leave.txt", &long);
    assert_eq!(open(&document).await.text().await.unwrap(), long);

    fs::remove_file(fixture.folder.path().join("leave.txt")).unwrap();
    let document = api.call(&citation_of(&answer, 0)).await.unwrap();
    let response = open(&document).await;
    assert_eq!(response.status(), 403, "the handler may not list the bucket");
    assert!(response.text().await.unwrap().contains("<Code>AccessDenied</Code>"));
}

#[tokio::test]
async fn only_readers_of_the_conversation_get_the_citation() {
    let users = ["ada", "bob", "eve"].map(PoolUser::named).to_vec();
    let fixture = Fixture::with_options(&DOCUMENTS, |options| ServerOptions { users, ..options }).await;
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(|name| fixture.backend.pool_user(name));
    let answer = fixture.ask(&ada.api, "default", QUESTION).await;
    let request = citation_of(&answer, 0);
    let not_found = format!("NotFound: There is no conversation {}.", answer.conversation_id);
    for api in [&bob.api, &eve.api, &fixture.backend.api, &fixture.backend.administrator] {
        assert_eq!(error_of(api, &request).await, not_found);
    }
    let conversation_id = answer.conversation_id.clone();
    let share = ShareConversation { conversation_id, user_id: bob.id.clone(), access: Access::Read };
    ada.api.call(&share).await.unwrap();
    for api in [&ada.api, &bob.api] {
        assert_eq!(open(&api.call(&request).await.unwrap()).await.status(), 200);
    }
    assert_eq!(error_of(&eve.api, &request).await, not_found);
    ada.api.call(&DeleteConversation { id: answer.conversation_id.clone() }).await.unwrap();
    for api in [&ada.api, &bob.api] {
        assert_eq!(error_of(api, &request).await, not_found);
    }
}

#[tokio::test]
async fn citation_must_be_one_of_an_event_of_the_conversation() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    fixture.put_agent("single", CITING_MODEL, json!({ "results": 1 })).await;
    let api = &fixture.backend.api;
    let [answer, other] = [fixture.ask(api, "single", QUESTION).await, fixture.ask(api, "default", QUESTION).await];
    let count = answer.events.last().unwrap()["content"].as_array().unwrap();
    let count = count.iter().filter_map(|block| block["citations"].as_array()).map(Vec::len).sum::<usize>() as u32;
    for index in 0..count {
        let document = api.call(&citation_of(&answer, index)).await.unwrap();
        assert_eq!(json!(document.citation.end), answer.citations()[index as usize]["end"]);
    }
    let out_of_range = format!("InvalidInput: index must be below {count}, the number of the event's citations.");
    assert_eq!(error_of(api, &citation_of(&answer, count)).await, out_of_range);

    let request = citation_of(&answer, 0);
    let event_of_other = GetCitation { conversation_id: other.conversation_id.clone(), ..request.clone() };
    let not_found = |id: &str| format!("NotFound: There is no event {id} of an agent.");
    assert_eq!(error_of(api, &event_of_other).await, not_found(&request.event_id));
    let turn_id = request.event_id.rsplitn(3, '-').last().unwrap();
    for event_id in [turn_id.to_owned(), format!("{turn_id}-9-9"), "none-1-1".into(), "-".into()] {
        let request = GetCitation { event_id: event_id.clone(), ..request.clone() };
        assert_eq!(error_of(api, &request).await, not_found(&event_id));
    }
    let (error_type, _) = expect_api_error(api, &GetCitation { event_id: "a/../b".into(), ..request }).await;
    assert_eq!(error_type, ErrorType::InvalidInput);
}

/// Three pages of 1 MB are read, from the end of the turn.
#[tokio::test]
async fn event_far_before_the_end_of_its_turn_is_not_found() {
    let backend = Backend::without_handler().await;
    let text = "a".repeat(300_000);
    // A page has three such events.
    for (later_events, is_found) in [(0, true), (8, true), (12, false)] {
        let (conversation, turn) = (backend.conversation().await, new_id());
        send_message(&backend.api, &conversation, &turn, "Why?").await.unwrap();
        backend.seed_cited_answer(&conversation, &turn, later_events, &text).await;
        let event_id = format!("{turn}-1-1");
        let request = GetCitation { conversation_id: conversation, event_id: event_id.clone(), index: 0 };
        if is_found {
            let document = backend.api.call(&request).await.unwrap();
            assert_eq!(document.url.as_deref(), Some("https://example.com/leave"), "a page of the web needs no link");
            assert_eq!((document.citation.title.as_str(), document.expires_at), ("Leave", None));
        } else {
            let expected = format!("NotFound: The event {event_id} is not among the last 3 MB of its turn.");
            assert_eq!(error_of(&backend.api, &request).await, expected);
        }
    }
}
