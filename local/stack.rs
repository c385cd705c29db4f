//! What template.yaml says, in our words: the wiring that the rest of the laptop edition runs.
use std::{collections::BTreeMap, time::Duration};

use fancy_regex::Regex;
use serde_json::Value;

/// Every resource of the template, with parameters, conditions and references resolved.
#[derive(Clone, Debug)]
pub struct Stack {
    pub api: Api,
    /// By table name.
    pub tables: BTreeMap<String, Table>,
    /// By function name.
    pub functions: BTreeMap<String, Function>,
    /// By role name.
    pub roles: BTreeMap<String, Role>,
}

/// As whom a part of the stack acts, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    pub arn: String,
    /// The statements of its policies, as IAM writes them.
    pub statements: Vec<Value>,
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
    /// Whose tokens are taken.
    pub issuers: Vec<TokenIssuer>,
    /// What resolvers read as `ctx.env`.
    pub environment: BTreeMap<String, String>,
    pub data_sources: BTreeMap<String, DataSource>,
    /// By function name, as pipelines call them.
    pub functions: BTreeMap<String, PipelineFunction>,
    /// By type name and field name.
    pub resolvers: BTreeMap<(String, String), Resolver>,
    pub introspection: bool,
    pub limits: Limits,
}

/// How a caller proves who it is: AppSync's `API_KEY`, `AWS_IAM`, `AMAZON_COGNITO_USER_POOLS` or `OPENID_CONNECT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    ApiKey,
    Iam,
    UserPool,
    OpenId,
}

/// Who signs tokens, and which of them are taken.
#[derive(Clone, Debug)]
pub struct TokenIssuer {
    /// What tokens call it: their `iss`.
    pub url: String,
    /// Which clients' tokens are taken; without it, those of all.
    pub clients: Option<Regex>,
    pub kind: IssuerKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerKind {
    UserPool,
    /// How long tokens are taken after they were issued, and after their user was authenticated, whatever they say.
    OpenId {
        after_issue: Option<Duration>,
        after_authentication: Option<Duration>,
    },
}

/// What one request may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How deep its fields may be nested; without it, as deep as they will.
    pub query_depth: Option<usize>,
    pub resolvers: usize,
}

/// Where a resolver's request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSource {
    /// Nowhere: what the request calls `payload` is the result.
    None,
    /// The table by its name.
    Table { table: String, role: Role },
    /// The function by its ARN.
    Lambda { function: String, role: Role },
}

/// A file of APPSYNC_JS.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    /// As the template writes it, for messages: `resolvers/putBatch.js`.
    pub path: String,
    pub text: String,
}

/// One step of pipelines: an `AWS::AppSync::FunctionConfiguration`.
#[derive(Clone, Debug)]
pub struct PipelineFunction {
    pub name: String,
    /// By its name in `Api::data_sources`.
    pub data_source: String,
    pub code: Code,
}

/// How a field is answered: by one data source, or by functions in a row.
#[derive(Clone, Debug)]
pub enum Resolver {
    Unit {
        data_source: String,
        code: Code,
    },
    /// The functions by their names in `Api::functions`, in the order of their calls; the code runs around them.
    Pipeline {
        functions: Vec<String>,
        code: Code,
    },
}

/// A DynamoDB table.
#[derive(Clone, Debug)]
pub struct Table {
    /// The body of DynamoDB's CreateTable.
    pub definition: Value,
    /// Which number, in seconds since 1970, says when an item expires.
    pub ttl_attribute: Option<String>,
}

/// A Lambda function; its code is this program's own handler.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub arn: String,
    pub memory_megabytes: u32,
    pub timeout_seconds: u32,
    /// How many invocations may run at once; without it, as many as the account allows.
    pub reserved_concurrency: Option<u32>,
    pub environment: BTreeMap<String, String>,
    pub asynchronous: Asynchronous,
    pub role: Role,
}

/// How Lambda treats an Event invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asynchronous {
    pub retries: u8,
    pub event_age_seconds: u32,
    /// The ARN of the function that is told of an event that failed for good.
    pub on_failure: Option<String>,
}

impl IssuerKind {
    pub fn mode(self) -> AuthMode {
        match self {
            Self::UserPool => AuthMode::UserPool,
            Self::OpenId { .. } => AuthMode::OpenId,
        }
    }
}

/// AppSync's own limits.
impl Default for Limits {
    fn default() -> Self {
        Self { query_depth: None, resolvers: 10_000 }
    }
}
