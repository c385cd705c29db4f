//! The API of the template with a recorder in place of Lambda and a clock that the test sets.
use std::{
    cell::Cell,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use local::{
    appsync::AppSync,
    dynamodb::DynamoDb,
    graphql::{DataSources, FunctionBackend, set_engine_environment},
    identity::{Authenticator, Caller, Principal},
    lambda::{InvocationType, InvokeError},
    resolver::EngineEnvironment,
    template::{ACCOUNT, Deployment, REGION},
};
use serde_json::{Value, json};

use crate::repository_template::TEMPLATE;

/// The time of the clock when a test begins.
pub const START: &str = "2026-11-21T12:00:05Z";

const GATEWAY_ROLE: &str = "parlance-GatewayRole";

pub struct Fixture {
    api: AppSync,
    database: DynamoDb,
    table: String,
    now: Rc<Cell<Timestamp>>,
    invocations: RecordedInvocations,
    /// The handler as it calls the API.
    pub handler: Caller,
    /// The gateway, in a session of its role.
    pub gateway: Caller,
}

#[derive(Clone)]
struct RecordedInvocations {
    payloads: Arc<Mutex<Vec<Value>>>,
    /// The result of a synchronous invocation. `None`: the handler accepts the tools.
    result: Arc<Mutex<Option<Result<Value, InvokeError>>>>,
}

impl FunctionBackend for RecordedInvocations {
    fn invoke<'a>(
        &'a self,
        _: &'a str,
        kind: InvocationType,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, InvokeError>> {
        let result = match kind {
            InvocationType::Event => Ok(Value::Null),
            InvocationType::RequestResponse => {
                let accepted = || json!({ "refusals": [], "tools": with_effects(payload["tools"].clone()) });
                lock(&self.result).clone().unwrap_or_else(|| Ok(accepted()))
            }
        };
        lock(&self.payloads).push(payload);
        Box::pin(async { result })
    }
}

/// Completes the effects of tools as the handler does.
fn with_effects(mut tools: Value) -> Value {
    for tool in tools.as_array_mut().into_iter().flatten() {
        if tool["effect"].is_null() {
            tool["effect"] = json!("WRITE");
        }
    }
    tools
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fixture {
    pub fn with_parameters<const N: usize>(parameters: [(&str, &str); N]) -> Self {
        let deployment = Deployment::at(
            "http://api.invalid",
            parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        );
        let mut stack = TEMPLATE.load(&deployment).expect("the template loads");
        let gateway_sessions = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{GATEWAY_ROLE}/");
        stack.api.environment.insert("GATEWAY_SESSIONS".to_owned(), gateway_sessions);
        let now = Rc::new(Cell::new(START.parse().expect("a time")));
        let clock = Rc::clone(&now);
        set_engine_environment(EngineEnvironment { now: Rc::new(move || clock.get()), ..EngineEnvironment::default() })
            .expect("the engine starts");
        let database = DynamoDb::open(None).expect("a database in memory");
        database.create_tables(&stack.tables).expect("the template's table");
        let invocations = RecordedInvocations { payloads: Arc::default(), result: Arc::default() };
        let authenticator = Authenticator::new(stack.api.modes.clone(), stack.api.keys.clone());
        let sources = DataSources::new(database.clone(), invocations.clone());
        let role = &stack.functions["parlance-Handler"].role;
        let keys = ["key", "secret", "token"].map(str::to_owned);
        let session = Principal::role_session(&role.arn, "parlance-Handler", keys, &role.statements);
        let handler = Caller::from_signature(Arc::new(session), REGION, Vec::new());
        let allow_all = json!({ "Effect": "Allow", "Action": "appsync:GraphQL", "Resource": "*" });
        let role = format!("arn:aws:iam::{ACCOUNT}:role/{GATEWAY_ROLE}");
        let keys = ["gateway-key", "secret", "token"].map(str::to_owned);
        let session = Principal::role_session(&role, "gateway", keys, &[allow_all]);
        let gateway = Caller::from_signature(Arc::new(session), REGION, Vec::new());
        let api = AppSync::new(stack.api, sources, authenticator).expect("the API loads");
        let table = stack.tables.keys().next().expect("there is a table").clone();
        Self { api, database, table, now, invocations, handler, gateway }
    }

    pub fn set_time(&self, time: &str) {
        self.now.set(time.parse().expect("a time"));
    }

    /// The payloads of the invocations.
    pub fn payloads(&self) -> Vec<Value> {
        lock(&self.invocations.payloads).clone()
    }

    /// Sets the result of synchronous invocations. By default the handler accepts the tools.
    pub fn set_invocation_result(&self, result: Result<Value, InvokeError>) {
        *lock(&self.invocations.result) = Some(result);
    }

    /// Executes a document with one root field; returns the field's value or its error.
    pub async fn execute(&self, caller: &Caller, document: &str, variables: Value) -> Result<Value, Value> {
        let body = json!({ "query": document, "variables": variables }).to_string();
        let response = self.api.execute(caller.clone(), &body).await.expect("the caller is authorized");
        let mut response: Value = serde_json::from_slice(&response).expect("AppSync answers JSON");
        match response["errors"].get_mut(0) {
            Some(error) => Err(error.take()),
            None => Ok(response["data"]["result"].take()),
        }
    }

    pub async fn create_conversation(&self, caller: &Caller, id: &str) {
        let document = "mutation ($id: ID) { result: createConversation(input: {id: $id}) { id } }";
        self.execute(caller, document, json!({ "id": id })).await.expect("a conversation");
    }

    pub async fn share_conversation(
        &self,
        owner: &Caller,
        conversation_id: &str,
        user: &Caller,
        access: &str,
    ) -> Result<Value, Value> {
        let document = "mutation ($id: ID!, $userId: ID!, $access: Access!) { result: shareConversation(input: {conversationId: $id, userId: $userId, access: $access}) { access } }";
        let variables = json!({ "id": conversation_id, "userId": self.get_caller(user).await["id"], "access": access });
        self.execute(owner, document, variables).await.map_err(error_type_and_info)
    }

    /// Sends a message that begins a conversation.
    pub async fn send_first_message(&self, caller: &Caller, id: &str) -> Result<Value, Value> {
        let document =
            "mutation ($id: ID) { result: sendMessage(input: {id: $id, text: \"Hello\"}) { id conversationId } }";
        self.execute(caller, document, json!({ "id": id })).await.map_err(error_type_and_info)
    }

    pub async fn send_message(&self, caller: &Caller, conversation_id: &str, id: &str) -> Result<Value, Value> {
        let document = "mutation ($conversationId: ID, $id: ID) { result: sendMessage(input: {conversationId: $conversationId, id: $id, text: \"Hello\"}) { id } }";
        self.execute(caller, document, json!({ "conversationId": conversation_id, "id": id }))
            .await
            .map_err(error_type_and_info)
    }

    /// Executes a mutation of turn `m1` in conversation `c1`.
    pub async fn mutate_turn(&self, caller: &Caller, mutation: &str) -> Result<Value, Value> {
        let document =
            format!("mutation {{ result: {mutation}(conversationId: \"c1\", id: \"m1\") {{ id run status }} }}");
        self.execute(caller, &document, json!({})).await.map_err(error_type_and_info)
    }

    /// The caller with its usage and its limits.
    pub async fn get_caller(&self, caller: &Caller) -> Value {
        let document = "{ result: getCaller { id name isAdministrator messagesThisMinute messagesPerMinute tokensToday tokensPerDay } }";
        self.execute(caller, document, json!({})).await.expect("the caller")
    }

    /// Stores the tokens that a user has used on a day, as the handler does when an answer ends.
    pub async fn put_token_usage(&self, caller: &Caller, day: &str, tokens: u64) {
        let user = self.get_caller(caller).await["id"].clone();
        let pk = format!("USAGE#{}", user.as_str().expect("an id"));
        let put = json!({
            "operation": "PutItem",
            "key": { "pk": { "S": pk }, "sk": { "S": format!("DAY#{day}") } },
            "attributeValues": { "tokens": { "N": tokens } },
        });
        assert_eq!(self.database.run(&self.table, &put).await.error, None);
    }

    pub async fn scan(&self) -> Vec<Value> {
        let scanned = self.database.run(&self.table, &json!({ "operation": "Scan" })).await;
        scanned.result["items"].as_array().cloned().expect("a list of items")
    }

    /// Leaves turn `m1` of conversation `c1` as its first attempt does that has claimed it at START.
    pub async fn claim_turn(&self) {
        let lease_until = START.parse::<Timestamp>().expect("a time").as_millisecond() + 30_000;
        let update = json!({
            "operation": "UpdateItem",
            "key": { "pk": { "S": "CONVERSATION#c1" }, "sk": { "S": "TURN#m1" } },
            "update": {
                "expression": "SET #status = :running, attempt = :one, leaseUntil = :lease, holder = :holder",
                "expressionNames": { "#status": "status" },
                "expressionValues": {
                    ":running": { "S": "RUNNING" },
                    ":one": { "N": 1 },
                    ":lease": { "N": lease_until },
                    ":holder": { "S": "h" },
                },
            },
        });
        assert_eq!(self.database.run(&self.table, &update).await.error, None);
    }

    /// The usage items of all users.
    pub async fn usage_items(&self) -> Vec<Value> {
        let is_usage = |item: &Value| item["pk"].as_str().is_some_and(|key| key.starts_with("USAGE#"));
        self.scan().await.into_iter().filter(is_usage).collect()
    }
}

pub fn iam_user(name: &str) -> Caller {
    let principal = Principal::administrator(ACCOUNT, name, format!("AKIA{name}"), "secret".into());
    Caller::from_signature(Arc::new(principal), REGION, Vec::new())
}

/// The members of an error that programs branch on.
pub fn error_type_and_info(error: Value) -> Value {
    json!({ "errorType": error["errorType"], "errorInfo": error["errorInfo"] })
}

/// Reads a file by its path in the repository.
pub fn read_repository_file(path: &str) -> String {
    crate::read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
}
