//! Loads template.yaml as a `Stack`. Whatever the local server does not support is an error that names it.
mod chat_page;
mod intrinsics;
mod nested_stack;
mod parameters;
mod properties;
mod resources;
mod rules;
mod schema_command;
mod yaml;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use crate::{
    identity::{LOCAL_CLIENT_ID, LocalIssuers},
    knowledge_base,
    stack::Stack,
};
use intrinsics::{EvaluationCost, ResourceResolver, Scope};

use nested_stack::{NestedKind, NestedStackProperties};

pub use chat_page::ChatPage;
pub use nested_stack::NestedStack;
pub use parameters::parse_parameter;
pub use schema_command::{SchemaOptions, filtered_schema};

pub const REGION: &str = "us-east-1";
pub const ACCOUNT: &str = "000000000000";
const STACK_NAME: &str = "parlance";
const API_ID: &str = "local";
const EVENTS_API_ID: &str = "local-events";
const WEBSOCKET_API_ID: &str = "local-websocket";
/// CloudFormation's limit on a template.
const TEMPLATE_BYTES: usize = 1024 * 1024;

/// The values that a deployment adds to the template.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Parameters that differ from their defaults.
    pub parameters: BTreeMap<String, String>,
    /// Defaults of the local server, for those parameters that the template declares and `parameters` does
    /// not set.
    pub local_defaults: BTreeMap<String, String>,
    pub graphql_url: String,
    pub realtime_url: String,
    pub api_key: String,
    /// The key of the Events API.
    pub events_api_key: String,
}

impl Deployment {
    /// The deployment of a server at this URL: `http://localhost:4000`.
    pub fn at(base_url: &str, parameters: BTreeMap<String, String>) -> Self {
        Self {
            parameters,
            local_defaults: BTreeMap::new(),
            graphql_url: format!("{base_url}/graphql"),
            realtime_url: realtime_url(base_url),
            api_key: "da2-none".into(),
            events_api_key: "da2-no-events".into(),
        }
    }

    /// `http://localhost:4000`
    fn base_url(&self) -> &str {
        self.graphql_url.trim_end_matches("/graphql")
    }

    /// `localhost:4000`
    fn host(&self) -> &str {
        self.base_url().split_once("://").map_or(self.base_url(), |(_, host)| host)
    }
}

/// The URL of a server's realtime endpoint.
pub fn realtime_url(base_url: &str) -> String {
    format!("{}/graphql/realtime", base_url.replacen("http", "ws", 1))
}

/// The URL of a server's WebSocket API, to which the name of a stage is added.
pub fn websocket_url(base_url: &str) -> String {
    format!("{}/ws", base_url.replacen("http", "ws", 1))
}

/// Why the template cannot be loaded, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

impl TemplateError {
    pub fn new(message: String) -> Self {
        Self(message)
    }

    /// The same error with its location in front.
    fn at(self, location: impl fmt::Display) -> Self {
        Self(format!("{location}: {self}"))
    }
}

/// The content of `template.yaml`.
#[derive(Clone, Debug)]
pub struct Template {
    /// The directory of the template and the files that it names.
    root: PathBuf,
    document: Value,
}

impl Template {
    /// Reads `template.yaml` in the directory `root`.
    pub fn read(root: &Path) -> Result<Self, TemplateError> {
        let text = read_file(root, "template.yaml")?;
        if text.len() > TEMPLATE_BYTES {
            return Err(TemplateError(format!(
                "template.yaml has {} bytes; a template has at most {TEMPLATE_BYTES}",
                text.len()
            )));
        }
        let document = yaml::parse(&text);
        let document = document.map_err(|error| TemplateError(format!("template.yaml is not YAML: {error}")))?;
        Ok(Self { root: root.to_owned(), document })
    }

    /// The stack of a deployment, with the schema and resolver files that the template names.
    pub fn load(&self, deployment: &Deployment) -> Result<Stack, TemplateError> {
        build_stack(&self.root, &self.document, deployment).map_err(|error| error.at("template.yaml"))
    }
}

/// Loads `template.yaml` in the directory `root`, with the schema and resolver files that it names.
pub fn load(root: &Path, deployment: &Deployment) -> Result<Stack, TemplateError> {
    Template::read(root)?.load(deployment)
}

/// Loads the template of the nested stack with the knowledge base, with these parameters.
pub fn load_nested(root: &Path, path: &str, parameters: &[(&str, &str)]) -> Result<NestedStack, TemplateError> {
    let properties = NestedStackProperties::new(path, parameters);
    properties.load_knowledge_base(&properties.read(|path| read_file(root, path))?)
}

/// Loads the template of the nested stack with the chat page, with these parameters.
pub fn load_chat_page(root: &Path, path: &str, parameters: &[(&str, &str)]) -> Result<ChatPage, TemplateError> {
    let deployment = Deployment::at("http://localhost", BTreeMap::new());
    let read = |path: &str| read_file(root, path);
    let context = StackContext { name: STACK_NAME.into(), is_nested: false, deployment: &deployment, read: &read };
    let nested = NestedStackProperties::new(path, parameters);
    context.nested("ChatPageStack").load_chat_page(&nested, &nested.read(read)?)
}

fn build_stack(root: &Path, template: &Value, deployment: &Deployment) -> Result<Stack, TemplateError> {
    let empty = Map::new();
    let declared = section(template, "Parameters", &empty);
    let defaults = deployment.local_defaults.iter().filter(|(name, _)| declared.contains_key(*name));
    let given = defaults.chain(&deployment.parameters).map(|(name, value)| (name.clone(), value.clone())).collect();
    let parameters = parameters::resolve(declared, &given)?;
    let context =
        StackContext { name: STACK_NAME.into(), is_nested: false, deployment, read: &|path| read_file(root, path) };
    context.evaluate(template, parameters, |scope, resources| resources::assemble_stack(&context, scope, resources))
}

/// A stack whose resources the local server runs: that of template.yaml or a nested one.
struct StackContext<'a> {
    name: String,
    /// A nested stack has no nested stacks here.
    is_nested: bool,
    deployment: &'a Deployment,
    /// Returns the content of a file, given by its path below the folder of template.yaml.
    read: &'a dyn Fn(&str) -> Result<String, TemplateError>,
}

impl<'a> StackContext<'a> {
    /// The context of a nested stack, by its logical name.
    fn nested(&self, logical_name: &str) -> StackContext<'a> {
        StackContext { name: self.physical_name(logical_name), is_nested: true, ..*self }
    }

    /// With the same unique id at every start.
    fn id(&self) -> String {
        format!("arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{}/5f7dfbd1-b8ff-4c20-924e-23b42db467a0", self.name)
    }

    fn physical_name(&self, logical: &str) -> String {
        format!("{}-{logical}", self.name)
    }

    /// Checks the rules of a template and evaluates its resources.
    fn evaluate<T>(
        &self,
        template: &Value,
        parameters: BTreeMap<String, Value>,
        evaluation: impl FnOnce(&Scope, &Map<String, Value>) -> Result<T, TemplateError>,
    ) -> Result<T, TemplateError> {
        let empty = Map::new();
        rules::check(section(template, "Rules", &empty), &rule_scope(parameters.clone(), &empty))?;
        let resources = section(template, "Resources", &empty);
        let scope = Scope {
            parameters,
            conditions: section(template, "Conditions", &empty),
            resolve_resource: &|scope, name, attribute| resolve_reference(self, scope, resources, name, attribute),
            cost: EvaluationCost::default(),
        };
        evaluation(&scope, resources)
    }

    /// The chat page of a nested stack, which is in this context.
    fn load_chat_page(&self, nested: &NestedStackProperties, template: &Value) -> Result<ChatPage, TemplateError> {
        let page = nested.resolve_parameters(template).and_then(|parameters| {
            self.evaluate(template, parameters, |scope, resources| chat_page::chat_page(self, scope, resources))
        });
        page.map_err(|error| error.at(nested.path()))
    }

    /// The value of an output of a nested entry point or chat page. `properties` are those of its resource.
    fn nested_output(
        &self,
        scope: &Scope,
        logical_name: &str,
        properties: &Value,
        output: &str,
    ) -> Result<Value, TemplateError> {
        let error = |reason: String| TemplateError(reason).at(logical_name);
        let nested: NestedStackProperties =
            serde_json::from_value(scope.evaluate(properties)?).map_err(|reason| error(reason.to_string()))?;
        let template = nested.read(self.read)?;
        scope.add_work(template.to_string().len())?;
        let value = &template["Outputs"][output]["Value"];
        if nested_stack::kind(&template) == NestedKind::KnowledgeBase || value.is_null() {
            return Err(TemplateError(format!(
                "{logical_name}.Outputs.{output} of a AWS::CloudFormation::Stack has no value on the local server"
            )));
        }
        let evaluated = nested.resolve_parameters(&template).and_then(|parameters| {
            self.nested(logical_name).evaluate(&template, parameters, |nested_scope, _| {
                let value = nested_scope.evaluate(value)?;
                scope.add_work(nested_scope.cost.work())?;
                Ok(value)
            })
        });
        evaluated.map_err(|error| error.at(nested.path()))
    }
}

fn section<'t>(template: &'t Value, name: &str, empty: &'t Map<String, Value>) -> &'t Map<String, Value> {
    template[name].as_object().unwrap_or(empty)
}

/// The scope of rules, which may refer to parameters only.
fn rule_scope(parameters: BTreeMap<String, Value>, empty: &Map<String, Value>) -> Scope<'_> {
    let resolve_resource: &ResourceResolver<'_> =
        &|_, name, _| Err(TemplateError(format!("there is no parameter {name}, and a rule can refer to nothing else")));
    Scope { parameters, conditions: empty, resolve_resource, cost: EvaluationCost::default() }
}

fn read_file(root: &Path, path: &str) -> Result<String, TemplateError> {
    let path = root.join(path);
    std::fs::read_to_string(&path).map_err(|error| TemplateError(format!("{} cannot be read: {error}", path.display())))
}

/// The value of `Ref` (without an attribute) or `GetAtt` of a pseudo parameter or a resource.
fn resolve_reference(
    stack: &StackContext,
    scope: &Scope,
    resources: &Map<String, Value>,
    name: &str,
    attribute: Option<&str>,
) -> Result<Value, TemplateError> {
    match (name, pseudo_parameter(name), attribute) {
        ("AWS::StackName", _, None) => return Ok(json!(stack.name)),
        ("AWS::StackId", _, None) => return Ok(json!(stack.id())),
        (_, Some(value), None) => return Ok(json!(value)),
        _ => {}
    }
    let StackContext { deployment, .. } = stack;
    let physical_name = |name| stack.physical_name(name);
    let resource =
        resources.get(name).ok_or_else(|| TemplateError(format!("there is no parameter or resource {name}")))?;
    let kind = resource["Type"].as_str().unwrap_or_default();
    let arn = |service: &str, rest: String| json!(format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"));
    let other_reference = websocket_reference(stack, (kind, attribute), name)
        .or_else(|| chat_page::chat_page_reference(stack, (kind, attribute), name));
    if let Some(value) = other_reference {
        return Ok(value);
    }
    Ok(match (kind, attribute) {
        ("AWS::ApiGatewayV2::Stage", None) => scope.evaluate(&resource["Properties"]["StageName"])?,
        ("AWS::DynamoDB::Table" | "AWS::Serverless::Function" | "AWS::IAM::Role", None) => json!(physical_name(name)),
        ("AWS::DynamoDB::Table", Some("Arn")) => arn("dynamodb", format!("table/{}", physical_name(name))),
        ("AWS::Serverless::Function", Some("Arn")) => arn("lambda", format!("function:{}", physical_name(name))),
        ("AWS::AppSync::GraphQLApi", Some("ApiId")) => json!(API_ID),
        ("AWS::AppSync::GraphQLApi", Some("Arn") | None) => arn("appsync", format!("apis/{API_ID}")),
        ("AWS::AppSync::GraphQLApi", Some("GraphQLUrl")) => json!(deployment.graphql_url),
        ("AWS::AppSync::GraphQLApi", Some("RealtimeUrl")) => json!(deployment.realtime_url),
        ("AWS::AppSync::ApiKey", Some("ApiKey")) => {
            let api_id = scope.evaluate(&resource["Properties"]["ApiId"])?;
            json!(if api_id == EVENTS_API_ID { &deployment.events_api_key } else { &deployment.api_key })
        }
        ("AWS::AppSync::ApiKey", Some("ApiKeyId")) => json!("local"),
        ("AWS::AppSync::Api", Some("ApiId")) => json!(EVENTS_API_ID),
        ("AWS::AppSync::Api", Some("ApiArn") | None) => arn("appsync", format!("apis/{EVENTS_API_ID}")),
        ("AWS::AppSync::Api", Some("Dns.Http" | "Dns.Realtime")) => json!(deployment.host()),
        ("AWS::AppSync::ChannelNamespace", Some("ChannelNamespaceArn") | None) => {
            let namespace = scope.evaluate(&resource["Properties"]["Name"])?;
            let namespace = namespace.as_str().unwrap_or_default();
            arn("appsync", format!("apis/{EVENTS_API_ID}/channelNamespace/{namespace}"))
        }
        ("AWS::Events::Rule", Some("Arn")) => arn("events", format!("rule/{}", physical_name(name))),
        ("AWS::AppSync::DataSource", Some("Name")) | ("AWS::AppSync::FunctionConfiguration", Some("FunctionId")) => {
            scope.evaluate(&resource["Properties"]["Name"])?
        }
        ("AWS::Cognito::UserPool", None) => json!(format!("{REGION}_local")),
        ("AWS::Cognito::UserPool", Some("ProviderURL")) => json!(LocalIssuers::pool_url(deployment.base_url())),
        ("AWS::Cognito::UserPoolClient", None) => json!(LOCAL_CLIENT_ID),
        ("AWS::IAM::Role", Some("Arn")) => json!(format!("arn:aws:iam::{ACCOUNT}:role/{}", physical_name(name))),
        ("AWS::SQS::Queue", None) => {
            json!(format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{}", physical_name(name)))
        }
        ("AWS::SQS::Queue", Some("Arn")) => arn("sqs", physical_name(name)),
        ("AWS::SQS::Queue", Some("QueueName")) => json!(physical_name(name)),
        ("AWS::KMS::Key", None) => json!(physical_name(name)),
        ("AWS::KMS::Key", Some("Arn")) => arn("kms", format!("key/{}", physical_name(name))),
        ("AWS::CloudFormation::Stack", Some("Outputs.KnowledgeBaseId")) => json!(nested_stack::KNOWLEDGE_BASE_ID),
        ("AWS::CloudFormation::Stack", Some("Outputs.DocumentsName")) => json!(knowledge_base::BUCKET),
        ("AWS::CloudFormation::Stack", Some("Outputs.KnowledgeBaseArn")) => json!(nested_stack::knowledge_base_arn()),
        ("AWS::CloudFormation::Stack", Some(attribute)) if attribute.starts_with("Outputs.") && !stack.is_nested => {
            let output = attribute.trim_start_matches("Outputs.");
            stack.nested_output(scope, name, &resource["Properties"], output)?
        }
        ("AWS::Logs::LogGroup", None) => scope.evaluate(&resource["Properties"]["LogGroupName"])?,
        ("AWS::Logs::LogGroup", Some("Arn")) => arn("logs", format!("log-group:{}:*", physical_name(name))),
        (kind, None) => return Err(TemplateError(format!("Ref {name} of a {kind} has no value on the local server"))),
        (kind, Some(attribute)) => {
            return Err(TemplateError(format!("{name}.{attribute} of a {kind} has no value on the local server")));
        }
    })
}

/// As `resolve_reference`, of a resource of a WebSocket API, given by its kind and an attribute.
fn websocket_reference(stack: &StackContext, reference: (&str, Option<&str>), name: &str) -> Option<Value> {
    let value = match reference {
        ("AWS::ApiGatewayV2::Api", Some("ApiId") | None) => WEBSOCKET_API_ID.to_owned(),
        ("AWS::ApiGatewayV2::Api", Some("ApiEndpoint")) => websocket_url(stack.deployment.base_url()),
        ("AWS::ApiGatewayV2::Api", Some("ExecuteApiArn")) => {
            format!("arn:aws:execute-api:{REGION}:{ACCOUNT}:{WEBSOCKET_API_ID}")
        }
        (
            "AWS::ApiGatewayV2::Route"
            | "AWS::ApiGatewayV2::Integration"
            | "AWS::ApiGatewayV2::Deployment"
            | "AWS::ApiGatewayV2::Authorizer"
            | "AWS::ApiGatewayV2::RouteResponse",
            None,
        )
        | ("AWS::ApiGatewayV2::Route", Some("RouteId"))
        | ("AWS::ApiGatewayV2::Deployment", Some("DeploymentId"))
        | ("AWS::ApiGatewayV2::Authorizer", Some("AuthorizerId")) => stack.physical_name(name),
        _ => return None,
    };
    Some(json!(value))
}

fn pseudo_parameter(name: &str) -> Option<&'static str> {
    match name {
        "AWS::Region" => Some(REGION),
        "AWS::AccountId" => Some(ACCOUNT),
        "AWS::Partition" => Some("aws"),
        "AWS::StackName" => Some(STACK_NAME),
        "AWS::URLSuffix" => Some("amazonaws.com"),
        _ => None,
    }
}

#[cfg(test)]
mod mode_matrix_tests;
#[cfg(test)]
mod unsupported_tests;
#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::stack::{DataSource, EventInvokeConfig, FailureDestination, Resolver};

    /// The template of the repository.
    pub static TEMPLATE: LazyLock<Template> =
        LazyLock::new(|| Template::read(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("the template is read"));

    pub fn deployment() -> Deployment {
        Deployment { api_key: "da2-key".into(), ..Deployment::at("http://localhost:4000", BTreeMap::new()) }
    }

    #[test]
    fn template_is_loaded_as_a_stack() {
        let stack = TEMPLATE.load(&deployment()).unwrap();
        assert_eq!(stack.api.keys, ["da2-key"]);
        assert_eq!(stack.api.environment["TABLE_NAME"], "parlance-Table");
        let handler = &stack.functions["parlance-Handler"];
        let role = stack.roles["parlance-HandlerSourceRole"].clone();
        let source = DataSource::Lambda { function: handler.arn.clone(), role };
        assert_eq!(stack.api.data_sources["Handler"], source);
        assert_eq!(handler.environment["GRAPHQL_URL"], "http://localhost:4000/graphql");
        let closer = &stack.functions["parlance-Closer"];
        let queue = "arn:aws:sqs:us-east-1:000000000000:parlance-CloserFailures";
        assert_eq!(closer.event_invoke.on_failure, Some(FailureDestination::Queue(queue.into())));
        assert_eq!(
            handler.event_invoke,
            EventInvokeConfig {
                max_retries: 2,
                max_event_age_seconds: 300,
                on_failure: Some(FailureDestination::Function(closer.arn.clone())),
            }
        );
        assert!(handler.role.statements.iter().any(|statement| statement["Action"] == "appsync:GraphQL"));
        let resolver = &stack.api.resolvers[&("Mutation".into(), "agentPublishMetadata".into())];
        assert!(
            matches!(resolver, Resolver::Pipeline { functions, .. } if functions[1..] == ["putBatch", "renewTurn"])
        );
    }
}
