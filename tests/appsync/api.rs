//! The API under test: its resolvers, its callers, its address.
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use local::{
    dynamodb::DynamoDb,
    graphql::{AppSync, Fault, Settings, Sources},
    identity::{Directory, Principal},
    lambda::{Lambda, Launcher},
    stack::{Api, AuthMode, Code, DataSource, PipelineFunction, Resolver},
};
use serde_json::{Value, json};

pub const KEY: &str = "da2-right";
pub const SCHEMA: &str = include_str!("schema.graphql");

/// Answers with what the request handler put into the payload.
const PLAIN: &str = "export function response(ctx) { return ctx.result }";

const RESOLVERS: [(&str, &str, &str); 18] = [
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
    ("Query", "halves", "return { payload: ctx.args.text.length }"),
    ("Query", "locked", "return { payload: { id: 'l' } }"),
    (
        "Mutation",
        "publish",
        "const { id, count, text } = ctx.args;
        return { payload: { id, count, text, sender: { id: 's', name: 'Ann', secret: 'hush' } } }",
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
        Self::start_with(api(), Settings::default()).await
    }

    pub async fn start_with(api: Api, settings: Settings) -> Self {
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

    /// Asks with the API key; the response's body.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let request = reqwest::Client::new().post(self.url()).header("x-api-key", KEY).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    }
}

pub async fn build(api: Api, settings: Settings) -> Result<AppSync, Fault> {
    let launcher = Launcher::new(PathBuf::new(), Vec::new(), BTreeMap::new());
    let sources = Sources {
        dynamodb: DynamoDb::open(None).unwrap(),
        lambda: Lambda::start(&BTreeMap::new(), launcher).await.unwrap(),
    };
    let directory = Directory::new(api.modes.clone(), api.keys.clone());
    directory.admit(publisher());
    directory.admit(Principal::administrator("123456789012", "root", "AKIAROOT".into(), "root-secret".into()));
    AppSync::with_settings(api, sources, directory, settings)
}

/// A role that may publish, and nothing else.
fn publisher() -> Principal {
    let fields = "arn:aws:appsync:eu-west-1:123456789012:apis/api1/types/Mutation/fields/publish";
    let statement = json!({ "Effect": "Allow", "Action": "appsync:GraphQL", "Resource": fields });
    let credentials = ["ASIAPUBLISHER".into(), "publisher-secret".into(), "publisher-token".into()];
    Principal::role_session("arn:aws:iam::123456789012:role/Publisher", "run", credentials, &[statement])
}

pub fn api() -> Api {
    let mut resolvers: BTreeMap<_, _> = RESOLVERS
        .iter()
        .map(|(type_name, field, request)| (key(type_name, field), unit(&plain(field, request))))
        .collect();
    let steps = ["first", "second"].map(str::to_owned).to_vec();
    let pipeline = Resolver::Pipeline { functions: steps, code: code("piped", PIPED) };
    resolvers.insert(key("Query", "piped"), pipeline);
    resolvers.insert(key("Subscription", "onFiltered"), unit(&code("onFiltered", FILTERED)));
    Api {
        name: "test".into(),
        id: "api1".into(),
        schema: SCHEMA.into(),
        modes: vec![AuthMode::ApiKey, AuthMode::Iam],
        keys: vec![KEY.into()],
        environment: BTreeMap::from([("TABLE".into(), "t".into())]),
        data_sources: BTreeMap::from([("none".into(), DataSource::None)]),
        functions: [("first", FIRST), ("second", SECOND)]
            .map(|(name, text)| (name.to_owned(), function(name, text)))
            .into(),
        resolvers,
        introspection: true,
    }
}

const PIPED: &str = "import { runtime } from '@aws-appsync/utils';
export function request(ctx) {
  ctx.stash.steps = ['before'];
  if (ctx.args.end === 'resolver') { runtime.earlyReturn({ early: 'resolver' }) }
  return { from: 'before' };
}
export function response(ctx) { return { prev: ctx.prev.result, result: ctx.result, steps: ctx.stash.steps } }";

const FIRST: &str = "import { runtime } from '@aws-appsync/utils';
export function request(ctx) {
  ctx.stash.steps.push('first');
  if (ctx.args.end === 'all') { runtime.earlyReturn({ early: 'all' }, { skipTo: 'END' }) }
  if (ctx.args.end === 'one') { runtime.earlyReturn({ early: 'one' }, { skipTo: 'NEXT' }) }
  return { payload: { saw: ctx.prev.result } };
}
export function response(ctx) { ctx.stash.steps.push('answered'); return ctx.result }";

const SECOND: &str = "export function request(ctx) {
  ctx.stash.steps.push('second');
  return { payload: { saw: ctx.prev.result } };
}
export function response(ctx) { return ctx.result }";

const FILTERED: &str = "import { extensions } from '@aws-appsync/utils';
export function request(ctx) { return { payload: null } }
export function response(ctx) {
  const filters = [{ fieldName: 'count', operator: 'le', value: ctx.args.most }, { fieldName: 'sender.name', operator: 'eq', value: 'Ann' }];
  extensions.setSubscriptionFilter({ filterGroup: [{ filters }] });
  return null;
}";

pub fn key(type_name: &str, field: &str) -> (String, String) {
    (type_name.to_owned(), field.to_owned())
}

pub fn code(name: &str, text: &str) -> Code {
    Code { path: format!("resolvers/{name}.js"), text: text.to_owned() }
}

pub fn unit(code: &Code) -> Resolver {
    Resolver::Unit { data_source: "none".into(), code: code.clone() }
}

pub fn function(name: &str, text: &str) -> PipelineFunction {
    PipelineFunction { name: name.to_owned(), data_source: "none".into(), code: code(name, text) }
}

fn plain(name: &str, request: &str) -> Code {
    let imports = "import { util } from '@aws-appsync/utils';";
    code(name, &format!("{imports}\nexport function request(ctx) {{ {request} }}\n{PLAIN}"))
}

/// Far longer than anything takes that is going to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);
