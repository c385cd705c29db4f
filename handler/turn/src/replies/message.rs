//! Replies as JSON texts.
use api::{
    json_size::fitting_prefix,
    types::{Citation, Failure, ToolCall, TurnStatus},
};
use serde::Serialize;

use super::{
    reply_to::{Listener, ReplyTo},
    run_end::RunEnd,
};
use crate::claim::Claim;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyMessage {
    pub sequence: u32,
    pub kind: MessageKind,
    /// JSON text.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// An update as subscribers get it.
    Delta,
    /// What a client needs to read an update that is too large to send.
    Reference,
    /// The end of the run, or a part of it.
    Answer,
}

/// Writes the messages of one run.
#[derive(Debug)]
pub struct MessageWriter {
    format: Format,
    request_id: Option<String>,
    claim: Claim,
    /// Of each message.
    max_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Events,
    WebSocket,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReferenceMessage<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    conversation_id: &'a str,
    turn_id: &'a str,
    attempt: u32,
    sequence: u32,
    truncated: bool,
}

#[derive(Clone, Copy, Serialize)]
struct AnswerResult<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswerMessage<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<AnswerResult<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<&'a str>,
    turn_id: &'a str,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u32>,
    status: TurnStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<usize>,
    #[serde(skip_serializing_if = "<[Citation]>::is_empty")]
    citations: &'a [Citation],
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    #[serde(skip_serializing_if = "<[ToolCall]>::is_empty")]
    pending: &'a [ToolCall],
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
}

impl MessageWriter {
    pub fn new(reply_to: ReplyTo, claim: Claim) -> Self {
        let ReplyTo { listener, request_id, .. } = reply_to;
        let max_bytes = listener.request_limits().bytes;
        let format = match listener {
            Listener::Events(_) => Format::Events,
            Listener::WebSocket(_) => Format::WebSocket,
        };
        Self { format, request_id, claim, max_bytes }
    }

    /// `update`: the JSON text of an object, as subscribers get it.
    pub fn delta(&self, sequence: u32, update: &str) -> ReplyMessage {
        let text = self.with_head(update);
        match text.filter(|text| text.len() <= self.max_bytes) {
            Some(text) => ReplyMessage { sequence, kind: MessageKind::Delta, text },
            None => ReplyMessage { sequence, kind: MessageKind::Reference, text: self.reference(sequence) },
        }
    }

    /// In as many parts as needed.
    pub fn answer(&self, end: &RunEnd) -> Vec<ReplyMessage> {
        let parts = self.parts(end);
        let count = parts.full.len() + 1;
        let message = |(index, part): (usize, &AnswerPart)| {
            let is_last = index + 1 == count;
            let mut message = self.answer_part(end, part);
            (message.part, message.parts) = if count > 1 { (Some(index + 1), Some(count)) } else { (None, None) };
            message.truncated = (is_last && parts.is_truncated).then_some(true);
            ReplyMessage { sequence: end.sequence, kind: MessageKind::Answer, text: to_json(&message) }
        };
        parts.full.iter().chain([&parts.last]).enumerate().map(message).collect()
    }

    fn head(&self, kind: &'static str) -> Head<'_> {
        let session_id = (self.format == Format::Events).then_some(self.claim.conversation_id.as_str());
        Head { kind, id: self.request_id.as_deref(), session_id }
    }

    /// `None` if the update is no object.
    fn with_head(&self, update: &str) -> Option<String> {
        let members = update.strip_prefix('{')?.strip_suffix('}')?;
        let head = to_json(&self.head("delta"));
        if members.is_empty() {
            return Some(head);
        }
        Some(format!("{},{members}}}", head.strip_suffix('}')?))
    }

    fn reference(&self, sequence: u32) -> String {
        let Claim { conversation_id, turn_id, attempt, .. } = &self.claim;
        let head = self.head("delta");
        to_json(&ReferenceMessage { head, conversation_id, turn_id, attempt: *attempt, sequence, truncated: true })
    }

    fn answer_part<'a>(&'a self, end: &RunEnd, part: &AnswerPart<'a>) -> AnswerMessage<'a> {
        let is_events = self.format == Format::Events;
        AnswerMessage {
            head: self.head("answer"),
            result: is_events.then_some(AnswerResult { text: part.text }),
            message: (!is_events).then_some(part.text),
            conversation_id: (!is_events).then_some(self.claim.conversation_id.as_str()),
            turn_id: &self.claim.turn_id,
            attempt: self.claim.attempt,
            sequence: (end.sequence > 0).then_some(end.sequence),
            status: end.status,
            part: None,
            parts: None,
            citations: part.citations,
            failure: part.failure,
            pending: part.pending,
            truncated: None,
        }
    }

    fn parts<'a>(&self, end: &'a RunEnd) -> AnswerParts<'a> {
        let widest = AnswerMessage {
            part: Some(9999),
            parts: Some(9999),
            truncated: Some(true),
            ..self.answer_part(end, &AnswerPart::default())
        };
        let mut parts = AnswerParts::new(self.max_bytes.saturating_sub(to_json(&widest).len()));
        parts.is_truncated = end.is_truncated;
        parts.push_text(&end.text);
        parts.push_items(&end.citations, "citations", |part| &mut part.citations);
        parts.push_items(&end.pending, "pending", |part| &mut part.pending);
        parts.push_failure(end.failure.as_ref());
        parts
    }
}

#[derive(Clone, Copy, Default)]
struct AnswerPart<'a> {
    text: &'a str,
    citations: &'a [Citation],
    pending: &'a [ToolCall],
    failure: Option<&'a Failure>,
}

/// The parts of an answer, each of which fits into one message. The text fills one after the other, and what
/// else there is follows from the last of them on.
struct AnswerParts<'a> {
    /// Those before the last.
    full: Vec<AnswerPart<'a>>,
    last: AnswerPart<'a>,
    /// For the content of a part, in bytes.
    room: usize,
    /// Of the last part's room.
    used: usize,
    is_truncated: bool,
}

impl<'a> AnswerParts<'a> {
    fn new(room: usize) -> Self {
        Self { full: Vec::new(), last: AnswerPart::default(), room, used: 0, is_truncated: false }
    }

    fn add_part(&mut self) {
        self.full.push(std::mem::take(&mut self.last));
        self.used = 0;
    }

    fn push_text(&mut self, mut text: &'a str) {
        loop {
            let fit = fitting_prefix(text, self.room - self.used);
            let (head, tail) = text.split_at(fit.cut);
            self.last.text = head;
            self.used += fit.size;
            if tail.is_empty() || head.is_empty() {
                self.is_truncated |= !tail.is_empty();
                return;
            }
            text = tail;
            self.add_part();
        }
    }

    /// An item that fits into no part is left out.
    fn push_items<T: Serialize>(
        &mut self,
        items: &'a [T],
        member: &str,
        list_of: impl for<'p> Fn(&'p mut AnswerPart<'a>) -> &'p mut &'a [T],
    ) {
        let list_bytes = member.len() + r#","":[]"#.len();
        let mut first = 0;
        for (index, item) in items.iter().enumerate() {
            let item_bytes = json_len(item) + 1;
            let is_new_list = index == first;
            let bytes = item_bytes + if is_new_list { list_bytes } else { 0 };
            if self.used + bytes <= self.room {
                self.used += bytes;
                *list_of(&mut self.last) = &items[first..=index];
                continue;
            }
            first = index;
            if item_bytes + list_bytes > self.room {
                first += 1;
                self.is_truncated = true;
                self.used = self.room;
                continue;
            }
            self.add_part();
            self.used = item_bytes + list_bytes;
            *list_of(&mut self.last) = &items[first..=index];
        }
    }

    fn push_failure(&mut self, failure: Option<&'a Failure>) {
        let Some(failure) = failure else { return };
        let bytes = json_len(failure) + r#","failure":"#.len();
        if self.used + bytes > self.room {
            self.add_part();
        }
        self.used += bytes;
        self.last.failure = Some(failure);
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("names and plain data always serialize")
}

pub fn json_len(value: &impl Serialize) -> usize {
    to_json(value).len()
}

#[cfg(test)]
mod tests {
    use api::types::{FailureCode, ToolStatus};
    use proptest::{collection::vec, prelude::*};
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::{
        super::tests::{claim, events, run_end, websocket},
        *,
    };

    fn writer(reply_to: ReplyTo) -> MessageWriter {
        MessageWriter::new(reply_to, claim())
    }

    fn parse(message: &ReplyMessage) -> Value {
        serde_json::from_str(&message.text).unwrap()
    }

    fn citation(number: u32, passage_bytes: usize) -> Citation {
        let (source, url, score, page) = (None, None, None, None);
        let passage = "\"".repeat(passage_bytes / 2);
        Citation { number, title: "a.md".into(), source, url, passage, score, page, start: 0, end: 2 }
    }

    fn failure() -> Failure {
        Failure { code: Some(FailureCode::Throttled), message: "Busy.".into(), retryable: true }
    }

    fn call(note: Option<String>) -> ToolCall {
        ToolCall { id: "a".into(), name: "order".into(), title: None, status: ToolStatus::ApprovalNeeded, note }
    }

    #[test]
    fn delta_has_the_update_and_says_what_it_is() {
        let update = r#"{"conversationId":"c1","sequence":3,"metadata":{"agentPartialMessage":"\"}{\u0000"}}"#;
        let mut expected: Value = serde_json::from_str(update).unwrap();
        expected["type"] = json!("delta");
        let websocket = writer(websocket()).delta(3, update);
        assert_eq!((parse(&websocket), websocket.sequence), (expected.clone(), 3));
        expected["id"] = json!("a\"\n");
        expected["sessionId"] = json!("c1");
        let events = writer(ReplyTo { request_id: Some("a\"\n".into()), ..events() });
        assert_eq!(parse(&events.delta(3, update)), expected);
        assert_eq!(parse(&events.delta(3, "{}")), json!({ "type": "delta", "id": "a\"\n", "sessionId": "c1" }));
        for no_object in ["", "7", "[]", "{"] {
            assert_eq!(events.delta(3, no_object).kind, MessageKind::Reference, "{no_object}");
        }
    }

    #[test]
    fn answer_has_the_members_of_its_entry() {
        let end = RunEnd {
            citations: vec![citation(1, 2)],
            failure: Some(failure()),
            pending: vec![call(None)],
            ..run_end(9, "So.")
        };
        let mut expected = json!({
            "type": "answer", "id": "7", "turnId": "t1", "attempt": 2, "sequence": 9, "status": "COMPLETED",
            "citations": [{ "number": 1, "title": "a.md", "passage": "\"", "start": 0, "end": 2 }],
            "failure": { "code": "THROTTLED", "message": "Busy.", "retryable": true },
            "pending": [{ "id": "a", "name": "order", "title": null, "status": "APPROVAL_NEEDED", "note": null }],
        });
        let request_id = Some("7".to_owned());
        let mut of_events = expected.clone();
        of_events["result"] = json!({ "text": "So." });
        of_events["sessionId"] = json!("c1");
        let [message] = writer(ReplyTo { request_id: request_id.clone(), ..events() }).answer(&end).try_into().unwrap();
        assert_eq!((parse(&message), message.kind, message.sequence), (of_events, MessageKind::Answer, 9));
        expected["message"] = json!("So.");
        expected["conversationId"] = json!("c1");
        let [message] = writer(ReplyTo { request_id, ..websocket() }).answer(&end).try_into().unwrap();
        assert_eq!(parse(&message), expected);
        let [message] = writer(websocket()).answer(&run_end(9, "So.")).try_into().unwrap();
        let bare = json!({
            "type": "answer", "message": "So.", "conversationId": "c1", "turnId": "t1", "attempt": 2, "sequence": 9,
            "status": "COMPLETED",
        });
        assert_eq!(parse(&message), bare);
    }

    #[test]
    fn long_answer_comes_in_parts_that_fit() {
        for text in ["x", "\"\\", "\u{0}\u{1f}", "é", "👩‍👩‍👧‍👦", "\"\u{0}👩 \u{7f}\u{2028}"] {
            let text = text.repeat(300_000 / text.len());
            for (reply_to, limit) in [(events(), 240_000), (websocket(), 32_000)] {
                let request_id = Some("\u{0}".repeat(128));
                let messages = writer(ReplyTo { request_id, ..reply_to.clone() }).answer(&run_end(9, &text));
                assert!(messages.len() > 1);
                let mut joined = String::new();
                for (index, message) in messages.iter().enumerate() {
                    assert!(message.text.len() <= limit, "{} bytes", message.text.len());
                    let is_last = index + 1 == messages.len();
                    assert!(is_last || message.text.len() > limit - 100, "{} bytes", message.text.len());
                    let message = parse(message);
                    assert_eq!((&message["part"], &message["parts"]), (&json!(index + 1), &json!(messages.len())));
                    let text = if reply_to == events() { &message["result"]["text"] } else { &message["message"] };
                    joined.push_str(text.as_str().unwrap());
                }
                assert_eq!(joined, text);
            }
        }
    }

    #[test]
    fn what_follows_the_text_is_in_the_last_parts() {
        let end = RunEnd {
            citations: (1..=64).map(|number| citation(number, 3000)).collect(),
            pending: vec![call(None), call(Some("x".repeat(31_000)))],
            failure: Some(failure()),
            ..run_end(9, &"x".repeat(50_000))
        };
        let messages: Vec<Value> = writer(websocket())
            .answer(&end)
            .iter()
            .map(|message| {
                assert!(message.text.len() <= 32_000, "{} bytes", message.text.len());
                parse(message)
            })
            .collect();
        assert!(messages[0].get("citations").is_none(), "the first part is full of text");
        let items = |member: &str| -> Vec<Value> {
            messages.iter().filter_map(|message| message[member].as_array()).flatten().cloned().collect()
        };
        assert_eq!(items("citations"), serde_json::to_value(&end.citations).unwrap().as_array().unwrap()[..]);
        assert_eq!(items("pending"), serde_json::to_value(&end.pending).unwrap().as_array().unwrap()[..]);
        let failures: Vec<bool> = messages.iter().map(|message| message.get("failure").is_some()).collect();
        assert_eq!(failures.iter().position(|has| *has), Some(messages.len() - 1));
        assert!(messages.iter().all(|message| message.get("truncated").is_none()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_answer_fits_and_is_whole(
            text in "\\PC{0,40}|[\u{0}-\u{1f}\"\\\\👩é]{0,40}",
            repeat in 0_usize..4_000,
            passages in vec(0_usize..3_000, 0..70),
            notes in vec(0_usize..8_000, 0..8),
            has_failure in any::<bool>(),
            is_websocket in any::<bool>(),
        ) {
            let end = RunEnd {
                citations: (1..).zip(passages).map(|(number, bytes)| citation(number, bytes)).collect(),
                pending: notes.into_iter().map(|bytes| call(Some("\n".repeat(bytes)))).collect(),
                failure: has_failure.then(failure),
                ..run_end(9, &text.repeat(repeat))
            };
            let (reply_to, limit) = if is_websocket { (websocket(), 32_000) } else { (events(), 240_000) };
            let mut joined = run_end(9, "");
            for message in writer(reply_to).answer(&end) {
                prop_assert!(message.text.len() <= limit, "{} bytes", message.text.len());
                prop_assert_eq!(joined.failure.take(), None, "the failure is in the last part");
                let mut message = parse(&message);
                let text = if is_websocket { &message["message"] } else { &message["result"]["text"] };
                joined.text.push_str(text.as_str().unwrap());
                joined.citations.extend(list::<Citation>(&mut message, "citations"));
                joined.pending.extend(list::<ToolCall>(&mut message, "pending"));
                joined.failure = serde_json::from_value(message["failure"].take()).unwrap();
                joined.is_truncated |= message["truncated"] == true;
            }
            prop_assert_eq!(joined, end);
        }
    }

    fn list<T: DeserializeOwned>(message: &mut Value, member: &str) -> Vec<T> {
        serde_json::from_value::<Option<Vec<T>>>(message[member].take()).unwrap().unwrap_or_default()
    }

    #[test]
    fn item_that_fits_into_no_part_is_left_out() {
        let pending = vec![call(None), call(Some("\"".repeat(16_000))), call(None)];
        let end = RunEnd { pending, failure: Some(failure()), ..run_end(9, "So.") };
        let messages: Vec<Value> = writer(websocket()).answer(&end).iter().map(parse).collect();
        let [first, second] = &messages[..] else { panic!("{messages:?}") };
        assert_eq!((first["pending"].as_array().unwrap().len(), first.get("truncated")), (1, None));
        assert_eq!((second["pending"].as_array().unwrap().len(), &second["truncated"]), (1, &json!(true)));
        let cut = RunEnd { is_truncated: true, ..run_end(9, "So.") };
        assert_eq!(parse(&writer(events()).answer(&cut)[0])["truncated"], true);
    }
}
