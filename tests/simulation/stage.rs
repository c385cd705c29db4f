//! What every run of a thread stands on: the template's own wiring, resolvers and schema over a table in memory.
use std::{collections::BTreeMap, path::Path, rc::Rc, sync::Arc, time::Duration};

use local::{
    appsync::AppSync,
    dynamodb::DynamoDb,
    graphql::{DataSources, set_engine_environment},
    identity::{AssumedRole, Authenticator, Caller, Principal},
    resolver::EngineEnvironment,
    stack::{Function, Stack},
    template::{self, ACCOUNT, Deployment, REGION},
};
use serde_json::{Value, json};

use crate::{
    aws::{lambda::Queue, tables::UnreliableTables},
    world::World,
};

/// Clones share it.
#[derive(Clone)]
pub struct Stage {
    pub api: AppSync,
    pub database: DynamoDb,
    pub table: String,
    pub functions: Arc<BTreeMap<String, Function>>,
    publishers: Arc<BTreeMap<String, Caller>>,
    sessions: Arc<BTreeMap<String, AssumedRole>>,
}

impl Stage {
    /// Handlers of this thread's resolvers live in the world that is current when they run.
    pub fn build() -> Self {
        set_engine_environment(ambient()).expect("a JavaScript engine starts");
        let stack = stack();
        let database = DynamoDb::open(None).expect("a database in memory opens");
        database.create_tables(&stack.tables).expect("the template's table is created");
        let authenticator = Authenticator::new(stack.api.modes.clone(), stack.api.keys.clone());
        let api =
            AppSync::new(stack.api, DataSources::new(UnreliableTables, Queue), authenticator).expect("the API loads");
        let publishers = stack.functions.values().map(|function| (function.name.clone(), publisher(function)));
        let session = |function: &Function| AssumedRole::new(&function.role, &function.name);
        let sessions = stack.functions.iter().map(|(name, function)| (name.clone(), session(function)));
        Self {
            api,
            database,
            table: stack.tables.keys().next().expect("there is a table").clone(),
            publishers: Arc::new(publishers.collect()),
            sessions: Arc::new(sessions.collect()),
            functions: Arc::new(stack.functions),
        }
    }

    /// As whom a function calls the API: with its role's policies.
    pub fn publisher(&self, function: &str) -> Caller {
        self.publishers[function].clone()
    }

    /// The table as a function reaches it: with its role's policies.
    pub fn database_of(&self, function: &str) -> DynamoDb {
        self.database.as_role(&self.sessions[function])
    }

    /// All items under a partition key.
    pub fn items(&self, partition: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut next = Value::Null;
        loop {
            let mut request = json!({
                "operation": "Query",
                "query": { "expression": "pk = :pk", "expressionValues": { ":pk": { "S": partition } } },
                "consistentRead": true,
            });
            if next.is_string() {
                request["nextToken"] = next;
            }
            let answer = self.database.run_blocking(&self.table, &request);
            assert_eq!(answer.error, None, "the checker reads the table");
            items.extend(answer.result["items"].as_array().cloned().unwrap_or_default());
            next = answer.result["nextToken"].clone();
            if next.is_null() {
                return items;
            }
        }
    }
}

fn stack() -> Stack {
    let deployment = Deployment::at("http://api.invalid", BTreeMap::new());
    template::load(Path::new(env!("CARGO_MANIFEST_DIR")), &deployment).expect("the template loads")
}

fn publisher(function: &Function) -> Caller {
    let credentials = ["AKIASIMULATED".into(), "secret".into(), "token".into()];
    let principal = Principal::role_session(&function.role.arn, &function.name, credentials, &function.role.statements);
    assert_eq!(principal.account, ACCOUNT);
    Caller::from_signature(Arc::new(principal), REGION, Vec::new())
}

fn ambient() -> EngineEnvironment {
    EngineEnvironment {
        now: Rc::new(|| World::current().timestamp()),
        random: Rc::new(|| World::current().dice(|dice| dice.draw())),
        handler_timeout: Duration::from_secs(10),
    }
}
