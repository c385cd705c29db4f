//! The answer of a turn that is read from the API, for a client that may have missed it.
use api::types::{ConversationEvent, Failure, ToolCall, TurnStatus};
use serde::Deserialize;

use super::{message::MessageWriter, reply_to::ReplyTo, run_end::RunEnd};
use crate::claim::Claim;

/// A turn as `getTurn` returns it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredAnswer {
    pub id: String,
    pub conversation_id: String,
    pub status: TurnStatus,
    pub run: u32,
    pub attempt: u32,
    pub answer: Option<Vec<ConversationEvent>>,
    pub pending: Option<Vec<ToolCall>>,
    pub failure: Option<Failure>,
}

impl StoredAnswer {
    /// The messages that end the turn's run, without their number, which the API does not have. None while
    /// the turn is worked on.
    pub fn into_messages(self, reply_to: ReplyTo) -> Vec<String> {
        if !self.status.is_end() && self.status != TurnStatus::Waiting {
            return Vec::new();
        }
        let events = self.answer.unwrap_or_default();
        let end = RunEnd::of_events(self.status, &events, self.pending.unwrap_or_default(), self.failure);
        let claim = Claim {
            conversation_id: self.conversation_id,
            turn_id: self.id,
            run: self.run,
            attempt: self.attempt,
            last_position: events.last().map_or(0, |event| event.position),
        };
        MessageWriter::new(reply_to, claim).answer(&end).into_iter().map(|message| message.text).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::{
        super::tests::{events, websocket},
        *,
    };

    fn event(position: u32, kind: &str, content: &Value) -> Value {
        json!({
            "id": format!("e{position}"), "conversationId": "c1", "position": position, "turnId": "t1", "attempt": 2,
            "sender": { "kind": kind, "id": null, "name": null }, "content": content, "text": null,
            "stopReason": null, "usage": null, "failure": null, "superseded": null,
            "createdAt": "2026-11-21T09:00:00.000Z",
        })
    }

    fn text(text: &str) -> Value {
        json!({ "text": text, "citations": null, "toolUse": null, "toolResult": null })
    }

    fn call() -> Value {
        let call = json!({ "id": "a", "name": "order", "title": null, "input": "{}" });
        json!({ "text": null, "citations": null, "toolUse": call, "toolResult": null })
    }

    fn messages(changed: &Value, reply_to: ReplyTo) -> Vec<Value> {
        let mut turn = json!({
            "id": "t1", "conversationId": "c1", "status": "COMPLETED", "run": 1, "attempt": 2, "question": null,
            "answer": [], "batches": [], "hasMoreBatches": false, "pending": null, "failure": null, "usage": null,
        });
        turn.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        let turn: StoredAnswer = from_value(turn).unwrap();
        turn.into_messages(reply_to).iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    #[test]
    fn answer_has_the_text_of_the_last_step_in_all_its_events() {
        let answer = json!([
            event(2, "AGENT", &json!([text("I look."), call()])),
            event(3, "TOOL", &json!([])),
            event(4, "AGENT", &json!([text("So ")])),
            event(5, "AGENT", &json!([text("far.")])),
        ]);
        let reply_to = ReplyTo { request_id: Some("7".into()), ..events() };
        assert_eq!(
            messages(&json!({ "answer": answer }), reply_to),
            [json!({
                "type": "answer", "id": "7", "sessionId": "c1", "result": { "text": "So far." }, "turnId": "t1",
                "attempt": 2, "status": "COMPLETED",
            })]
        );
        let long = json!({ "answer": [event(2, "AGENT", &json!([text(&"x".repeat(40_000))]))] });
        let parts = messages(&long, websocket());
        assert_eq!((parts.len(), &parts[1]["part"], &parts[1]["conversationId"]), (2, &json!(2), &json!("c1")));
    }

    #[test]
    fn end_without_a_text_is_a_sentence() {
        let failure = json!({ "code": "NOT_STARTED", "message": "Not started.", "retryable": true });
        let pending = json!([{ "id": "a", "name": "order", "title": null, "status": "APPROVAL_NEEDED", "note": null }]);
        let after_tools =
            json!([event(2, "AGENT", &json!([text("I look."), call()])), event(3, "TOOL", &json!([text("Done.")]))]);
        for (turn, expected) in [
            (json!({ "status": "FAILED", "failure": failure }), "Not started."),
            (json!({ "status": "FAILED", "failure": failure, "answer": after_tools }), "Not started."),
            (json!({ "status": "CANCELLED", "answer": null }), "The answer was stopped."),
            (json!({ "status": "CANCELLED", "answer": after_tools }), "The answer was stopped."),
            (
                json!({ "status": "WAITING", "pending": pending, "answer": [event(2, "AGENT", &json!([call()]))] }),
                "The tool order waits for an approval.",
            ),
        ] {
            let [message] = messages(&turn, websocket()).try_into().unwrap();
            assert_eq!((&message["message"], &message["status"]), (&json!(expected), &turn["status"]));
            let given = |name: &str| turn.get(name).cloned().unwrap_or_default();
            assert_eq!((&message["failure"], &message["pending"]), (&given("failure"), &given("pending")));
        }
    }

    #[test]
    fn turn_that_is_worked_on_has_no_answer_yet() {
        for status in ["QUEUED", "RUNNING", "CANCELLING"] {
            assert_eq!(messages(&json!({ "status": status }), events()), Vec::<Value>::new(), "{status}");
        }
    }
}
