//! What template.yaml says, in our words: the wiring that the rest of the laptop edition runs.
use std::collections::BTreeMap;

use serde_json::Value;

/// Every resource of the template, with parameters, conditions and references resolved.
#[derive(Clone, Debug)]
pub struct Stack {
    pub api: Api,
    /// By table name.
    pub tables: BTreeMap<String, Table>,
    /// By function name.
    pub functions: BTreeMap<String, Function>,
}

/// The GraphQL API with its schema, data sources and resolvers.
#[derive(Clone, Debug)]
pub struct Api {
    pub name: String,
    pub id: String,
    /// schema.graphql, as it stands on disk.
    pub schema: String,
    /// The default mode first.
    pub modes: Vec<AuthMode>,
    pub keys: Vec<String>,
    /// What resolvers read as `ctx.env`.
    pub environment: BTreeMap<String, String>,
    pub data_sources: BTreeMap<String, DataSource>,
    /// By function name, as pipelines call them.
    pub functions: BTreeMap<String, PipelineFunction>,
    /// By type name and field name.
    pub resolvers: BTreeMap<(String, String), Resolver>,
    pub introspection: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    ApiKey,
    Iam,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSource {
    None,
    /// The table's name.
    Table(String),
    /// The function's name.
    Lambda(String),
}

/// A file of APPSYNC_JS.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    /// As the template writes it, for messages: `resolvers/putBatch.js`.
    pub path: String,
    pub text: String,
}

#[derive(Clone, Debug)]
pub struct PipelineFunction {
    pub name: String,
    pub data_source: String,
    pub code: Code,
}

#[derive(Clone, Debug)]
pub enum Resolver {
    Unit { data_source: String, code: Code },
    Pipeline { functions: Vec<String>, code: Code },
}

#[derive(Clone, Debug)]
pub struct Table {
    /// The body of DynamoDB's CreateTable.
    pub definition: Value,
    pub ttl_attribute: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub arn: String,
    pub memory_megabytes: u32,
    pub timeout_seconds: u32,
    pub reserved_concurrency: Option<u32>,
    pub environment: BTreeMap<String, String>,
    pub asynchronous: Asynchronous,
    /// The statements of its role's policies, as IAM writes them.
    pub statements: Vec<Value>,
    pub role_arn: String,
}

/// How Lambda treats an Event invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asynchronous {
    pub retries: u8,
    pub event_age_seconds: u32,
    /// The ARN of the function that is told of an event that failed for good.
    pub on_failure: Option<String>,
}
