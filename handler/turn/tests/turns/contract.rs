//! The words of this crate against schema.graphql.
use std::{collections::BTreeSet, fmt::Debug};

use serde::{Serialize, de::DeserializeOwned};
use turn::{
    failures::FailureCode,
    request::Invocation,
    words::{SenderKind, StopReason, TurnStatus},
};

const SCHEMA: &str = include_str!("../../../../schema.graphql");

#[test]
fn enums_have_exactly_the_schemas_values() {
    same_values::<TurnStatus>("TurnStatus");
    same_values::<SenderKind>("SenderKind");
    same_values::<StopReason>("StopReason");
    same_values::<FailureCode>("FailureCode");
}

#[test]
fn every_failure_has_a_row_that_people_can_read() {
    let rows = FailureCode::ALL.map(FailureCode::failure);
    for failure in rows {
        assert!(failure.text.ends_with('.') && !failure.text.contains("Exception"), "{failure:?}");
    }
    assert_eq!(rows.map(|failure| failure.text).into_iter().collect::<BTreeSet<_>>().len(), rows.len());
    let named = rows.map(|failure| serde_json::to_value(failure.code).unwrap().as_str().unwrap().to_owned());
    assert_eq!(BTreeSet::from(named), schema_values("FailureCode"));
}

#[test]
fn failures_that_resolvers_write_are_rows_of_the_same_table() {
    let words: Vec<_> = include_str!("../../../../resolvers/shared.js").split_whitespace().collect();
    let resolvers = words.join(" ");
    for failure in [FailureCode::NotStarted.failure(), FailureCode::Interrupted.failure()] {
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
        "question": { "id": "t1", "position": 1, "turnId": "t1", "sender": {"kind": "USER"}, "content": [{"text": "Hi"}], "createdAt": "x" },
        "history": [], "historyCut": false }"#;
    let Ok(Invocation::Turn(turn)) = serde_json::from_str(turn) else { panic!("not read as a turn") };
    assert_eq!(turn.question.unwrap().texts().collect::<Vec<_>>(), ["Hi"]);
    assert_eq!(turn.agent.inference.unwrap().max_tokens, Some(1024));
    let purge = serde_json::from_str(r#"{ "type": "purge", "conversationId": "c1" }"#);
    assert!(matches!(purge, Ok(Invocation::Purge(purge)) if purge.conversation_id == "c1"));
    assert!(serde_json::from_str::<Invocation>(r#"{ "type": "other", "conversationId": "c1" }"#).is_err());
}

fn same_values<E: Serialize + DeserializeOwned + Debug>(name: &str) {
    let values = schema_values(name);
    let ours: BTreeSet<_> = values
        .iter()
        .filter_map(|value| serde_json::from_value::<E>(value.as_str().into()).ok())
        .collect::<Vec<_>>()
        .iter()
        .map(|value| serde_json::to_value(value).unwrap().as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ours, values, "{name}");
    let unknown = serde_json::from_value::<E>("?".into()).unwrap_err().to_string();
    assert_eq!(
        unknown.matches('`').count() / 2 - 1,
        values.len(),
        "{name} knows other values than the schema: {unknown}"
    );
}

fn schema_values(name: &str) -> BTreeSet<String> {
    let (_, rest) = SCHEMA.split_once(&format!("\nenum {name} {{\n")).unwrap();
    let (body, _) = rest.split_once("\n}").unwrap();
    body.lines().map(str::trim).filter(|line| !line.starts_with('"')).map(str::to_owned).collect()
}
