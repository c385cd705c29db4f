//! The parts that all runs of a thread share: the template's wiring, its resolvers and schema, and a table in
//! memory.
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
    aws::{data_source::FaultyTables, lambda::EventQueue},
    environment::Environment,
};

/// Clones share everything.
#[derive(Clone)]
pub struct Fixture {
    pub api: AppSync,
    pub database: DynamoDb,
    pub table: String,
    pub functions: Arc<BTreeMap<String, Function>>,
    callers: Arc<BTreeMap<String, Caller>>,
    roles: Arc<BTreeMap<String, AssumedRole>>,
}

impl Fixture {
    /// Sets the JavaScript engine of the current thread to the environment of the run that is in progress
    /// there.
    pub fn new() -> Self {
        set_engine_environment(engine_environment()).expect("the JavaScript engine starts");
        let stack = load_stack();
        let database = DynamoDb::open(None).expect("the database opens in memory");
        database.create_tables(&stack.tables).expect("the template's table is created");
        let authenticator = Authenticator::new(stack.api.modes.clone(), stack.api.keys.clone());
        let data_sources = DataSources::new(FaultyTables, EventQueue);
        let api = AppSync::new(stack.api, data_sources, authenticator).expect("the API loads");
        let callers = stack.functions.values().map(|function| (function.name.clone(), caller(function)));
        let role = |function: &Function| AssumedRole::new(&function.role, &function.name);
        let roles = stack.functions.iter().map(|(name, function)| (name.clone(), role(function)));
        Self {
            api,
            database,
            table: stack.tables.keys().next().expect("the template has a table").clone(),
            callers: Arc::new(callers.collect()),
            roles: Arc::new(roles.collect()),
            functions: Arc::new(stack.functions),
        }
    }

    /// A function as the caller of the API, with its role's policies.
    pub fn caller(&self, function: &str) -> Caller {
        self.callers[function].clone()
    }

    /// The database as a function accesses it, with its role's policies.
    pub fn database_of(&self, function: &str) -> DynamoDb {
        self.database.as_role(&self.roles[function])
    }

    /// All items with a partition key.
    pub fn items(&self, partition_key: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut next_token = Value::Null;
        loop {
            let mut request = json!({
                "operation": "Query",
                "query": { "expression": "pk = :pk", "expressionValues": { ":pk": { "S": partition_key } } },
                "consistentRead": true,
            });
            if next_token.is_string() {
                request["nextToken"] = next_token;
            }
            let response = self.database.run_blocking(&self.table, &request);
            assert_eq!(response.error, None, "the query succeeds");
            items.extend(response.result["items"].as_array().cloned().unwrap_or_default());
            next_token = response.result["nextToken"].clone();
            if next_token.is_null() {
                return items;
            }
        }
    }
}

fn load_stack() -> Stack {
    let deployment = Deployment::at("http://api.invalid", BTreeMap::new());
    template::load(Path::new(env!("CARGO_MANIFEST_DIR")), &deployment).expect("the template loads")
}

fn caller(function: &Function) -> Caller {
    let credentials = ["AKIASIMULATED".into(), "secret".into(), "token".into()];
    let principal = Principal::role_session(&function.role.arn, &function.name, credentials, &function.role.statements);
    assert_eq!(principal.account, ACCOUNT);
    Caller::from_signature(Arc::new(principal), REGION, Vec::new())
}

fn engine_environment() -> EngineEnvironment {
    EngineEnvironment {
        now: Rc::new(|| Environment::current().timestamp()),
        random: Rc::new(|| Environment::current().with_rng(|rng| rng.number())),
        handler_timeout: Duration::from_secs(10),
    }
}
