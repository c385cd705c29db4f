//! Answers to tool calls that wait, as the resolvers' own JavaScript takes them.
use std::fs;

use local::{
    resolver::{Engine, Handler, Outcome},
    stack::Code,
};
use serde_json::{Value, json};

use crate::{
    fuzzer::{Target, fuzz},
    mutator::Mutator,
};

const MAX_RESULT_BYTES: usize = 48 << 10;
const MAX_REASON_CHARACTERS: usize = 1_000;
/// The refusals that clients may get.
const ERROR_TYPES: [&str; 4] = ["InvalidInput", "NotPending", "ToolCallAnswered", "Unauthorized"];

struct ToolAnswers {
    engine: Engine,
    validate: Code,
    put: Code,
    stored_answers: u32,
}

impl ToolAnswers {
    fn new() -> Self {
        let code = |name: &str| {
            let path = format!("resolvers/turns/{name}.js");
            let text = fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR")));
            Code { path, text: text.expect("the resolver is readable") }
        };
        let engine = Engine::new().expect("the engine starts");
        Self { engine, validate: code("validateToolAnswer"), put: code("putToolAnswer"), stored_answers: 0 }
    }

    /// Runs the request handler of a function. Returns what it returned or why it refused, and the stash.
    fn request(&self, code: &Code, input: &Value, stash: &Value) -> Result<(Option<Value>, Value), String> {
        let context = json!({
            "env": { "TABLE_NAME": "Table", "MESSAGES_PER_MINUTE": "10", "TOKENS_PER_DAY": "100" },
            "identity": { "sub": "u1" },
            "arguments": { "input": input },
            "stash": stash,
        });
        let report = self.engine.run(code, Handler::Request, context);
        match report.outcome {
            Outcome::Returned(request) => Ok((Some(request), report.stash)),
            Outcome::EarlyReturn { .. } | Outcome::Unauthorized => Ok((None, report.stash)),
            Outcome::Raised(error) => {
                let error_type = error.error_type.unwrap_or_default();
                let is_known = ERROR_TYPES.contains(&error_type.as_str()) && error.message.ends_with('.');
                if is_known { Ok((None, report.stash)) } else { Err(format!("{error_type}: {}", error.message)) }
            }
        }
    }
}

/// A turn that waits for an approval of `ship` and a result of `pick`.
fn stash() -> Value {
    let pending = json!([
        { "id": "ship", "name": "ship", "title": "Ship", "status": "APPROVAL_NEEDED" },
        { "id": "pick", "name": "pick", "status": "CLIENT_NEEDED" },
    ]);
    json!({
        "userId": "u1",
        "agent": { "id": "clerk", "tools": [{ "name": "ship" }, { "name": "pick", "client": true }] },
        "conversation": { "id": "c1", "owner": "u1", "eventCount": 5, "activeTurnId": "t1" },
        "turn": {
            "id": "t1", "conversationId": "c1", "run": 1, "attempt": 2, "status": "WAITING", "storedStatus": "WAITING",
            "questionPosition": 3, "answerPosition": 3, "runPosition": 5, "lastPosition": 5, "lastSequence": 7,
            "lastEventSequence": 6, "announced": false, "claimableUntil": 1, "pendingUntil": 9_000_000_000_000_u64,
            "pendingPosition": 4, "agentId": "clerk", "agentVersion": 3, "askedBy": "u1",
            "pending": pending, "storedPending": pending,
        },
    })
}

fn answer(id: &str, members: Value) -> Value {
    let mut answer = json!({ "conversationId": "c1", "turnId": "t1", "toolUseId": id });
    answer.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    answer
}

fn answers() -> Vec<Value> {
    vec![
        answer("ship", json!({ "approved": true })),
        answer("ship", json!({ "approved": false, "reason": "Too expensive. 👩‍👩‍👧" })),
        answer("ship", json!({ "approved": false, "reason": "é".repeat(MAX_REASON_CHARACTERS) })),
        answer("pick", json!({ "approved": false, "reason": "\u{1f}\u{feff}" })),
        answer("pick", json!({ "result": { "color": "red", "size": [1.0, null, { "deep": true }] } })),
        answer("pick", json!({ "result": "It failed.", "isError": true })),
        answer("pick", json!({ "result": "x".repeat(MAX_RESULT_BYTES - 2) })),
        answer("pick", json!({ "result": "é".repeat(MAX_RESULT_BYTES / 2) })),
        answer("pick", json!({ "result": false })),
        answer("other", json!({ "approved": true })),
        answer("../\n", json!({ "approved": true })),
    ]
}

impl Target for ToolAnswers {
    fn corpus(&self) -> Vec<Vec<u8>> {
        answers().iter().map(|answer| answer.to_string().into()).collect()
    }

    /// AppSync has checked the types of the members, except of the result, which may be any JSON.
    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut answer: Value = serde_json::from_slice(mutator.choose_input(corpus)).unwrap_or_default();
        for _ in 0..=mutator.below(2) {
            let change = match mutator.below(5) {
                0 => ("toolUseId", json!(mutator.mutate_text("ship"))),
                1 => ("reason", json!(mutator.mutate_text("Too expensive."))),
                2 => ("approved", mutator.choose(&[json!(true), json!(false), Value::Null]).clone()),
                3 => ("isError", mutator.choose(&[json!(true), json!(false), Value::Null]).clone()),
                _ => ("result", mutator.mutate_json(&json!({ "color": "red", "sizes": [1.5, "é", null] }))),
            };
            answer[change.0] = change.1;
        }
        answer.to_string().into()
    }

    /// An answer is refused with one of the errors for clients, or stored within its bounds.
    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let Ok(input) = serde_json::from_slice::<Value>(input) else { return Ok(()) };
        let (Some(_), stash) = self.request(&self.validate, &input, &stash())? else { return Ok(()) };
        assert_bounds(&stash["toolAnswer"])?;
        let (Some(request), stash) = self.request(&self.put, &input, &stash)? else { return Ok(()) };
        let written = request["transactItems"].as_array().map_or(0, Vec::len);
        let names = stash["transactionItemNames"].as_array().map_or(0, Vec::len);
        let is_first = stash["queuedTurn"]["status"] == "WAITING";
        if (written, names) != (4, 4) || !is_first {
            return Err(format!("{written} items are written for {names}"));
        }
        self.stored_answers += 1;
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), String> {
        if self.stored_answers > 0 { Ok(()) } else { Err("no answer was stored".to_owned()) }
    }
}

fn assert_bounds(answer: &Value) -> Result<(), String> {
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    let is_json = answer["result"].is_null() || serde_json::from_str::<Value>(text("result")).is_ok();
    let is_bounded = text("result").len() <= MAX_RESULT_BYTES
        && text("reason").encode_utf16().count() <= MAX_REASON_CHARACTERS
        && answer["answeredBy"] == "u1";
    let has_one = answer["approved"].is_null() != answer["result"].is_null();
    if is_json && is_bounded && has_one { Ok(()) } else { Err(format!("the answer {answer} is stored")) }
}

#[tokio::test]
async fn tool_answers() {
    fuzz("tool answers", 150, &mut ToolAnswers::new()).await;
}
