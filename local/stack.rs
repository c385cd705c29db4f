//! The stack that template.yaml describes, in the form that the local server runs.
use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use crate::{command_line::CommandLine, lambda::InvocationType, websocket_api::IdentitySource};

pub use tokens::{IssuerKind, TokenIssuer};

/// Every resource of the template, with parameters, conditions and references resolved.
#[derive(Clone, Debug)]
pub struct Stack {
    pub api: Api,
    pub events_api: Option<EventsApi>,
    pub websocket_api: Option<WebSocketApi>,
    /// By table name.
    pub tables: BTreeMap<String, Table>,
    /// By function name.
    pub functions: BTreeMap<String, Function>,
    /// By role name.
    pub roles: BTreeMap<String, Role>,
    /// The ARNs of its KMS keys.
    pub encryption_keys: Vec<String>,
    /// The knowledge base that the stack creates.
    pub knowledge_base: Option<KnowledgeBase>,
    /// The local server runs none of them.
    pub schedules: Vec<Schedule>,
}

/// A knowledge base with its data source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnowledgeBase {
    pub id: String,
    pub data_source_id: String,
    pub store: VectorStore,
    pub chunking: Chunking,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VectorStore {
    Rds,
    S3Vectors,
}

/// How documents are cut into chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunking {
    FixedSize {
        max_tokens: u32,
        overlap_percentage: u32,
    },
    /// A document is one chunk.
    None,
}

/// A function that is invoked at a rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The function's ARN.
    pub function: String,
    /// `rate(1 day)`
    pub rate: String,
    /// The payload of each invocation.
    pub input: Value,
}

/// An IAM role of a function or a data source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    pub arn: String,
    /// The statements of its policies, as JSON.
    pub statements: Vec<Value>,
}

/// The GraphQL API with its schema, data sources and resolvers.
#[derive(Clone, Debug)]
pub struct Api {
    pub name: String,
    pub id: String,
    /// The content of schema.graphql.
    pub schema: String,
    /// The default mode first.
    pub modes: Vec<AuthMode>,
    pub keys: Vec<String>,
    /// The issuers whose tokens the API accepts.
    pub issuers: Vec<TokenIssuer>,
    /// `ctx.env` of resolvers.
    pub environment: BTreeMap<String, String>,
    pub data_sources: BTreeMap<String, DataSource>,
    /// By function name.
    pub functions: BTreeMap<String, PipelineFunction>,
    /// By type name and field name.
    pub resolvers: BTreeMap<(String, String), Resolver>,
    pub introspection: bool,
    pub limits: Limits,
}

/// How a caller authenticates: AppSync's `API_KEY`, `AWS_IAM`, `AMAZON_COGNITO_USER_POOLS` or
/// `OPENID_CONNECT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    ApiKey,
    Iam,
    UserPool,
    OpenId,
}

/// An Events API with its channel namespaces: `AWS::AppSync::Api`.
#[derive(Clone, Debug)]
pub struct EventsApi {
    pub name: String,
    pub id: String,
    /// The modes of its providers.
    pub modes: Vec<AuthMode>,
    pub keys: Vec<String>,
    /// The issuers whose tokens the API accepts.
    pub issuers: Vec<TokenIssuer>,
    pub connection_modes: Vec<AuthMode>,
    /// By name.
    pub namespaces: BTreeMap<String, ChannelNamespace>,
}

#[derive(Clone, Debug)]
pub struct ChannelNamespace {
    pub publish_modes: Vec<AuthMode>,
    pub subscribe_modes: Vec<AuthMode>,
    /// Exports `onPublish`, `onSubscribe` or both.
    pub code: Option<Code>,
    pub on_publish: Option<HandlerConfig>,
    pub on_subscribe: Option<HandlerConfig>,
}

/// How a handler of a channel namespace is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlerConfig {
    /// The handler of the code, with its data source.
    Code(DataSource),
    /// A function in place of code.
    Direct {
        /// The function's ARN.
        function: String,
        role: Role,
        invocation: InvocationType,
    },
}

/// A WebSocket API with the routes of its stage: `AWS::ApiGatewayV2::Api`.
#[derive(Clone, Debug)]
pub struct WebSocketApi {
    pub id: String,
    pub name: String,
    /// `localhost:4000`
    pub domain_name: String,
    /// The name of the stage.
    pub stage: String,
    pub stage_variables: BTreeMap<String, String>,
    /// The names of the members of a message's body that lead to its route key.
    pub route_selection: Vec<String>,
    /// By route key.
    pub routes: BTreeMap<String, WebSocketRoute>,
    /// Decides who may connect.
    pub authorizer: Option<RequestAuthorizer>,
}

/// The function of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketRoute {
    /// The function's ARN.
    pub function: String,
    /// How long the function may take.
    pub timeout: Duration,
    /// Whether the function's answer is sent to the client.
    pub sends_response: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestAuthorizer {
    /// The function's ARN.
    pub function: String,
    /// All of them must have a value, or the function is not invoked.
    pub identity_sources: Vec<IdentitySource>,
}

/// The limits of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum nesting of fields; None is unlimited.
    pub query_depth: Option<usize>,
    /// The maximum number of resolvers that run.
    pub resolvers: usize,
}

/// The target of a resolver's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSource {
    /// No target: `payload` of the request is the result.
    None,
    /// A table, by its name.
    Table { table: String, role: Role },
    /// A function, by its ARN.
    Lambda { function: String, role: Role },
    /// KMS, by its HTTP API.
    Kms { role: Role },
}

/// A file of APPSYNC_JS code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    /// The path in the template, for messages: `resolvers/putBatch.js`.
    pub path: String,
    pub text: String,
}

/// One function of a pipeline: an `AWS::AppSync::FunctionConfiguration`.
#[derive(Clone, Debug)]
pub struct PipelineFunction {
    pub name: String,
    /// The name in `Api::data_sources`.
    pub data_source: String,
    pub code: Code,
}

/// The resolver of a field: one data source, or a pipeline of functions.
#[derive(Clone, Debug)]
pub enum Resolver {
    Unit {
        data_source: String,
        code: Code,
    },
    /// The functions by their names in `Api::functions`, in calling order. The code runs before the first and
    /// after the last function.
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
    /// The attribute that holds an item's expiry, in seconds since 1970.
    pub ttl_attribute: Option<String>,
}

/// A Lambda function.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub arn: String,
    pub memory_megabytes: u32,
    pub timeout_seconds: u32,
    /// The maximum of concurrent invocations; None is the account's limit.
    pub reserved_concurrency: Option<u32>,
    /// The folder of its code, relative to that of template.yaml.
    pub code_folder: String,
    /// The program that is started as an execution environment and speaks Lambda's Runtime API; None is
    /// `parlance handler`.
    pub command: Option<CommandLine>,
    pub environment: BTreeMap<String, String>,
    pub event_invoke: EventInvokeConfig,
    pub role: Role,
}

/// How Lambda retries Event invocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventInvokeConfig {
    pub max_retries: u8,
    pub max_event_age_seconds: u32,
    pub on_failure: Option<FailureDestination>,
}

/// What receives a record of each discarded event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureDestination {
    /// A function, by its ARN. It is invoked with the record.
    Function(String),
    /// A queue, by its ARN. It keeps the record.
    Queue(String),
}

impl From<IssuerKind> for AuthMode {
    fn from(kind: IssuerKind) -> Self {
        match kind {
            IssuerKind::UserPool => Self::UserPool,
            IssuerKind::OpenId { .. } => Self::OpenId,
        }
    }
}

/// AppSync's own limits.
impl Default for Limits {
    fn default() -> Self {
        Self { query_depth: None, resolvers: 10_000 }
    }
}
