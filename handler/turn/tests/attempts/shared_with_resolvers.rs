//! The contract with the resolvers: payloads of invocations and the table of failures.
use std::collections::BTreeSet;

use api::types::{FailureCode, ToolStatus};
use turn::{
    failures::Failure,
    request::{Invocation, RenewApiKeyRequest},
    tool::Tool,
};

#[test]
fn every_failure_has_its_own_message_without_internals() {
    let failures = FailureCode::ALL.map(Failure::new);
    for failure in failures {
        assert!(failure.message.ends_with('.') && !failure.message.contains("Exception"), "{failure:?}");
    }
    let messages: BTreeSet<_> = failures.iter().map(|failure| failure.message).collect();
    assert_eq!(messages.len(), failures.len());
}

#[test]
fn failures_written_by_resolvers_are_rows_of_the_table() {
    let words: Vec<_> = include_str!("../../../../resolvers/shared.js").split_whitespace().collect();
    let resolvers = words.join(" ");
    for failure in [FailureCode::NotStarted, FailureCode::Interrupted, FailureCode::PendingExpired].map(Failure::new) {
        let code = serde_json::to_value(failure.code).unwrap();
        let row = format!(
            "code: '{}', message: '{}', retryable: {}",
            code.as_str().unwrap(),
            failure.message,
            failure.retryable
        );
        assert!(resolvers.contains(&row), "{row}");
    }
}

#[test]
fn tools_are_read_as_they_are_stored() {
    let tool = |members: &str| -> Tool {
        let start = r#"{"name":"a","title":null,"description":"b","inputSchema":"{}","effect":"WRITE""#;
        serde_json::from_str(&format!("{start},{members}}}")).unwrap()
    };
    let lambda = r#""lambda":{"functionArn":"arn"}"#;
    for (members, expected) in [
        (format!(r#""approval":"ALWAYS",{lambda}"#), Some(ToolStatus::ApprovalNeeded)),
        (format!(r#""approval":"NEVER",{lambda}"#), None),
        (lambda.to_owned(), Some(ToolStatus::ApprovalNeeded)),
        (r#""approval":"NEVER","client":true"#.to_owned(), Some(ToolStatus::ClientNeeded)),
        (r#""approval":"ALWAYS","graphql":{"document":"{ a }"}"#.to_owned(), Some(ToolStatus::ApprovalNeeded)),
    ] {
        assert_eq!(tool(&members).pending_status(), expected, "{members}");
    }
}

#[test]
fn type_member_selects_the_kind_of_invocation() {
    let turn = r#"{ "type": "turn", "conversationId": "c1", "turnId": "t1", "run": 1,
        "agent": { "id": "default", "version": 0, "name": null, "modelId": "m", "contextBytes": 400000,
                   "inference": { "maxTokens": 1024, "temperature": 0.5, "topP": null } },
        "question": { "id": "t1", "conversationId": "c1", "position": 1, "turnId": "t1", "sender": { "kind": "USER" },
                      "content": [{ "text": "Hi" }], "createdAt": "2026-11-21T09:00:00.000Z" },
        "history": [], "historyCut": false }"#;
    let Ok(Invocation::Turn(turn)) = serde_json::from_str(turn) else { panic!("not parsed as a turn") };
    assert_eq!(turn.question.unwrap().texts().collect::<Vec<_>>(), ["Hi"]);
    assert_eq!(turn.agent.inference.unwrap().max_tokens, Some(1024));
    let purge = serde_json::from_str(r#"{ "type": "purge", "conversationId": "c1" }"#);
    assert!(matches!(purge, Ok(Invocation::Purge(purge)) if purge.conversation_id == "c1"));
    let link = serde_json::from_str(r#"{ "type": "linkDocument", "source": "s3://docs/a.pdf" }"#);
    assert!(matches!(link, Ok(Invocation::LinkDocument(link)) if link.source == "s3://docs/a.pdf"));
    let renewal = serde_json::from_str(r#"{"type":"renewApiKey"}"#);
    assert!(matches!(renewal, Ok(Invocation::RenewApiKey(RenewApiKeyRequest {}))));
    for other in [r#"{"type":"renewApiKey","id":"k1"}"#, r#"{"type":"renewAPIKey"}"#, r#"{"renewApiKey":true}"#] {
        assert!(serde_json::from_str::<Invocation>(other).is_err(), "{other}");
    }
    assert!(serde_json::from_str::<Invocation>(r#"{ "type": "other", "conversationId": "c1" }"#).is_err());
}
