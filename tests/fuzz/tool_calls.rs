//! Tool calls of a model: the bytes of its response, the arguments in fragments, and results of any text.
use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{
    backoff::Backoff,
    types::{ToolResult, ToolStatus, ToolUse, TurnStatus},
};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use axum::{
    Router,
    body::Bytes,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::post,
};
use futures::Stream;
use handler::{
    attempt_loop::{Effects, run_attempt},
    model::{Bedrock, Model},
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use tokio::time::Instant;
use turn::{
    attempt::{Attempt, AttemptStart},
    claim::Claim,
    deadlines::Deadlines,
    direct_write::{DirectWrite, WriteFailure},
    effect::AttemptEnd,
    knowledge::RetrievalRequest,
    limits::Limits,
    model::{ModelError, ModelRequest, StreamEvent, ToolOutput},
    mutation::{Accepted, Mutation, PublishFailure, Update},
    replies::{ReplyFailure, ReplyRequest},
    request::Agent,
    retrieval::RetrievalResult,
    tool::{Caller, MAX_RESULT_BYTES, ToolOutcome, ToolRun},
};

use crate::{
    event_streams::{StreamMessage, serve},
    fuzzer::{Target, fuzz},
    mutator::Mutator,
};

/// The bound of the arguments of one call, and of the calls of a step together.
const MAX_INPUT_BYTES: usize = 48 << 10;
const MAX_STEP_INPUT_BYTES: usize = 120_000;
/// Of a tool's output that is made longer than a result may be.
const MAX_OUTPUT_BYTES: usize = 200_000;
/// AppSync drops larger updates.
const MAX_EVENT_BYTES: usize = 240_000;
const STREAMING_MODEL: &str = "anthropic.claude-sonnet-5";
/// Takes no tools in a stream.
const WHOLE_MODEL: &str = "meta.llama3-3-70b-instruct-v1:0";

/// An attempt at a turn, whose model answers the first request with the input.
struct ToolCalls {
    model_id: &'static str,
    /// The body of the model's next response. Afterwards it answers with a text.
    response: Arc<Mutex<Option<Bytes>>>,
    bedrock: Bedrock,
    stored_calls: usize,
}

impl ToolCalls {
    async fn new(model_id: &'static str) -> Self {
        let response = Arc::<Mutex<Option<Bytes>>>::default();
        let (streamed, whole) = (Arc::clone(&response), Arc::clone(&response));
        let take = |response: &Mutex<Option<Bytes>>| response.lock().expect("no holder panics").take();
        let respond_streamed = move || async move {
            let body = take(&streamed).unwrap_or_else(|| frames(&last_answer()).into());
            ([(CONTENT_TYPE, "application/vnd.amazon.eventstream")], body)
        };
        let respond_whole = move || async move {
            let body = take(&whole).unwrap_or_else(|| whole_answer(json!([{ "text": "Done." }])).to_string().into());
            (StatusCode::OK, [(CONTENT_TYPE, "application/json")], body).into_response()
        };
        let router = Router::new()
            .route("/model/{id}/converse-stream", post(respond_streamed))
            .route("/model/{id}/converse", post(respond_whole));
        let credentials = Credentials::new("AKIDHANDLER", "secret", None, None, "fuzz");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(serve(router).await)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        Self { model_id, response, bedrock: Bedrock::new(&config), stored_calls: 0 }
    }

    fn is_streaming(&self) -> bool {
        self.model_id == STREAMING_MODEL
    }

    fn start(&self) -> AttemptStart {
        let tool = |name: &str| {
            json!({
                "name": name, "description": "Looks.", "inputSchema": r#"{"type":"object"}"#, "effect": "READ",
                "lambda": { "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:look" },
            })
        };
        let agent: Agent = parse(json!({
            "id": "a", "version": 1, "modelId": self.model_id, "contextBytes": 500_000, "maxSteps": 3,
            "tools": [tool("look"), tool("find")],
        }));
        let request = ModelRequest {
            model_id: self.model_id.to_owned(),
            system_prompt: None,
            inference: parse(json!({})),
            tools: agent.tools.clone().into(),
            ..ModelRequest::default()
        };
        let question = json!({
            "id": "t1", "conversationId": "c1", "position": 1, "turnId": "t1", "sender": { "kind": "USER" },
            "content": [{ "text": "Look." }], "createdAt": "2026-01-01T00:00:00.000Z",
        });
        let brief = Backoff::half_jitter(Duration::from_millis(1), Duration::from_millis(1));
        let limits = Limits {
            pacing_first: Duration::ZERO,
            pacing_last: Duration::ZERO,
            model_retry: brief,
            ..Limits::default()
        };
        AttemptStart {
            claim: Claim { conversation_id: "c1".into(), turn_id: "t1".into(), run: 1, attempt: 1, last_position: 1 },
            caller: Caller::default(),
            leased_at: Instant::now().into_std(),
            agent,
            question: parse(question),
            continues: false,
            retrieval: None,
            stored_passages: BTreeMap::new(),
            reply_to: None,
            stored_calls: None,
            kept_usage: None,
            request,
            limits,
            deadlines: Deadlines::within(Instant::now().into_std(), Duration::from_secs(60)),
        }
    }
}

fn parse<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the value fits")
}

fn frames(messages: &[StreamMessage]) -> Vec<u8> {
    messages.iter().flat_map(|message| message.frame(&message.payload)).collect()
}

fn call_start(block: usize, id: &str, name: &str) -> StreamMessage {
    let start = json!({ "toolUse": { "toolUseId": id, "name": name } });
    StreamMessage::event("contentBlockStart", json!({ "contentBlockIndex": block, "start": start }))
}

fn fragment(block: usize, json: &str) -> StreamMessage {
    let delta = json!({ "toolUse": { "input": json } });
    StreamMessage::event("contentBlockDelta", json!({ "contentBlockIndex": block, "delta": delta }))
}

fn stop(reason: &str) -> [StreamMessage; 2] {
    let usage = json!({ "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 });
    [
        StreamMessage::event("messageStop", json!({ "stopReason": reason })),
        StreamMessage::event("metadata", json!({ "usage": usage, "metrics": { "latencyMs": 4 } })),
    ]
}

fn last_answer() -> Vec<StreamMessage> {
    let text = StreamMessage::content_block_delta(json!({ "text": "Done." }));
    [text].into_iter().chain(stop("end_turn")).collect()
}

/// A step with calls, each with its id, its name and the fragments of its arguments.
fn step(calls: &[(&str, &str, Vec<&str>)]) -> Vec<StreamMessage> {
    let mut messages = vec![StreamMessage::content_block_delta(json!({ "text": "I look." }))];
    for (index, (id, name, fragments)) in calls.iter().enumerate() {
        messages.push(call_start(index + 1, id, name));
        messages.extend(fragments.iter().map(|json| fragment(index + 1, json)));
        messages.push(StreamMessage::event("contentBlockStop", json!({ "contentBlockIndex": index + 1 })));
    }
    messages.extend(stop("tool_use"));
    messages
}

fn steps() -> Vec<Vec<StreamMessage>> {
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_INPUT_BYTES));
    let escaped = format!(r#"{{"a":"{}"}}"#, "\\u0001".repeat(6_000));
    let many: Vec<_> = (0..40).map(|_| ("same", "look", vec![r#"{"a":1}"#])).collect();
    vec![
        step(&[("t1", "look", vec!["", "{\"a\"", ": \"\\ud83d", "\\ude42\"}"]), ("t2", "find", vec![])]),
        step(&[("t1", "look", vec!["{\"a\":", "1"]), ("t1", "nowhere", vec!["[1]"]), ("é", "a b", vec!["null"])]),
        step(&[("t1", "look", vec!["{\"a\":\"\\ud800\"}"]), ("t2", "look", vec!["{\"a\":1,\"a\":2} {}"])]),
        step(&[("t1", "look", vec![&long]), ("t2", "find", vec![&escaped]), ("t3", "find", vec![&escaped])]),
        step(&many),
        step(&[]),
        vec![fragment(7, "{}"), call_start(0, "t1", "look"), fragment(0, "{}")],
    ]
}

/// A response of Converse.
fn whole_answer(content: Value) -> Value {
    let stop_reason = if content[0].get("text").is_some() { "end_turn" } else { "tool_use" };
    json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": stop_reason,
        "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 },
        "metrics": { "latencyMs": 4 },
    })
}

fn whole_answers() -> Vec<Value> {
    let call = |id: &str, input: Value| json!({ "toolUse": { "toolUseId": id, "name": "look", "input": input } });
    vec![
        whole_answer(json!([call("t1", json!({ "b": 1.0, "a": [null, "é\u{1}"] })), call("t1", json!({}))])),
        whole_answer(json!([call("t1", json!([1])), call("", json!("text")), call("t3", json!(1e300))])),
        whole_answer(json!([call("t1", json!({ "a": "x".repeat(MAX_INPUT_BYTES) })), { "text": "So." }])),
        whole_answer(json!([])),
    ]
}

impl Target for ToolCalls {
    fn corpus(&self) -> Vec<Vec<u8>> {
        match self.is_streaming() {
            true => steps().iter().map(|step| frames(step)).collect(),
            false => whole_answers().iter().map(|answer| answer.to_string().into()).collect(),
        }
    }

    /// In two cases of three, frames with valid checksums, or JSON with one value changed.
    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        if mutator.one_in(3) {
            return mutator.mutate_any(corpus);
        }
        if !self.is_streaming() {
            let answer = mutator.choose::<Value>(&whole_answers()).clone();
            return mutator.mutate_json(&answer).to_string().into();
        }
        let mut steps = steps();
        let mut messages = steps.swap_remove(mutator.below(steps.len()));
        for _ in 0..=mutator.below(3) {
            let position = mutator.below(messages.len());
            match mutator.below(3) {
                0 => drop(messages.remove(position)),
                1 => {
                    let json = mutator.mutate_text(r#"{"city":"Paris","days":[1,2]}"#);
                    messages.insert(position, fragment(1, &json));
                }
                _ => messages[position].payload = mutator.mutate_json(&messages[position].payload),
            }
        }
        frames(&messages)
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        *self.response.lock().expect("no holder panics") = Some(Bytes::copy_from_slice(input));
        let text = String::from_utf8_lossy(input);
        let repetitions = if text.len().is_multiple_of(2) { 1 } else { MAX_OUTPUT_BYTES / text.len() + 1 };
        let output = text.repeat(repetitions);
        let effects = RecordedEffects { bedrock: &self.bedrock, output, events: Mutex::default() };
        let mut attempt = Attempt::new(self.start(), Instant::now().into_std());
        let (end, _) = run_attempt(&mut attempt, &effects).await;
        let events = effects.events.into_inner().expect("no holder panics");
        self.stored_calls += check_turn(end, &events)?;
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), String> {
        if self.stored_calls > 0 { Ok(()) } else { Err("no call was stored".to_owned()) }
    }
}

struct RecordedEffects<'a> {
    bedrock: &'a Bedrock,
    /// What the tools return.
    output: String,
    events: Mutex<Vec<Update>>,
}

impl Effects for RecordedEffects<'_> {
    async fn publish_title(&self, _: &str, _: &str) -> Result<(), PublishFailure> {
        Err(PublishFailure::Refused)
    }

    fn call_model(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, ModelError>> + Send {
        self.bedrock.answer(request)
    }

    async fn retrieve(&self, request: Arc<RetrievalRequest>) -> RetrievalResult {
        unreachable!("{} is searched", request.knowledge_base_id)
    }

    /// A tool returns JSON text, or fails with any text.
    async fn run_tool(&self, run: ToolRun) -> (String, ToolOutcome) {
        let (status, output) = match run.tool.name.as_str() {
            "look" => (ToolStatus::Succeeded, ToolOutput::Json(json!(self.output).to_string())),
            _ => (ToolStatus::Failed, ToolOutput::Text(self.output.clone())),
        };
        (run.tool_use.id, ToolOutcome { status, output, started_at: None, ended_at: None })
    }

    async fn publish(&self, mutation: Arc<Mutation>, _: bool) -> Result<Accepted, PublishFailure> {
        let mut events = self.events.lock().expect("no holder panics");
        events.push(mutation.update.clone());
        let status = match &mutation.update {
            Update::Event(event) if event.end.is_some() => TurnStatus::Completed,
            _ => TurnStatus::Running,
        };
        Ok(status.into())
    }

    async fn write(&self, _: DirectWrite) -> Result<TurnStatus, WriteFailure> {
        Ok(TurnStatus::Running)
    }

    async fn send_replies(&self, _: Arc<ReplyRequest>) -> Result<(), ReplyFailure> {
        Err(ReplyFailure::NotDeployed)
    }
}

/// The turn ends, each call has one result after it, and everything is within its bounds. Returns the number
/// of calls.
fn check_turn(end: AttemptEnd, updates: &[Update]) -> Result<usize, String> {
    if end != AttemptEnd::Published {
        return Err(format!("the attempt ends as {end:?}"));
    }
    let mut ids = HashSet::new();
    let mut open = HashSet::new();
    for update in updates {
        let Update::Event(event) = update else { continue };
        let content = json!(event.content).to_string();
        if content.len() > MAX_EVENT_BYTES {
            return Err(format!("an event has {} bytes", content.len()));
        }
        let calls: Vec<_> = event.content.iter().filter_map(|block| block.tool_use.as_ref()).collect();
        if !calls.is_empty() && !open.is_empty() {
            return Err(format!("calls without results: {open:?}"));
        }
        if calls.iter().map(|call| call.input.len()).sum::<usize>() > MAX_STEP_INPUT_BYTES {
            return Err("the arguments of a step are too long".to_owned());
        }
        for call in calls {
            check_call(call)?;
            if !ids.insert(call.id.clone()) {
                return Err(format!("two calls have the id {}", call.id));
            }
            open.insert(call.id.clone());
        }
        for result in event.content.iter().filter_map(|block| block.tool_result.as_ref()) {
            check_result(result)?;
            if !open.remove(&result.tool_use_id) {
                return Err(format!("a second result of {}", result.tool_use_id));
            }
        }
    }
    if open.is_empty() { Ok(ids.len()) } else { Err(format!("calls without results: {open:?}")) }
}

/// The stored arguments are an object, or null where the model's own are none.
fn check_call(call: &ToolUse) -> Result<(), String> {
    let is_object = call.input.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(&call.input).is_ok();
    let is_plain = |text: &str, others: &str| {
        (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
    };
    let is_valid = (is_object || call.input == "null")
        && call.input.len() <= MAX_INPUT_BYTES
        && is_plain(&call.id, "_.:-")
        && is_plain(&call.name, "_-");
    if is_valid { Ok(()) } else { Err(format!("the call {call:?} is stored")) }
}

/// A result that is cut is a text, because cut JSON is none.
fn check_result(result: &ToolResult) -> Result<(), String> {
    let output = result.json.as_ref().or(result.text.as_ref()).map_or("", String::as_str);
    let is_json = result.json.as_ref().is_none_or(|json| serde_json::from_str::<IgnoredAny>(json).is_ok());
    let is_cut = output.ends_with("because it is too long.]");
    let has_one = result.json.is_some() != result.text.is_some();
    let is_valid = output.len() <= MAX_RESULT_BYTES && is_json && has_one && (result.truncated.is_none() || is_cut);
    if is_valid { Ok(()) } else { Err(format!("a result of {} bytes: {:?}", output.len(), result.status)) }
}

#[tokio::test]
async fn tool_calls_in_streams() {
    fuzz("tool calls in streams", 60, &mut ToolCalls::new(STREAMING_MODEL).await).await;
}

#[tokio::test]
async fn tool_calls_in_whole_answers() {
    fuzz("tool calls in whole answers", 40, &mut ToolCalls::new(WHOLE_MODEL).await).await;
}
