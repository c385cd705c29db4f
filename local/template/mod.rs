//! template.yaml in, the stack it describes out. What the laptop edition cannot honour it refuses by name.
mod intrinsics;
mod parameters;
mod properties;
mod resources;
mod rules;
mod schema;
mod yaml;

use std::{collections::BTreeMap, fmt, path::Path};

use serde_json::{Map, Value, json};

use crate::{
    identity::{CLIENT, Issuers},
    stack::Stack,
};
use intrinsics::{Referrer, Scope, Spent};

pub use parameters::parameter;
pub use schema::{SchemaOptions, schema};

pub const REGION: &str = "us-east-1";
pub const ACCOUNT: &str = "000000000000";
const STACK_NAME: &str = "parlance";
const API_ID: &str = "laptop";
/// CloudFormation's limit on a template.
const TEMPLATE_BYTES: usize = 1024 * 1024;

/// What AWS would decide at deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Parameters that differ from their defaults.
    pub parameters: BTreeMap<String, String>,
    /// What a laptop prefers where nothing is given, if the template has such a parameter.
    pub preferences: BTreeMap<String, String>,
    pub graphql_url: String,
    pub realtime_url: String,
    pub api_key: String,
}

impl Deployment {
    /// As a server at this URL has it: `http://localhost:4000`.
    pub fn at(server: &str, parameters: BTreeMap<String, String>) -> Self {
        Self {
            parameters,
            preferences: BTreeMap::new(),
            graphql_url: format!("{server}/graphql"),
            realtime_url: realtime_url(server),
            api_key: "da2-none".into(),
        }
    }

    /// `http://localhost:4000`
    fn server(&self) -> &str {
        self.graphql_url.trim_end_matches("/graphql")
    }
}

/// Where WebSockets are opened at a server.
pub fn realtime_url(server: &str) -> String {
    format!("{}/graphql/realtime", server.replacen("http", "ws", 1))
}

/// One sentence that says what in the template cannot be honoured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

impl Fault {
    pub fn new(sentence: String) -> Self {
        Self(sentence)
    }

    fn within(self, place: impl fmt::Display) -> Self {
        Self(format!("{place}: {self}"))
    }
}

/// Reads `template.yaml` below `root`, with the schema and resolver files it names.
pub fn load(root: &Path, deployment: &Deployment) -> Result<Stack, Fault> {
    deployed(root, &template(root)?, deployment)
}

fn deployed(root: &Path, template: &Value, deployment: &Deployment) -> Result<Stack, Fault> {
    deploy(root, template, deployment).map_err(|fault| fault.within("template.yaml"))
}

fn template(root: &Path) -> Result<Value, Fault> {
    let text = read(root, "template.yaml")?;
    if text.len() > TEMPLATE_BYTES {
        return Err(Fault(format!("template.yaml has {} bytes; a template has at most {TEMPLATE_BYTES}", text.len())));
    }
    yaml::parse(&text).map_err(|error| Fault(format!("template.yaml is not YAML: {error}")))
}

fn deploy(root: &Path, template: &Value, deployment: &Deployment) -> Result<Stack, Fault> {
    let nothing = Map::new();
    let section = |name: &str| template[name].as_object().unwrap_or(&nothing);
    let resources = section("Resources");
    let declared = section("Parameters");
    let preferred = deployment.preferences.iter().filter(|(name, _)| declared.contains_key(*name));
    let given = preferred.chain(&deployment.parameters).map(|(name, value)| (name.clone(), value.clone())).collect();
    let parameters = parameters::values(declared, &given)?;
    rules::check(section("Rules"), &rule_scope(parameters.clone(), &nothing))?;
    let scope = Scope {
        parameters,
        conditions: section("Conditions"),
        resource: &|scope, name, attribute| refer(scope, resources, deployment, name, attribute),
        spent: Spent::default(),
    };
    resources::stack(&scope, resources, API_ID, |path| read(root, path))
}

/// What rules may refer to.
fn rule_scope(parameters: BTreeMap<String, Value>, nothing: &Map<String, Value>) -> Scope<'_> {
    let resource: &Referrer<'_> =
        &|_, name, _| Err(Fault(format!("there is no parameter {name}, and a rule sees nothing else")));
    Scope { parameters, conditions: nothing, resource, spent: Spent::default() }
}

fn read(root: &Path, path: &str) -> Result<String, Fault> {
    let place = root.join(path);
    std::fs::read_to_string(&place).map_err(|error| Fault(format!("{} cannot be read: {error}", place.display())))
}

/// `Ref` (no attribute) and `GetAtt` of pseudo parameters and resources, as this deployment has them.
fn refer(
    scope: &Scope,
    resources: &Map<String, Value>,
    deployment: &Deployment,
    name: &str,
    attribute: Option<&str>,
) -> Result<Value, Fault> {
    if let (Some(value), None) = (pseudo_parameter(name), attribute) {
        return Ok(json!(value));
    }
    let resource = resources.get(name).ok_or_else(|| Fault(format!("there is no parameter or resource {name}")))?;
    let kind = resource["Type"].as_str().unwrap_or_default();
    let arn = |service: &str, rest: String| json!(format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"));
    Ok(match (kind, attribute) {
        ("AWS::DynamoDB::Table" | "AWS::Serverless::Function" | "AWS::IAM::Role", None) => json!(physical_name(name)),
        ("AWS::DynamoDB::Table", Some("Arn")) => arn("dynamodb", format!("table/{}", physical_name(name))),
        ("AWS::Serverless::Function", Some("Arn")) => arn("lambda", format!("function:{}", physical_name(name))),
        ("AWS::AppSync::GraphQLApi", Some("ApiId")) => json!(API_ID),
        ("AWS::AppSync::GraphQLApi", Some("Arn") | None) => arn("appsync", format!("apis/{API_ID}")),
        ("AWS::AppSync::GraphQLApi", Some("GraphQLUrl")) => json!(deployment.graphql_url),
        ("AWS::AppSync::GraphQLApi", Some("RealtimeUrl")) => json!(deployment.realtime_url),
        ("AWS::AppSync::ApiKey", Some("ApiKey")) => json!(deployment.api_key),
        ("AWS::AppSync::DataSource", Some("Name")) | ("AWS::AppSync::FunctionConfiguration", Some("FunctionId")) => {
            scope.evaluate(&resource["Properties"]["Name"])?
        }
        ("AWS::Cognito::UserPool", None) => json!(format!("{REGION}_laptop")),
        ("AWS::Cognito::UserPool", Some("ProviderURL")) => json!(Issuers::pool_url(deployment.server())),
        ("AWS::Cognito::UserPoolClient", None) => json!(CLIENT),
        ("AWS::IAM::Role", Some("Arn")) => json!(format!("arn:aws:iam::{ACCOUNT}:role/{}", physical_name(name))),
        ("AWS::Logs::LogGroup", None) => scope.evaluate(&resource["Properties"]["LogGroupName"])?,
        ("AWS::Logs::LogGroup", Some("Arn")) => arn("logs", format!("log-group:{}:*", physical_name(name))),
        (kind, None) => return Err(Fault(format!("Ref {name} of a {kind} has no value on a laptop"))),
        (kind, Some(attribute)) => {
            return Err(Fault(format!("{name}.{attribute} of a {kind} has no value on a laptop")));
        }
    })
}

fn pseudo_parameter(name: &str) -> Option<&'static str> {
    match name {
        "AWS::Region" => Some(REGION),
        "AWS::AccountId" => Some(ACCOUNT),
        "AWS::Partition" => Some("aws"),
        "AWS::StackName" => Some(STACK_NAME),
        _ => None,
    }
}

fn physical_name(logical: &str) -> String {
    format!("{STACK_NAME}-{logical}")
}

#[cfg(test)]
mod combinations;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{DataSource, Resolver};

    pub fn deployment() -> Deployment {
        Deployment { api_key: "da2-key".into(), ..Deployment::at("http://localhost:4000", BTreeMap::new()) }
    }

    #[test]
    fn the_template_becomes_a_stack() {
        let stack = load(Path::new(env!("CARGO_MANIFEST_DIR")), &deployment()).unwrap();
        assert_eq!(stack.api.keys, ["da2-key"]);
        assert_eq!(stack.api.environment["TABLE_NAME"], "parlance-Table");
        let handler = &stack.functions["parlance-Handler"];
        let starting = stack.roles["parlance-HandlerSourceRole"].clone();
        let source = DataSource::Lambda { function: handler.arn.clone(), role: starting };
        assert_eq!(stack.api.data_sources["Handler"], source);
        assert_eq!(handler.environment["GRAPHQL_URL"], "http://localhost:4000/graphql");
        assert_eq!(
            handler.asynchronous,
            crate::stack::Asynchronous {
                retries: 2,
                event_age_seconds: 300,
                on_failure: Some(stack.functions["parlance-Closer"].arn.clone()),
            }
        );
        assert!(handler.role.statements.iter().any(|statement| statement["Action"] == "appsync:GraphQL"));
        let resolver = &stack.api.resolvers[&("Mutation".into(), "agentPublishMetadata".into())];
        assert!(
            matches!(resolver, Resolver::Pipeline { functions, .. } if functions[1..] == ["putBatch", "renewTurn"])
        );
    }
}
