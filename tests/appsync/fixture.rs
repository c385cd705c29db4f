//! The API under test: its resolvers, callers and server.
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use local::{
    appsync::AppSync,
    dynamodb::DynamoDb,
    graphql::{ApiDefinitionError, ApiSettings, DataSources},
    identity::{Authenticator, Principal},
    lambda::{Lambda, Launcher},
    stack::{
        Api, AuthMode, Code, DataSource, EventInvokeConfig, Function, Limits, PipelineFunction, Resolver, Role, Table,
    },
};
use serde_json::{Value, json};

pub const KEY: &str = "da2-right";
pub const SCHEMA: &str = include_str!("schema.graphql");

/// Returns the payload of the request handler.
const RETURN_RESULT: &str = "export function response(ctx) { return ctx.result }";

const RESOLVERS: [(&str, &str, &str); 21] = [
    (
        "Query",
        "thing",
        "return { payload: { id: ctx.args.id, name: 'one', secret: 'hush', friend: { id: 2, name: 'two' } } }",
    ),
    ("Query", "echo", "return { payload: ctx.args }"),
    (
        "Query",
        "context",
        "util.http.addResponseHeader('x-answer', 'yes');
        return { payload: { headers: ctx.request.headers, domainName: ctx.request.domainName, env: ctx.env,
            identity: ctx.identity, source: ctx.source } }",
    ),
    (
        "Query",
        "info",
        "return { payload: { id: 'i', name: JSON.stringify({ list: ctx.info.selectionSetList,
            field: ctx.info.fieldName, parent: ctx.info.parentTypeName, variables: ctx.info.variables,
            graphql: ctx.info.selectionSetGraphQL }) } }",
    ),
    ("Query", "raise", "util.error('No.', 'Refused', { id: 7, name: 'n', hidden: 1 }, { why: 'because' })"),
    ("Query", "append", "util.appendError('Almost.', 'Warned', null, { n: 1 }); return { payload: { id: 'a' } }"),
    ("Query", "refuse", "util.unauthorized()"),
    ("Query", "broken", "return { payload: ctx.args.nothing.there }"),
    ("Query", "result", "return { payload: ctx.args.value }"),
    ("Query", "nothing", "return { payload: {} }"),
    ("Query", "pet", "return { payload: { __typename: 'Dog', name: 'Rex', lives: 9 } }"),
    ("Query", "textLength", "return { payload: ctx.args.text.length }"),
    ("Query", "locked", "return { payload: { id: 'l' } }"),
    ("Query", "whoami", "return { payload: { identity: ctx.identity, mode: util.authType() } }"),
    ("Query", "restricted", "return { payload: 'Members only.' }"),
    (
        "Mutation",
        "publish",
        "const { id, count, text } = ctx.args;
        return { payload: { id, count, text, sender: { id: 's', name: 'Ann', secret: 'hush' } } }",
    ),
    (
        "Mutation",
        "runSlowly",
        "let long = 'ab';
        for (const round of '18 doublings, no more'.slice(0, 18).split('')) { long += long }
        for (const round of long.slice(0, 900).split('')) { ctx.stash.parts = long.split('a').length }
        return { payload: { id: ctx.args.id } }",
    ),
    ("Mutation", "fail", "util.error('Lost.', 'TryAgain')"),
    ("Mutation", "sign", "return { payload: { id: ctx.args.id, text: ctx.identity.userArn } }"),
    ("Subscription", "onGreeted", "return { payload: { id: 'hello', text: 'greeting' } }"),
    ("Subscription", "onRefused", "util.error('Not yours.', 'NotFound')"),
];

pub struct Server {
    pub address: SocketAddr,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(api(), ApiSettings::default()).await
    }

    pub async fn start_with(api: Api, settings: ApiSettings) -> Self {
        let app = build(api, settings).await.unwrap().router();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { address }
    }

    pub fn url(&self) -> String {
        format!("http://{}/graphql", self.address)
    }

    /// Sends a request with the API key and returns the response's body.
    pub async fn execute(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let request = reqwest::Client::new().post(self.url()).header("x-api-key", KEY).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    }
}

pub async fn build(api: Api, settings: ApiSettings) -> Result<AppSync, ApiDefinitionError> {
    let launcher = Launcher::new(PathBuf::from("sleep"), vec!["1000".into()], BTreeMap::new());
    let lambda = Lambda::start(&[("slow".into(), slow_function())].into(), launcher).await.unwrap();
    let dynamodb = DynamoDb::open(None).unwrap();
    dynamodb.create_tables(&[("things".into(), things_table())].into()).unwrap();
    let sources = DataSources::new(dynamodb, lambda);
    let authenticator =
        Authenticator::new(api.modes.clone(), api.keys.clone()).with_trusted_issuers(api.issuers.clone());
    authenticator.add_principal(publisher_role());
    authenticator.add_principal(Principal::administrator(
        "123456789012",
        "root",
        "AKIAROOT".into(),
        "root-secret".into(),
    ));
    AppSync::with_settings(api, sources, authenticator, settings)
}

/// The role of the API's data sources.
fn source_role() -> Role {
    let statement =
        json!({ "Effect": "Allow", "Action": ["dynamodb:PutItem", "lambda:InvokeFunction"], "Resource": "*" });
    Role { arn: "arn:aws:iam::123456789012:role/Source".into(), statements: vec![statement] }
}

/// A function whose process never takes an invocation.
fn slow_function() -> Function {
    Function {
        name: "slow".into(),
        arn: "arn:aws:lambda:eu-west-1:123456789012:function:slow".into(),
        memory_megabytes: 128,
        timeout_seconds: 900,
        reserved_concurrency: None,
        code_folder: String::new(),
        command: None,
        environment: BTreeMap::new(),
        event_invoke: EventInvokeConfig { max_retries: 0, max_event_age_seconds: 60, on_failure: None },
        role: Role { arn: "arn:aws:iam::123456789012:role/Slow".into(), statements: Vec::new() },
    }
}

fn things_table() -> Table {
    let definition = json!({
        "TableName": "things",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
    });
    Table { definition, ttl_attribute: None }
}

/// A role whose policy allows `Mutation.publish` only.
fn publisher_role() -> Principal {
    let fields = "arn:aws:appsync:eu-west-1:123456789012:apis/api1/types/Mutation/fields/publish";
    let statement = json!({ "Effect": "Allow", "Action": "appsync:GraphQL", "Resource": fields });
    let credentials = ["ASIAPUBLISHER".into(), "publisher-secret".into(), "publisher-token".into()];
    Principal::role_session("arn:aws:iam::123456789012:role/Publisher", "run", credentials, &[statement])
}

pub fn api() -> Api {
    let mut resolvers: BTreeMap<_, _> = RESOLVERS
        .iter()
        .map(|(type_name, field, request)| (key(type_name, field), unit_resolver(&request_code(field, request))))
        .collect();
    let functions = ["first", "second"].map(str::to_owned).to_vec();
    let pipeline = Resolver::Pipeline { functions, code: code("pipeline", PIPELINE) };
    resolvers.insert(key("Query", "pipeline"), pipeline);
    resolvers.insert(key("Subscription", "onFiltered"), unit_resolver(&code("onFiltered", FILTERED)));
    resolvers.insert(key("Subscription", "onInvalidatable"), unit_resolver(&code("onInvalidatable", INVALIDATABLE)));
    resolvers.insert(key("Mutation", "invalidate"), unit_resolver(&code("invalidate", INVALIDATE)));
    for (field, data_source, text) in [("call", "function", CALL), ("put", "table", PUT)] {
        let resolver = Resolver::Unit { data_source: data_source.into(), code: code(field, text) };
        resolvers.insert(key("Query", field), resolver);
    }
    Api {
        name: "test".into(),
        id: "api1".into(),
        schema: SCHEMA.into(),
        modes: vec![AuthMode::ApiKey, AuthMode::Iam],
        keys: vec![KEY.into()],
        environment: BTreeMap::from([("TABLE".into(), "t".into())]),
        data_sources: [
            ("none".into(), DataSource::None),
            ("table".into(), DataSource::Table { table: "things".into(), role: source_role() }),
            ("function".into(), DataSource::Lambda { function: slow_function().arn, role: source_role() }),
        ]
        .into(),
        functions: [("first", FIRST), ("second", SECOND)]
            .map(|(name, text)| (name.to_owned(), function(name, text)))
            .into(),
        resolvers,
        issuers: Vec::new(),
        introspection: true,
        limits: Limits::default(),
    }
}

const PIPELINE: &str = "import { runtime } from '@aws-appsync/utils';
export function request(ctx) {
  ctx.stash.calls = ['before'];
  if (ctx.args.end === 'resolver') { runtime.earlyReturn({ early: 'resolver' }) }
  return { from: 'before' };
}
export function response(ctx) { return { prev: ctx.prev.result, result: ctx.result, calls: ctx.stash.calls } }";

const FIRST: &str = "import { runtime } from '@aws-appsync/utils';
export function request(ctx) {
  ctx.stash.calls.push('first');
  if (ctx.args.end === 'all') { runtime.earlyReturn({ early: 'all' }, { skipTo: 'END' }) }
  if (ctx.args.end === 'one') { runtime.earlyReturn({ early: 'one' }, { skipTo: 'NEXT' }) }
  return { payload: { previous: ctx.prev.result } };
}
export function response(ctx) { ctx.stash.calls.push('first responded'); return ctx.result }";

const SECOND: &str = "export function request(ctx) {
  ctx.stash.calls.push('second');
  return { payload: { previous: ctx.prev.result } };
}
export function response(ctx) { return ctx.result }";

const INVALIDATABLE: &str = "import { extensions } from '@aws-appsync/utils';
export function request(ctx) { return { payload: null } }
export function response(ctx) {
  const filters = [{ fieldName: 'id', operator: 'eq', value: ctx.args.id }];
  extensions.setSubscriptionInvalidationFilter({ filterGroup: [{ filters }] });
  return null;
}";

const INVALIDATE: &str = "import { extensions } from '@aws-appsync/utils';
export function request(ctx) { return { payload: { id: ctx.args.id } } }
export function response(ctx) {
  extensions.invalidateSubscriptions({ subscriptionField: 'onInvalidatable', payload: { id: ctx.args.id } });
  return ctx.result;
}";

/// Returns `ctx.result` and `ctx.error` of a Lambda call.
const CALL: &str = "export function request(ctx) {
  return { operation: ctx.args.operation ?? 'Invoke', invocationType: ctx.args.kind, payload: { a: 1 } };
}
export function response(ctx) { return { result: ctx.result, error: ctx.error } }";

/// Puts the same key each time and returns `ctx.result` and the type of `ctx.error`.
const PUT: &str = "import { util } from '@aws-appsync/utils';
export function request(ctx) {
  const condition = { expression: 'attribute_not_exists(id)' };
  const attributeValues = { size: util.dynamodb.toDynamoDB(ctx.args.size) };
  return { operation: 'PutItem', key: { id: { S: 'one' } }, attributeValues, condition };
}
export function response(ctx) { return { result: ctx.result, type: ctx.error?.type } }";

const FILTERED: &str = "import { extensions } from '@aws-appsync/utils';
export function request(ctx) { return { payload: null } }
export function response(ctx) {
  const filters = [{ fieldName: 'count', operator: 'le', value: ctx.args.maxCount }, { fieldName: 'sender.name', operator: 'eq', value: 'Ann' }];
  extensions.setSubscriptionFilter({ filterGroup: [{ filters }] });
  return null;
}";

pub fn key(type_name: &str, field: &str) -> (String, String) {
    (type_name.to_owned(), field.to_owned())
}

pub fn code(name: &str, text: &str) -> Code {
    Code { path: format!("resolvers/{name}.js"), text: text.to_owned() }
}

pub fn unit_resolver(code: &Code) -> Resolver {
    Resolver::Unit { data_source: "none".into(), code: code.clone() }
}

pub fn function(name: &str, text: &str) -> PipelineFunction {
    PipelineFunction { name: name.to_owned(), data_source: "none".into(), code: code(name, text) }
}

/// A resolver's code from the body of its request handler.
fn request_code(name: &str, request: &str) -> Code {
    let imports = "import { extensions, util } from '@aws-appsync/utils';";
    code(name, &format!("{imports}\nexport function request(ctx) {{ {request} }}\n{RETURN_RESULT}"))
}

/// Longer than any expected event takes.
pub const TIMEOUT: Duration = Duration::from_secs(20);
