//! The program runs as a process while secrets and conversations cross it, and everything that it writes is searched.
mod planted;
mod stage;
mod strangers;
mod wiretap;

use std::{fs, path::Path, time::Duration};

use client::{
    AppSync, Credentials,
    credentials::IamKeys,
    requests::{
        CancelTurn, ContinueTurn, CreateConversation, DeleteConversation, GetAgent, GetConversation, GetEvents,
        GetParticipants, GetTurn, ListAgents, ListConversations, PutAgent, RetryTurn, SendMessage, ShareConversation,
        UnshareConversation, UpdateConversation,
    },
    schema::{Access, Turn},
};
use futures::future::join_all;
use local::{
    identity::{LocalIssuers, PoolUser},
    template::REGION,
};
use serde_json::{Value, json};
use tokio::process::Command;

use self::{
    planted::{ADMINISTRATOR, API_KEY, Place},
    stage::{Server, Stage},
};
use crate::backend::{Ear, draw, patiently};

/// What the scripted models do but answer.
const FAILING: [&str; 15] = [
    "throttled-twice",
    "throttled-midway",
    "refused",
    "forbidden",
    "missing",
    "unavailable",
    "cut",
    "cut-at-once",
    "silent",
    "falls-silent",
    "exception",
    "stream-error",
    "blank",
    "max-tokens",
    "filtered",
];
const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// Everybody who calls.
struct Callers {
    with_key: AppSync,
    ada: AppSync,
    bob: AppSync,
    bobs_id: String,
    carol: AppSync,
    administrator: AppSync,
    adas_token: String,
}

impl Callers {
    async fn of(stage: &Stage, server: &Server) -> Self {
        let adas_token = token(stage, &["ada"]).await;
        let [bobs, carols] = [token(stage, &["bob"]).await, token(stage, &["carol", "--oidc"]).await];
        let pool = LocalIssuers::pool_url(server.url.trim_end_matches("/graphql"));
        let told = |name: &str| server.administrator[name].as_str().unwrap().to_owned();
        let [access_key, secret_key] = ["accessKeyId", "secretAccessKey"].map(told);
        let keys = IamKeys { access_key, secret_key, session_token: None, region: REGION.into() };
        Self {
            with_key: with_key(server),
            ada: server.caller(Credentials::Token(adas_token.clone())),
            bob: server.caller(Credentials::Token(bobs)),
            bobs_id: format!("{pool}#{}", PoolUser::named("bob").subject()),
            carol: server.caller(Credentials::Token(carols)),
            administrator: server.caller(Credentials::Iam(keys)),
            adas_token,
        }
    }
}

#[tokio::test]
async fn credentials_are_nowhere_but_in_the_key_files_and_text_is_in_the_table_alone() {
    let stage = Stage::set().await;
    everything_that_is_asked(&stage).await;
    more_than_is_allowed(&stage).await;
    everything_that_goes_wrong(&stage).await;

    let leaks = stage.leaks();
    assert!(leaks.is_empty(), "{}", leaks.into_iter().collect::<Vec<_>>().join("\n"));
    let expected = ["api-key", "endpoint.json", "oidc-key", "pool-key", "table.db", "table.db-shm", "table.db-wal"];
    assert_eq!(stage.files().iter().map(String::as_str).collect::<Vec<_>>(), expected);
    what_is_meant_is_found(&stage);
}

/// The search sees what the program writes: each thing is found where it belongs.
fn what_is_meant_is_found(stage: &Stage) {
    let is_table = |place: &Place| matches!(place, Place::File(name) if name.starts_with("table.db"));
    for texts in [stage.found(is_table), stage.found(|place| *place == Place::Item)] {
        for kept in ["a new title", "a question", "an answer that was cut", "a prompt", "an agent's name"] {
            assert!(texts.contains(kept), "the table holds {kept}");
        }
    }
    for place in [Place::File("endpoint.json".into()), Place::Greeting] {
        assert_eq!(
            stage.found(|other| *other == place),
            [API_KEY, ADMINISTRATOR].map(str::to_owned).into(),
            "{place:?}"
        );
    }
    for secret in ["a process's AWS_SECRET_ACCESS_KEY", "a process's AWS_SESSION_TOKEN", "pool-key", "oidc-key"] {
        assert!(stage.has_planted(secret), "{secret} is known");
    }
    let handed = stage.found(|place| *place == Place::Invocation);
    assert!(handed.contains("a question") && handed.contains("a prompt"), "{handed:?}");
    assert!(stage.found(|place| *place == Place::Answer).contains("a question"));
    let records = stage.read(|place| *place == Place::Record);
    for told in ["RetriesExhausted", "Handler.Leased", "Runtime.ExitError"] {
        assert!(records.contains(told), "a record tells {told}: {records}");
    }
    let log = stage.read(|place| *place == Place::Log);
    for told in ["answered", "failed", "bedrock", "not published", "written directly", "an invocation failed for good"]
    {
        assert!(log.contains(told), "the log tells '{told}'");
    }
}

#[tokio::test]
async fn what_a_resolver_tells_the_log_is_found() {
    let stage = Stage::set().await;
    let root = stage.root("telling");
    let resolver = root.join("resolvers/messages/validateMessage.js");
    let code = fs::read_to_string(&resolver).unwrap();
    let telling = code.replacen("ctx.args.input;", "ctx.args.input;\n  console.log(text, ctx.request.headers);", 1);
    assert_ne!(telling, code);
    fs::write(&resolver, telling).unwrap();

    let server = stage.serve(&root, "local::graphql=debug", &[]).await;
    let conversation = begin(&stage, &with_key(&server), None).await;
    drop(say(&stage, &with_key(&server), &conversation, &draw(), stage.text("a question")).await);
    stage.end(server).await;
    let found = stage.found(|place| *place == Place::Log);
    assert_eq!(found, ["a question", API_KEY].map(str::to_owned).into());
    let leaks = stage.leaks().into_iter().collect::<Vec<_>>().join("\n");
    assert!(leaks.contains("Log holds a question") && leaks.contains("Log holds the API key"), "{leaks}");
}

async fn everything_that_is_asked(stage: &Stage) {
    let users = ["--user", "ada:administrators", "--user", "bob", "--oidc"];
    let quick = ["--parameter", "ModelSilenceSeconds=2", "--parameter", "MessagesPerMinute=100"];
    let server = stage.serve(Path::new(PROJECT), "info", &[&users[..], &quick].concat()).await;
    let callers = Callers::of(stage, &server).await;
    put_agents(stage, &callers).await;
    for caller in [&callers.with_key, &callers.ada, &callers.carol, &callers.administrator] {
        talk(stage, caller).await;
        meet_refusals(stage, caller).await;
    }
    share(stage, &callers).await;
    join_all(FAILING.map(|model| fail(stage, &callers.ada, model))).await;
    strangers::over_http(stage, &server, &callers.adas_token).await;
    strangers::over_websockets(stage, &server, &callers.adas_token).await;
    stage.end(server).await;
}

async fn more_than_is_allowed(stage: &Stage) {
    let server =
        stage.serve(Path::new(PROJECT), "info", &["--user", "bob", "--parameter", "MessagesPerMinute=1"]).await;
    let bob = server.caller(Credentials::Token(token(stage, &["bob"]).await));
    for taken in [true, false] {
        let message = SendMessage { conversation_id: None, id: None, text: stage.text("a first message") };
        assert_eq!(stage.ask(&bob, &message).await.is_some(), taken);
    }
    stage.end(server).await;
    assert!(stage.read(|place| *place == Place::Refusal).contains("QuotaExceeded"));
}

/// Orders that are delivered twice, processes that die, AppSync and the table that fail: with records at once.
async fn everything_that_goes_wrong(stage: &Stage) {
    let root = stage.root("hasty");
    let template = root.join("template.yaml");
    let patient = fs::read_to_string(&template).unwrap();
    fs::write(&template, patient.replace("MaximumRetryAttempts: 2", "MaximumRetryAttempts: 0")).unwrap();

    let weather =
        ["event-twice=1", "publish-outage=1", "table-conflict=0.1", "table-throttled=0.1", "table-answer-lost=0.1"];
    for (faults, has_end) in [(&weather[..], true), (&["process-killed=1"], false)] {
        let known = stage.wiretap.count_records();
        let arguments: Vec<&str> = faults.iter().flat_map(|fault| ["--fault", fault]).collect();
        let server = stage.serve(&root, "info", &arguments).await;
        let caller = with_key(&server);
        let conversation = begin(stage, &caller, Some("deltas-300-15")).await;
        let turn = say(stage, &caller, &conversation, &draw(), stage.text("a question")).await;
        patiently(stage.wiretap.until_records(known + 1)).await;
        if has_end {
            until_end(stage, &caller, &conversation, &turn).await;
        }
        stage.ask(&caller, &CancelTurn { conversation_id: conversation.clone(), id: turn }).await;
        stage.ask(&caller, &GetEvents { conversation_id: conversation, ..GetEvents::default() }).await;
        stage.end(server).await;
    }
}

async fn put_agents(stage: &Stage, callers: &Callers) {
    let put = |model: &str| PutAgent {
        id: model.into(),
        name: Some(stage.text("an agent's name")),
        model_id: format!("parlance.{model}"),
        system_prompt: Some(stage.text("a prompt")),
        ..PutAgent::default()
    };
    for model in FAILING.iter().chain(&["deltas-300-15", "deltas-2000-20"]) {
        stage.ask(&callers.administrator, &put(model)).await.unwrap();
    }
    stage.ask(&callers.ada, &put("echo")).await.unwrap();
    for caller in [&callers.with_key, &callers.bob, &callers.carol] {
        assert!(stage.ask(caller, &put("echo")).await.is_none());
    }
    let wrong = PutAgent { id: stage.text("an id with blanks") + " !", ..put("echo") };
    assert!(stage.ask(&callers.ada, &wrong).await.is_none());
    let long = PutAgent { name: Some(stage.text("a long name").repeat(9)), ..put("echo") };
    assert!(stage.ask(&callers.ada, &long).await.is_none());
}

/// Asks for everything that a user may ask for.
async fn talk(stage: &Stage, caller: &AppSync) {
    let id = begin(stage, caller, Some("echo")).await;
    let title = Some(stage.text("a new title"));
    stage.ask(caller, &UpdateConversation { id: id.clone(), title, ..UpdateConversation::default() }).await.unwrap();
    let mut ear = Ear::open(caller, &id).await;
    let turn = say(stage, caller, &id, &draw(), stage.text("a question")).await;
    stage.write_down(Place::Answer, format!("{:?}", ear.until_end(&turn).await));
    stage.ask(caller, &RetryTurn { conversation_id: id.clone(), id: turn.clone() }).await.unwrap();
    until_end(stage, caller, &id, &turn).await;
    stage.ask(caller, &ContinueTurn { conversation_id: id.clone(), id: turn.clone() }).await.unwrap();
    until_end(stage, caller, &id, &turn).await;
    read(stage, caller, &id).await;
    stage
        .ask(caller, &SendMessage { conversation_id: None, id: None, text: stage.text("a first message") })
        .await
        .unwrap();
    let doomed = begin(stage, caller, None).await;
    say(stage, caller, &doomed, &draw(), stage.text("a message that is deleted")).await;
    stage.ask(caller, &DeleteConversation { id: doomed.clone() }).await.unwrap();
    read(stage, caller, &doomed).await;
}

async fn read(stage: &Stage, caller: &AppSync, id: &str) {
    stage.ask(caller, &GetConversation { id: id.into() }).await;
    stage.ask(caller, &GetEvents { conversation_id: id.into(), ..GetEvents::default() }).await;
    stage.ask(caller, &GetParticipants { conversation_id: id.into() }).await;
    stage.ask(caller, &ListConversations::default()).await;
    stage.ask(caller, &GetAgent { id: "echo".into() }).await;
    stage.ask(caller, &ListAgents::default()).await;
    stage.ask_for(caller, "{ getCaller { id name messagesThisMinute tokensToday } }", json!({})).await;
}

async fn meet_refusals(stage: &Stage, caller: &AppSync) {
    let id = begin(stage, caller, Some("deltas-2000-20")).await;
    let turn = say(stage, caller, &id, &draw(), stage.text("an answer that was cut")).await;
    let message = |id: &str, text: String| SendMessage { conversation_id: Some(id.into()), id: Some(draw()), text };
    stage.ask(caller, &message(&id, stage.text("to somebody busy"))).await;
    stage.ask(caller, &RetryTurn { conversation_id: id.clone(), id: turn.clone() }).await;
    stage.ask(caller, &CancelTurn { conversation_id: id.clone(), id: turn.clone() }).await.unwrap();
    until_end(stage, caller, &id, &turn).await;
    let again = SendMessage { id: Some(turn), ..message(&id, stage.text("another text")) };
    stage.ask(caller, &again).await;
    stage.ask(caller, &message("nowhere", stage.text("to nobody"))).await;
    stage.ask(caller, &message(&id, stage.text("a long message").repeat(3000))).await;
    let title = Some(stage.text("a long title").repeat(9));
    stage
        .ask(caller, &UpdateConversation { id: id.clone(), title: title.clone(), ..UpdateConversation::default() })
        .await;
    stage.ask(caller, &CreateConversation { title, ..CreateConversation::default() }).await;
    let next_token = Some(stage.text("a cursor"));
    stage.ask(caller, &ListConversations { next_token: next_token.clone(), ..ListConversations::default() }).await;
    stage.ask(caller, &ListAgents { next_token, ..ListAgents::default() }).await;
    forge(stage, caller, &id).await;
}

/// Tries to publish what nobody has said.
async fn forge(stage: &Stage, caller: &AppSync, id: &str) {
    let data = json!({
        "conversationId": id, "turnId": "t1", "run": 1, "attempt": 1, "sequence": 1, "status": "RUNNING",
        "contentBlockIndex": 0, "agentPartialMessage": stage.text("a forged batch"),
    });
    let document = "mutation($data: AgentMetadataInput!) { agentPublishMetadata(data: $data) { turnId } }";
    let told = stage.ask_for(caller, document, json!({ "data": data })).await;
    assert!(told.get("agentPublishMetadata").is_none_or(Value::is_null));
}

async fn share(stage: &Stage, callers: &Callers) {
    let Callers { ada, bob, bobs_id, .. } = callers;
    let id = begin(stage, ada, Some("echo")).await;
    let turn = say(stage, ada, &id, &draw(), stage.text("a question")).await;
    until_end(stage, ada, &id, &turn).await;
    let message = |name| SendMessage { conversation_id: Some(id.clone()), id: None, text: stage.text(name) };
    assert!(stage.ask(bob, &message("of a stranger")).await.is_none());
    let share = ShareConversation { conversation_id: id.clone(), user_id: bobs_id.clone(), access: Access::Read };
    stage.ask(ada, &share).await.unwrap();
    assert!(stage.ask(bob, &message("of a reader")).await.is_none());
    read(stage, bob, &id).await;
    stage.ask(bob, &share).await;
    let unshare = UnshareConversation { conversation_id: id.clone(), user_id: bobs_id.clone() };
    stage.ask(ada, &unshare).await.unwrap();
    read(stage, bob, &id).await;
}

async fn fail(stage: &Stage, caller: &AppSync, model: &str) {
    let id = begin(stage, caller, Some(model)).await;
    let turn = say(stage, caller, &id, &draw(), stage.text("a question")).await;
    until_end(stage, caller, &id, &turn).await;
}

async fn begin(stage: &Stage, caller: &AppSync, agent: Option<&str>) -> String {
    let id = draw();
    let conversation = CreateConversation {
        id: Some(id.clone()),
        title: Some(stage.text("a title")),
        agent_id: agent.map(str::to_owned),
    };
    patiently(async { while stage.ask(caller, &conversation).await.is_none() {} }).await;
    id
}

/// Until it is taken, whatever the weather.
async fn say(stage: &Stage, caller: &AppSync, conversation_id: &str, id: &str, text: String) -> String {
    let message = SendMessage { conversation_id: Some(conversation_id.into()), id: Some(id.into()), text };
    patiently(async { while stage.ask(caller, &message).await.is_none() {} }).await;
    id.to_owned()
}

/// Nothing tells a caller who does not listen.
async fn until_end(stage: &Stage, caller: &AppSync, conversation_id: &str, id: &str) {
    let asked = GetTurn { conversation_id: conversation_id.into(), id: id.into(), ..GetTurn::default() };
    let is_over = |turn: &Turn| turn.status.is_end();
    patiently(async {
        while !stage.ask(caller, &asked).await.as_ref().is_some_and(is_over) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

fn with_key(server: &Server) -> AppSync {
    server.caller(Credentials::ApiKey(server.api_key.clone()))
}

/// As a user has it printed.
async fn token(stage: &Stage, of: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlance"));
    let output = patiently(command.arg("token").args(of).arg("--state").arg(stage.state()).output()).await.unwrap();
    let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(output.status.success() && !token.is_empty(), "{:?}", output.stderr);
    strangers::plant_token(stage, &format!("{}'s token", of[0]), token)
}
