//! Agents with tools, whose handlers are killed before, during and after each call: a tool that changes
//! something runs at most once per call, and every call has one result. This test binary is also the program
//! of the functions.
use std::{
    collections::BTreeMap,
    env, fs,
    io::Write,
    ops::AddAssign,
    path::{Path, PathBuf},
    time::Duration,
};

use client::{
    requests::{PutAgent, PutLambdaTool, PutTool},
    schema::{ToolApproval, ToolEffect},
};
use futures::{StreamExt, future::join_all, stream};
use lambda_runtime::{LambdaEvent, service_fn};
use local::{
    fault_injection::{
        Call::{self, ConverseStream, Invoke, Publish, PutItem, TransactWriteItems},
        CallPhase, Fault, FaultPlan, KillPoint,
    },
    lambda::LocalFunction,
};
use serde_json::{Value, json};

use crate::{
    fixture::{Fixture, SECOND_RETRY_AFTER_LEASE, Turn},
    lambda_function::{exit_when_input_closes, is_started_as_function},
    random_faults::number_of_runs,
    reader::DisplayedTurn,
};

/// The test that is the program of the functions.
const FUNCTION_TEST: &str = "agent_tools::program_of_the_functions";
const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:tools";
/// Answers as the scripted model, with Claude's rules for transcripts.
const MODEL: &str = "anthropic.claude-sonnet-5";
const CHANGE: &str = "change";
/// The beginning of each text of the scripted model.
const INTRODUCTION: &str = "I am Parlance's scripted model, not a real one.";
/// In percent.
const KILLED_PROCESSES: u64 = 70;
/// The calls of a turn, and how many of each kind. A tool that changes something is claimed by
/// TransactWriteItems, invoked, and its outcome stored by PutItem.
const KILLED_CALLS: [(Call, u64); 7] =
    [(TransactWriteItems, 3), (Invoke, 4), (Invoke, 2), (PutItem, 3), (PutItem, 1), (ConverseStream, 3), (Publish, 8)];
const DEFAULT_RUNS: usize = 6;
const TURNS_PER_SERVER: usize = 20;
const CONCURRENT_SERVERS: usize = 2;
/// Time between the starts of two turns, because each starts processes.
const START_INTERVAL: Duration = Duration::from_millis(250);

/// Calls of tools that change something.
#[derive(Debug, Default)]
struct Counts {
    called: usize,
    claimed: usize,
    executed: usize,
    done: usize,
    unknown: usize,
    without_result: usize,
    kills: usize,
}

#[test]
fn program_of_the_functions() {
    if is_started_as_function() {
        serve_functions();
    }
}

/// Serves invocations until standard input closes.
#[tokio::main(flavor = "current_thread")]
async fn serve_functions() {
    exit_when_input_closes();
    lambda_runtime::run(service_fn(run_function)).await.expect("the Runtime API answers");
}

/// Counts the call, then works for a while. The scripted model repeats such a short result whole.
async fn run_function(event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
    let LambdaEvent { payload, .. } = event;
    let path = payload["input"]["file"].as_str().unwrap_or_default();
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{}\n", execution(&payload["turnId"], &payload["toolUseId"])).as_bytes())?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(json!({ "done": payload["toolUseId"] }))
}

/// How an execution is counted.
fn execution(turn_id: &Value, tool_use_id: &Value) -> String {
    format!("{turn_id} {tool_use_id}")
}

fn fault_profile(seed: u64, turn_count: usize) -> FaultPlan {
    let rates = [
        (Fault::TableConflict, 0.02),
        (Fault::TableAnswerLost, 0.02),
        (Fault::PublishUnconfirmed, 0.02),
        (Fault::UpdateLost, 0.03),
        (Fault::EventTwice, 0.1),
        (Fault::EventAgain, 0.1),
    ];
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut kills = BTreeMap::new();
    // Later processes retry and close turns. A turn whose closer is killed again and again is busy for six
    // minutes.
    for process in 1..=3 * turn_count as u64 / 2 {
        if rng.u64(..100) < KILLED_PROCESSES {
            let (call, calls) = KILLED_CALLS[rng.usize(..KILLED_CALLS.len())];
            let phase = CallPhase::ALL[rng.usize(..CallPhase::ALL.len())];
            kills.insert(process, KillPoint { call, number: rng.u64(1..=calls), phase });
        }
    }
    FaultPlan { seed, rates: rates.into(), kills, ..FaultPlan::default() }
}

fn agent() -> PutAgent {
    let tool = |name: &str, effect| PutTool {
        name: name.into(),
        description: Some("A tool.".into()),
        input_schema: Some(r#"{"type":"object"}"#.into()),
        effect: Some(effect),
        approval: Some(ToolApproval::Never),
        lambda: Some(PutLambdaTool { function_arn: FUNCTION_ARN.into() }),
        ..PutTool::default()
    };
    let tools = vec![tool("look", ToolEffect::Read), tool(CHANGE, ToolEffect::Write)];
    PutAgent { id: "agent".into(), model_id: MODEL.into(), tools: Some(tools), ..PutAgent::default() }
}

/// The calls of a question.
const CALLS: usize = 4;

/// Two steps with calls. The arguments name the file in which executions are counted.
fn question(file: &Path) -> String {
    let input = json!({ "file": file });
    format!(
        "call {CHANGE} with {input}, call look with {input} and call {CHANGE} with {input}. Then call {CHANGE} with {input}."
    )
}

/// Plays turns on one server.
async fn run(seed: u64, turn_count: usize) -> Counts {
    let program = env::current_exe().expect("the test has a program");
    let function = format!("tools='{}' {FUNCTION_TEST} --exact --nocapture", program.display());
    let functions: Vec<LocalFunction> = vec![function.parse().expect("a function")];
    let fixture = Fixture::start_with(
        fault_profile(seed, turn_count),
        SECOND_RETRY_AFTER_LEASE,
        &[("ModelId", MODEL)],
        functions,
    )
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let file: PathBuf = folder.path().join("executions");
    let mut turns = fixture.create_turns_with(&agent(), turn_count).await;
    for turn in &mut turns {
        turn.question = question(&file);
    }
    let played = turns.iter().enumerate().map(async |(number, turn)| {
        tokio::time::sleep(START_INTERVAL * number as u32).await;
        fixture.send_and_read(turn).await
    });
    let displayed = join_all(played).await;
    fixture.server.lambda.wait_for_events().await;
    let mut executions = BTreeMap::<String, usize>::new();
    for line in fs::read_to_string(&file).unwrap_or_default().lines() {
        *executions.entry(line.to_owned()).or_default() += 1;
    }
    let mut counts = Counts { kills: fixture.server.call_recorder.kills().len(), ..Counts::default() };
    for (turn, displayed) in turns.iter().zip(displayed) {
        println!("seed {seed}, {}: {:?}", turn.conversation_id, displayed.status);
        let (items, turn_items) = fixture.stored(turn).await;
        let blocks: Vec<&Value> =
            items.iter().flat_map(|item| item["content"].as_array().into_iter().flatten()).collect();
        let model_text = model_text(&blocks).unwrap_or_else(|| displayed.text.clone());
        fixture.check(turn, &model_text, std::slice::from_ref(&displayed)).await;
        counts += check_calls(turn, &displayed, &executions, &items, &turn_items);
    }
    fixture.server.stop().await;
    counts
}

/// What the model answers to the stored results of all calls. None if some calls have no results: a dead
/// process may have told the model others.
fn model_text(blocks: &[&Value]) -> Option<String> {
    let calls: Vec<&Value> = blocks.iter().map(|block| &block["toolUse"]).filter(|call| call.is_object()).collect();
    let results: Vec<&Value> =
        blocks.iter().map(|block| &block["toolResult"]).filter(|result| result.is_object()).collect();
    if (calls.len(), results.len()) != (CALLS, CALLS) {
        return None;
    }
    let sentences = results.iter().map(|result| {
        let call = calls.iter().find(|call| call["id"] == result["toolUseId"]).expect("the result is that of a call");
        let name = call["name"].as_str().expect("a call has a name");
        let outcome = if result["status"] == "SUCCEEDED" { "returned" } else { "failed" };
        let content = result["json"].as_str().or(result["text"].as_str()).expect("a result has a content");
        format!(" The tool {name} {outcome}: {content}")
    });
    let steps = format!("{INTRODUCTION} I call {CHANGE} and look and {CHANGE}.{INTRODUCTION} I call {CHANGE}.");
    Some(format!("{steps}{INTRODUCTION}{}", sentences.collect::<String>()))
}

/// Asserts invariants 12 and 13 for a turn that has ended.
fn check_calls(
    turn: &Turn,
    displayed: &DisplayedTurn,
    executions: &BTreeMap<String, usize>,
    items: &[Value],
    turn_items: &[Value],
) -> Counts {
    let blocks: Vec<&Value> = items.iter().flat_map(|item| item["content"].as_array().into_iter().flatten()).collect();
    let claims = turn_items.iter().filter(|item| item["sk"].as_str().is_some_and(|key| key.starts_with("TOOL#")));
    let claims: Vec<&Value> = claims.collect();
    // The closer knows nothing of the calls of a dead process; the next transcript does.
    let is_cut_off = |call: &Value| {
        let has_call =
            |item: &&Value| item["content"].as_array().is_some_and(|it| it.iter().any(|it| it["toolUse"] == *call));
        let position = items.iter().find(has_call).and_then(|event| event["position"].as_u64()).expect("a stored call");
        let next = items.iter().find(|item| item["position"].as_u64() == Some(position + 1));
        next.is_some_and(|next| next["id"].as_str().is_some_and(|id| id.contains("-closed-")))
    };
    let mut counts = Counts {
        claimed: claims.len(),
        done: claims.iter().filter(|claim| claim["outcome"].is_object()).count(),
        ..Counts::default()
    };
    for call in blocks.iter().map(|block| &block["toolUse"]).filter(|call| call.is_object()) {
        let results = blocks.iter().map(|block| &block["toolResult"]);
        let results: Vec<&Value> = results.filter(|result| result["toolUseId"] == call["id"]).collect();
        let executed = executions.get(&execution(&json!(turn.id), &call["id"])).copied().unwrap_or_default();
        let context = format!("{}: {call} was executed {executed} times: {results:?}", turn.conversation_id);
        assert!(results.len() == 1 || results.is_empty() && is_cut_off(call), "13: {context}");
        let status = results.first().map_or(&Value::Null, |result| &result["status"]);
        let displayed_status = displayed.calls.get(call["id"].as_str().unwrap_or_default()).map(|status| json!(status));
        assert!(
            results.is_empty() || displayed_status.as_ref() == Some(status),
            "3: {displayed_status:?} is displayed, {context}"
        );
        assert!(status != "SUCCEEDED" || executed > 0, "12: {context}");
        if call["name"] == CHANGE {
            assert!(executed <= 1, "12: {context}");
            assert!(status != "FAILED" || executed == 0, "12: {context}");
            counts.called += 1;
            counts.executed += executed;
            counts.unknown += usize::from(status == "UNKNOWN");
            counts.without_result += usize::from(results.is_empty());
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_tool_runs_at_most_once_despite_killed_handlers() {
    let runs = number_of_runs(DEFAULT_RUNS);
    let servers = (0..runs.div_ceil(TURNS_PER_SERVER))
        .map(|server| run(server as u64, TURNS_PER_SERVER.min(runs - server * TURNS_PER_SERVER)));
    let mut counts = Counts::default();
    let mut servers = stream::iter(servers).buffer_unordered(CONCURRENT_SERVERS);
    while let Some(of_server) = servers.next().await {
        counts += of_server;
    }
    let Counts { called, claimed, executed, done, unknown, without_result, kills } = counts;
    println!(
        "{runs} runs with tools, {kills} processes killed; changing calls: {called} stored, {claimed} claimed, \
         {executed} executed, {done} done, {unknown} UNKNOWN, {without_result} without result in turns that the closer ended"
    );
    assert!(kills > 0 && claimed > 0 && executed > 0);
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.called += other.called;
        self.claimed += other.claimed;
        self.executed += other.executed;
        self.done += other.done;
        self.unknown += other.unknown;
        self.without_result += other.without_result;
        self.kills += other.kills;
    }
}
