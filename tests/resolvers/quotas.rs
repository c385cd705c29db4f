//! Quotas, through the API as the template wires it, at moments of our choosing.
use std::{
    cell::Cell,
    path::Path,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use local::{
    appsync::AppSync,
    dynamodb::DynamoDb,
    graphql::{DataSources, FunctionBackend, set_engine_environment},
    identity::{Authenticator, Caller, Principal},
    lambda::{InvocationType, InvokeError},
    resolver::Ambient,
    template::{self, ACCOUNT, Deployment, REGION},
};
use serde_json::{Value, json};

const NOON: &str = "2026-11-21T12:00:05Z";

#[tokio::test]
async fn a_user_sends_so_many_messages_a_minute_and_no_more() {
    let (stage, ann) = (Stage::with([("MessagesPerMinute", "2")]), user("ann"));
    stage.send(&ann, "m1").await.unwrap();
    stage.send(&ann, "m2").await.unwrap();
    let before = stage.items().await;
    for moment in [NOON, "2026-11-21T12:00:59.999Z"] {
        stage.at(moment);
        assert_eq!(stage.send(&ann, "m3").await, Err(exceeded("2026-11-21T12:01:00.000Z")));
    }
    assert_eq!(stage.items().await, before, "what is refused leaves nothing behind");
    assert_eq!(stage.started().len(), 2);
    stage.at("2026-11-21T12:01:00Z");
    assert_eq!(stage.send(&ann, "m3").await.unwrap()["id"], "m3");
}

#[tokio::test]
async fn of_two_messages_that_race_for_the_last_place_one_wins() {
    let (stage, ann) = (Stage::with([("MessagesPerMinute", "1")]), user("ann"));
    let (one, other) = tokio::join!(stage.send(&ann, "m1"), stage.send(&ann, "m2"));
    let refused = [one, other].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(refused, [exceeded("2026-11-21T12:01:00.000Z")]);
    assert_eq!(stage.started().len(), 1);
}

#[tokio::test]
async fn the_same_message_again_is_neither_counted_nor_refused() {
    let (stage, ann) = (Stage::with([("MessagesPerMinute", "1")]), user("ann"));
    stage.begin(&ann, "c1").await;
    stage.say(&ann, "c1", "m1").await.unwrap();
    assert_eq!(stage.say(&ann, "c1", "m1").await.unwrap()["id"], "m1");
    assert_eq!(stage.used(&ann).await["messagesThisMinute"], 1);
    assert!(stage.send(&ann, "m2").await.is_err());
    assert_eq!(stage.say(&ann, "c1", "m1").await.unwrap()["id"], "m1");
}

#[tokio::test]
async fn the_same_first_message_again_is_neither_counted_nor_refused() {
    let (stage, ann) = (Stage::with([("MessagesPerMinute", "1")]), user("ann"));
    let first = stage.send(&ann, "m1").await.unwrap();
    assert_eq!(stage.send(&ann, "m1").await.unwrap(), first);
    assert_eq!(stage.used(&ann).await["messagesThisMinute"], 1);
}

#[tokio::test]
async fn a_retry_and_a_continue_are_counted_as_messages() {
    let (stage, ann) = (Stage::with([("MessagesPerMinute", "3")]), user("ann"));
    stage.begin(&ann, "c1").await;
    stage.say(&ann, "c1", "m1").await.unwrap();
    for (used, again) in [(2, "retryTurn"), (3, "continueTurn")] {
        stage.turn(&ann, "cancelTurn").await.unwrap();
        stage.turn(&ann, again).await.unwrap();
        assert_eq!(stage.turn(&ann, again).await.unwrap()["run"], used, "the same order again is the same run");
        assert_eq!(stage.used(&ann).await["messagesThisMinute"], used);
    }
    stage.turn(&ann, "cancelTurn").await.unwrap();
    let before = stage.items().await;
    for again in ["retryTurn", "continueTurn"] {
        assert_eq!(stage.turn(&ann, again).await, Err(exceeded("2026-11-21T12:01:00.000Z")));
    }
    assert_eq!(stage.items().await, before);
}

#[tokio::test]
async fn a_user_whose_answers_have_cost_enough_waits_for_midnight() {
    let (stage, ann) = (Stage::with([("TokensPerDay", "100")]), user("ann"));
    stage.spend(&ann, "2026-11-21", 99).await;
    stage.send(&ann, "m1").await.unwrap();
    stage.spend(&ann, "2026-11-21", 250).await;
    let before = stage.items().await;
    assert_eq!(stage.send(&ann, "m2").await, Err(exceeded("2026-11-22T00:00:00.000Z")));
    assert_eq!(stage.items().await, before, "what is refused for its tokens is not counted as a message");
    let used = stage.used(&ann).await;
    assert_eq!((&used["tokensToday"], &used["tokensPerDay"]), (&json!(250), &json!(100)));
    stage.at("2026-11-22T00:00:00Z");
    stage.send(&ann, "m2").await.unwrap();
}

#[tokio::test]
async fn each_user_has_quotas_of_its_own() {
    let (stage, ann, bob) = (Stage::with([("MessagesPerMinute", "1")]), user("ann"), user("bob"));
    stage.send(&ann, "m1").await.unwrap();
    stage.send(&bob, "m2").await.unwrap();
    assert!(stage.send(&ann, "m3").await.is_err());
    assert_eq!(stage.used(&bob).await["messagesThisMinute"], 1);
}

#[tokio::test]
async fn a_participants_messages_are_its_own_and_not_the_owners() {
    let (stage, ann, bob) = (Stage::with([("MessagesPerMinute", "2")]), user("ann"), user("bob"));
    stage.begin(&ann, "c1").await;
    stage.share(&ann, "c1", &bob, "WRITE").await.unwrap();
    stage.say(&bob, "c1", "m1").await.unwrap();
    stage.turn(&bob, "cancelTurn").await.unwrap();
    stage.turn(&bob, "retryTurn").await.unwrap();
    assert_eq!(stage.used(&ann).await["messagesThisMinute"], 1, "the sharing");
    stage.turn(&bob, "cancelTurn").await.unwrap();
    assert_eq!(stage.turn(&bob, "retryTurn").await, Err(exceeded("2026-11-21T12:01:00.000Z")));
    stage.turn(&ann, "retryTurn").await.unwrap();
    let asked_by = stage.started().into_iter().map(|payload| payload["askedBy"].clone()).collect::<Vec<_>>();
    let [ann, bob] = [stage.used(&ann).await["id"].clone(), stage.used(&bob).await["id"].clone()];
    assert_eq!(asked_by, [bob.clone(), bob, ann]);
}

#[tokio::test]
async fn a_sharing_is_counted_as_a_message_and_costs_no_tokens() {
    let limits = [("MessagesPerMinute", "2"), ("TokensPerDay", "1")];
    let (stage, ann, bob) = (Stage::with(limits), user("ann"), user("bob"));
    stage.begin(&ann, "c1").await;
    stage.spend(&ann, "2026-11-21", 1).await;
    for access in ["READ", "READ", "WRITE"] {
        stage.share(&ann, "c1", &bob, access).await.unwrap();
    }
    assert_eq!(stage.used(&ann).await["messagesThisMinute"], 2, "the same again is not counted");
    let before = stage.items().await;
    assert_eq!(stage.share(&ann, "c1", &bob, "READ").await, Err(exceeded("2026-11-21T12:01:00.000Z")));
    assert_eq!(stage.items().await, before);
    stage.share(&ann, "c1", &bob, "WRITE").await.unwrap();
}

#[tokio::test]
async fn tokens_are_counted_for_whoever_asks() {
    let (stage, ann) = (Stage::with([]), user("ann"));
    stage.send(&ann, "m1").await.unwrap();
    stage.send(&Caller::from_api_key(), "drawn-by-nobody-1").await.unwrap();
    let asked_by = stage.started().into_iter().map(|payload| payload["askedBy"].clone()).collect::<Vec<_>>();
    assert_eq!(asked_by, [stage.used(&ann).await["id"].clone(), Value::Null]);
}

#[tokio::test]
async fn callers_with_an_api_key_are_not_limited_and_not_counted() {
    let (stage, key) = (Stage::with([("MessagesPerMinute", "1"), ("TokensPerDay", "1")]), Caller::from_api_key());
    for id in ["drawn-by-nobody-1", "drawn-by-nobody-2", "drawn-by-nobody-3"] {
        stage.send(&key, id).await.unwrap();
    }
    assert!(stage.usage().await.is_empty());
    let nothing = json!({
        "id": "API_KEY", "name": null, "isAdministrator": false,
        "messagesThisMinute": null, "messagesPerMinute": null, "tokensToday": null, "tokensPerDay": null,
    });
    assert_eq!(stage.used(&key).await, nothing);
}

#[tokio::test]
async fn without_limits_messages_are_not_counted() {
    let (stage, ann) = (Stage::with([("MessagesPerMinute", "0"), ("TokensPerDay", "0")]), user("ann"));
    stage.send(&ann, "m1").await.unwrap();
    assert!(stage.usage().await.is_empty());
}

#[tokio::test]
async fn what_is_counted_goes_away_with_time() {
    let (stage, ann) = (Stage::with([]), user("ann"));
    stage.send(&ann, "m1").await.unwrap();
    let [minute] = stage.usage().await.try_into().unwrap();
    assert_eq!((&minute["sk"], &minute["messages"]), (&json!("MINUTE#2026-11-21T12:00"), &json!(1)));
    let now: Timestamp = NOON.parse().unwrap();
    assert_eq!(minute["expiresAt"], now.as_second() + 3600);
}

/// The API over a table in memory, with a clock that stands still; what it starts is written down.
struct Stage {
    api: AppSync,
    database: DynamoDb,
    table: String,
    now: Rc<Cell<Timestamp>>,
    started: Started,
}

#[derive(Clone, Default)]
struct Started(Arc<Mutex<Vec<Value>>>);

impl FunctionBackend for Started {
    fn invoke<'a>(
        &'a self,
        _: &'a str,
        _: InvocationType,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, InvokeError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(payload);
        Box::pin(async { Ok(Value::Null) })
    }
}

impl Stage {
    fn with<const N: usize>(parameters: [(&str, &str); N]) -> Self {
        let deployment = Deployment::at(
            "http://api.invalid",
            parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        );
        let stack = template::load(Path::new(env!("CARGO_MANIFEST_DIR")), &deployment).expect("the template loads");
        let now = Rc::new(Cell::new(NOON.parse().expect("a time")));
        let clock = Rc::clone(&now);
        set_engine_environment(Ambient { now: Rc::new(move || clock.get()), ..Ambient::default() })
            .expect("the engine starts");
        let database = DynamoDb::open(None).expect("a database in memory");
        database.create_tables(&stack.tables).expect("the template's table");
        let started = Started::default();
        let authenticator = Authenticator::new(stack.api.modes.clone(), stack.api.keys.clone());
        let sources = DataSources::new(database.clone(), started.clone());
        let api = AppSync::new(stack.api, sources, authenticator).expect("the API loads");
        let table = stack.tables.keys().next().expect("there is a table").clone();
        Self { api, database, table, now, started }
    }

    fn at(&self, moment: &str) {
        self.now.set(moment.parse().expect("a time"));
    }

    fn started(&self) -> Vec<Value> {
        self.started.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A root field's value, or its error.
    async fn ask(&self, caller: &Caller, document: &str, variables: Value) -> Result<Value, Value> {
        let body = json!({ "query": document, "variables": variables }).to_string();
        let answer = self.api.execute(caller.clone(), &body).await.expect("the caller is let in");
        let mut answer: Value = serde_json::from_slice(&answer).expect("AppSync answers JSON");
        match answer["errors"].get_mut(0) {
            Some(error) => Err(error.take()),
            None => Ok(answer["data"]["it"].take()),
        }
    }

    async fn begin(&self, caller: &Caller, id: &str) {
        let document = "mutation ($id: ID) { it: createConversation(input: {id: $id}) { id } }";
        self.ask(caller, document, json!({ "id": id })).await.expect("a conversation");
    }

    async fn share(&self, owner: &Caller, conversation: &str, user: &Caller, access: &str) -> Result<Value, Value> {
        let document = "mutation ($in: ID!, $to: ID!, $access: Access!) { it: shareConversation(input: {conversationId: $in, userId: $to, access: $access}) { access } }";
        let variables = json!({ "in": conversation, "to": self.used(user).await["id"], "access": access });
        self.ask(owner, document, variables).await.map_err(branched_on)
    }

    /// A message that begins a conversation; of an error, what programs branch on.
    async fn send(&self, caller: &Caller, id: &str) -> Result<Value, Value> {
        let document =
            "mutation ($id: ID) { it: sendMessage(input: {id: $id, text: \"Hello\"}) { id conversationId } }";
        self.ask(caller, document, json!({ "id": id })).await.map_err(branched_on)
    }

    async fn say(&self, caller: &Caller, conversation: &str, id: &str) -> Result<Value, Value> {
        let document = "mutation ($in: ID, $id: ID) { it: sendMessage(input: {conversationId: $in, id: $id, text: \"Hello\"}) { id } }";
        self.ask(caller, document, json!({ "in": conversation, "id": id })).await.map_err(branched_on)
    }

    /// Does something with turn `m1` of conversation `c1`.
    async fn turn(&self, caller: &Caller, mutation: &str) -> Result<Value, Value> {
        let document = format!("mutation {{ it: {mutation}(conversationId: \"c1\", id: \"m1\") {{ id run status }} }}");
        self.ask(caller, &document, json!({})).await.map_err(branched_on)
    }

    async fn used(&self, caller: &Caller) -> Value {
        let document = "{ it: getCaller { id name isAdministrator messagesThisMinute messagesPerMinute tokensToday tokensPerDay } }";
        self.ask(caller, document, json!({})).await.expect("the caller is told")
    }

    /// As the handler does when an answer has ended.
    async fn spend(&self, caller: &Caller, day: &str, tokens: u64) {
        let user = self.used(caller).await["id"].clone();
        let pk = format!("USAGE#{}", user.as_str().expect("an id"));
        let put = json!({
            "operation": "PutItem",
            "key": { "pk": { "S": pk }, "sk": { "S": format!("DAY#{day}") } },
            "attributeValues": { "tokens": { "N": tokens } },
        });
        assert_eq!(self.database.run(&self.table, &put).await.error, None);
    }

    async fn items(&self) -> Vec<Value> {
        let scanned = self.database.run(&self.table, &json!({ "operation": "Scan" })).await;
        scanned.result["items"].as_array().cloned().expect("the table is read")
    }

    /// What is counted for anybody.
    async fn usage(&self) -> Vec<Value> {
        let is_usage = |item: &Value| item["pk"].as_str().is_some_and(|key| key.starts_with("USAGE#"));
        self.items().await.into_iter().filter(is_usage).collect()
    }
}

fn user(name: &str) -> Caller {
    let principal = Principal::administrator(ACCOUNT, name, format!("AKIA{name}"), "secret".into());
    Caller::from_signature(Arc::new(principal), REGION, Vec::new())
}

fn exceeded(retry_at: &str) -> Value {
    json!({ "errorType": "QuotaExceeded", "errorInfo": { "retryAt": retry_at } })
}

fn branched_on(error: Value) -> Value {
    json!({ "errorType": error["errorType"], "errorInfo": error["errorInfo"] })
}
