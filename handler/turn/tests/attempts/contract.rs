//! What this crate shares with the resolvers: payloads of invocations and the table of failures.
use std::collections::BTreeSet;

use api::types::FailureCode;
use turn::{failures::Failure, request::Invocation};

#[test]
fn every_failure_has_a_row_that_people_can_read() {
    let rows = FailureCode::ALL.map(Failure::new);
    for failure in rows {
        assert!(failure.text.ends_with('.') && !failure.text.contains("Exception"), "{failure:?}");
    }
    assert_eq!(rows.map(|failure| failure.text).into_iter().collect::<BTreeSet<_>>().len(), rows.len());
}

#[test]
fn failures_that_resolvers_write_are_rows_of_the_same_table() {
    let words: Vec<_> = include_str!("../../../../resolvers/shared.js").split_whitespace().collect();
    let resolvers = words.join(" ");
    for failure in [FailureCode::NotStarted, FailureCode::Interrupted].map(Failure::new) {
        let code = serde_json::to_value(failure.code).unwrap().as_str().unwrap().to_owned();
        let row = format!("code: '{code}', message: '{}', retryable: {}", failure.text, failure.retryable);
        assert!(resolvers.contains(&row), "{row}");
    }
}

#[test]
fn invocations_are_told_apart_by_their_type() {
    let turn = r#"{ "type": "turn", "conversationId": "c1", "turnId": "t1", "run": 1,
        "agent": { "id": "default", "version": 0, "name": null, "modelId": "m", "contextBytes": 400000,
                   "inference": { "maxTokens": 1024, "temperature": 0.5, "topP": null } },
        "question": { "id": "t1", "conversationId": "c1", "position": 1, "turnId": "t1", "sender": {"kind": "USER"},
            "content": [{"text": "Hi"}], "createdAt": "x" },
        "history": [], "historyCut": false }"#;
    let Ok(Invocation::Turn(turn)) = serde_json::from_str(turn) else { panic!("not read as a turn") };
    assert_eq!(turn.question.unwrap().texts().collect::<Vec<_>>(), ["Hi"]);
    assert_eq!(turn.agent.inference.unwrap().max_tokens, Some(1024));
    let purge = serde_json::from_str(r#"{ "type": "purge", "conversationId": "c1" }"#);
    assert!(matches!(purge, Ok(Invocation::Purge(purge)) if purge.conversation_id == "c1"));
    assert!(serde_json::from_str::<Invocation>(r#"{ "type": "other", "conversationId": "c1" }"#).is_err());
}
