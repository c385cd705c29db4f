//! The parts that all runs of a thread share: the template's wiring, its resolvers and schema, and a table in
//! memory.
use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, OnceLock},
    time::Duration,
};

use local::{
    appsync::AppSync,
    dynamodb::DynamoDb,
    fault_injection::{Fault, FaultInjector, FaultPlan},
    graphql::{DataSources, set_engine_environment},
    identity::{AssumedRole, Authenticator, Caller, Principal},
    resolver::EngineEnvironment,
    stack::{Api, Function, Stack},
    template::{ACCOUNT, Deployment, REGION},
};
use serde_json::{Value, json};

use crate::{
    aws::{bedrock_sdk::RequestBodies, data_source::FaultyTables, lambda::EventQueue},
    environment::Environment,
    knowledge::KNOWLEDGE_BASE_ID,
    mutants::Mutant,
    repository_template::TEMPLATE,
    tools::{ALLOWED_FUNCTIONS, PENDING_HOURS},
};

/// Clones share everything.
#[derive(Clone)]
pub struct Fixture {
    pub api: AppSync,
    pub database: DynamoDb,
    /// A database of its own, whose eventually consistent reads lack the newest writes.
    stale_database: DynamoDb,
    pub table: String,
    pub functions: Arc<BTreeMap<String, Function>>,
    pub request_bodies: RequestBodies,
    /// The API of a deployment with a knowledge base. Loaded when a run needs it.
    knowledge_api: Arc<OnceLock<AppSync>>,
    callers: Arc<BTreeMap<String, Caller>>,
    roles: Arc<BTreeMap<String, AssumedRole>>,
}

impl Fixture {
    /// Sets the JavaScript engine of the current thread to the environment of the run that is in progress
    /// there.
    pub fn new() -> Self {
        Self::with_stack(load_stack("none"))
    }

    /// The program with the resolvers of a mutant.
    pub fn of_mutant(mutant: Mutant) -> Self {
        let mut stack = load_stack("none");
        for edit in mutant.resolver_edits() {
            let functions = stack.api.functions.values_mut().map(|function| &mut function.code);
            let mut edited = functions.filter(|code| code.path.ends_with(edit.file)).peekable();
            assert!(edited.peek().is_some(), "{mutant:?}: there is no resolver {}", edit.file);
            for code in edited {
                assert!(code.text.contains(edit.text), "{mutant:?}: {} does not contain {:?}", edit.file, edit.text);
                code.text = code.text.replace(edit.text, edit.replacement);
            }
        }
        Self::with_stack(stack)
    }

    fn with_stack(stack: Stack) -> Self {
        set_engine_environment(engine_environment()).expect("the JavaScript engine starts");
        let database = open_database(&stack);
        let rates = [(Fault::StaleRead, 1.0)].into();
        let stale_reads = FaultInjector::new(&FaultPlan { rates, ..FaultPlan::default() });
        let stale_database = open_database(&stack).with_faults(&stale_reads, &stack.tables);
        let api = load_api(stack.api);
        let callers = stack.functions.values().map(|function| (function.name.clone(), caller(function)));
        let role = |function: &Function| AssumedRole::new(&function.role, &function.name);
        let roles = stack.functions.iter().map(|(name, function)| (name.clone(), role(function)));
        Self {
            api,
            database,
            stale_database: stale_database.expect("the replica opens in memory"),
            table: stack.tables.keys().next().expect("the template has a table").clone(),
            callers: Arc::new(callers.collect()),
            roles: Arc::new(roles.collect()),
            functions: Arc::new(stack.functions),
            request_bodies: RequestBodies::new(),
            knowledge_api: Arc::default(),
        }
    }

    /// The same program in a deployment with a knowledge base. The default agent would search there as well,
    /// so other runs have none.
    pub fn with_knowledge(&self) -> Self {
        let api = self.knowledge_api.get_or_init(|| load_api(load_stack(KNOWLEDGE_BASE_ID).api));
        Self { api: api.clone(), ..self.clone() }
    }

    /// The same program with eventually consistent reads that are stale.
    pub fn with_stale_reads(&self) -> Self {
        Self { database: self.stale_database.clone(), ..self.clone() }
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

fn load_api(api: Api) -> AppSync {
    let authenticator = Authenticator::new(api.modes.clone(), api.keys.clone());
    AppSync::new(api, DataSources::new(FaultyTables, EventQueue), authenticator).expect("the API loads")
}

fn open_database(stack: &Stack) -> DynamoDb {
    let database = DynamoDb::open(None).expect("the database opens in memory");
    database.create_tables(&stack.tables).expect("the template's table is created");
    database
}

/// Quotas are checked and never exceeded.
fn load_stack(knowledge: &str) -> Stack {
    let parameters = [
        ("Knowledge", knowledge.to_owned()),
        ("MessagesPerMinute", "1000000".to_owned()),
        ("TokensPerDay", "2000000000".to_owned()),
        ("ToolFunctionArns", ALLOWED_FUNCTIONS.to_owned()),
        ("PendingHours", PENDING_HOURS.to_string()),
    ];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value));
    let deployment = Deployment::at("http://api.invalid", parameters.into());
    TEMPLATE.load(&deployment).expect("the template loads")
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
