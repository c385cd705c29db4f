//! Reads all resources of a template and joins them to one stack.
use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{
    API_ID, EVENTS_API_ID, StackContext, TemplateError,
    intrinsics::Scope,
    nested_stack::{self, NestedKind, NestedStackProperties},
    properties::*,
};
use crate::stack::{Api, Code, DataSource, EventsApi, KnowledgeBase, PipelineFunction, Schedule, Stack};

/// The stack of all resources, with those of nested entry points.
pub fn assemble_stack(
    stack: &StackContext,
    scope: &Scope,
    resources: &Map<String, Value>,
) -> Result<Stack, TemplateError> {
    let mut collected = Resources::default();
    collected.add_all(&Origin::Root, scope, resources)?;
    for (name, nested) in std::mem::take(&mut collected.nested_stacks) {
        collected.add_nested(stack, &name, &nested)?;
    }
    collected.assemble(stack.deployment.host(), |path| (stack.read)(path))
}

/// The template of a resource.
enum Origin<'a> {
    /// template.yaml
    Root,
    /// The template of an entry point.
    Nested(&'a NestedStackProperties),
}

/// The resources that the local server runs in a nested stack.
const NESTED_KINDS: [&str; 18] = [
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Deployment",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::RouteResponse",
    "AWS::ApiGatewayV2::Stage",
    "AWS::AppSync::Api",
    "AWS::AppSync::ApiKey",
    "AWS::AppSync::ChannelNamespace",
    "AWS::AppSync::DataSource",
    "AWS::CloudWatch::Alarm",
    "AWS::IAM::Role",
    "AWS::IAM::RolePolicy",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::SQS::Queue",
    "AWS::Serverless::Function",
];

impl Origin<'_> {
    fn check(&self, kind: &str) -> Result<(), TemplateError> {
        match self {
            Origin::Nested(_) if !NESTED_KINDS.contains(&kind) => {
                Err(TemplateError::new(format!("the local server does not support {kind} in a nested stack")))
            }
            Origin::Root | Origin::Nested(_) => Ok(()),
        }
    }

    /// The name of a resource in messages.
    fn label(&self, name: &str) -> String {
        match self {
            Origin::Root => name.to_owned(),
            Origin::Nested(nested) => format!("{}: {name}", nested.path()),
        }
    }

    /// The folder that paths in the template are relative to.
    fn folder(&self) -> &str {
        match self {
            Origin::Root => "",
            Origin::Nested(nested) => nested.folder(),
        }
    }
}

#[derive(Default)]
struct Resources {
    apis: Vec<ApiProperties>,
    /// With their logical names.
    events_apis: Vec<(String, EventsApiProperties)>,
    /// With their logical names.
    namespaces: Vec<(String, ChannelNamespaceProperties)>,
    /// With the ids of their APIs.
    keys: Vec<(String, String)>,
    user_pools: UserPools,
    schemas: Vec<String>,
    /// With their logical names.
    data_sources: Vec<(String, DataSourceProperties)>,
    pipeline_functions: Vec<PipelineFunctionProperties>,
    /// With their logical names.
    resolvers: Vec<(String, ResolverProperties)>,
    /// With their table names.
    tables: Vec<(String, TableProperties)>,
    roles: Roles,
    /// With their logical names.
    policies: Vec<(String, RolePolicyProperties)>,
    /// Their ARNs.
    queues: Vec<String>,
    /// Their ARNs.
    encryption_keys: Vec<String>,
    /// With their logical names and ARNs.
    rules: Vec<(String, String, RuleProperties)>,
    permissions: Vec<PermissionProperties>,
    /// With their logical names.
    nested_stacks: Vec<(String, NestedStackProperties)>,
    knowledge_bases: Vec<KnowledgeBase>,
    /// With their names and ARNs.
    functions: Vec<(String, String, FunctionProperties)>,
    websocket: WebSocketResources,
}

impl Resources {
    fn add_all(
        &mut self,
        origin: &Origin<'_>,
        scope: &Scope,
        resources: &Map<String, Value>,
    ) -> Result<(), TemplateError> {
        let mut resources = resources.iter();
        resources
            .try_for_each(|(name, resource)| self.add(origin, scope, name, resource).map_err(|error| error.at(name)))
    }

    /// Adds the resources of a nested entry point, or the settings of a knowledge base. Checks a chat page.
    fn add_nested(
        &mut self,
        stack: &StackContext,
        name: &str,
        nested: &NestedStackProperties,
    ) -> Result<(), TemplateError> {
        let template = nested.read(stack.read)?;
        match nested_stack::kind(&template) {
            NestedKind::EntryPoint => self.add_entry_point(stack, name, nested, &template),
            NestedKind::ChatPage => stack.nested(name).load_chat_page(nested, &template).map(drop),
            NestedKind::KnowledgeBase => {
                self.knowledge_bases.push(nested.load_knowledge_base(&template)?.knowledge_base);
                Ok(())
            }
        }
    }

    fn add_entry_point(
        &mut self,
        stack: &StackContext,
        name: &str,
        nested: &NestedStackProperties,
        template: &Value,
    ) -> Result<(), TemplateError> {
        let added = nested.resolve_parameters(template).and_then(|parameters| {
            let origin = Origin::Nested(nested);
            stack
                .nested(name)
                .evaluate(template, parameters, |scope, resources| self.add_all(&origin, scope, resources))
        });
        added.map_err(|error| error.at(nested.path()))
    }

    fn add(&mut self, origin: &Origin<'_>, scope: &Scope, name: &str, resource: &Value) -> Result<(), TemplateError> {
        if let Some(condition) = resource["Condition"].as_str()
            && !scope.named_condition(condition)?
        {
            return Ok(());
        }
        let kind = resource["Type"].as_str().unwrap_or_default();
        origin.check(kind)?;
        let properties = scope.evaluate(&resource["Properties"])?;
        let reference = |attribute| scope.evaluate(&attribute).map(|value| to_text(&value));
        match kind {
            "AWS::AppSync::GraphQLApi" => self.apis.push(deserialize(properties)?),
            "AWS::AppSync::ApiKey" => {
                let KeyProperties { api_id, .. } = deserialize(properties)?;
                self.keys.push((api_id, reference(json!({"Fn::GetAtt": [name, "ApiKey"]}))?));
            }
            "AWS::AppSync::Api" => self.events_apis.push((origin.label(name), deserialize(properties)?)),
            "AWS::AppSync::ChannelNamespace" => {
                let namespace: ChannelNamespaceProperties = deserialize(properties)?;
                self.namespaces.push((origin.label(name), namespace));
            }
            "AWS::Cognito::UserPool" => {
                deserialize::<PoolProperties>(properties)?;
                let issuer = reference(json!({"Fn::GetAtt": [name, "ProviderURL"]}))?;
                self.user_pools.insert(reference(json!({"Ref": name}))?, issuer);
            }
            "AWS::Cognito::UserPoolClient" => check_properties::<PoolClientProperties>(properties)?,
            "AWS::Cognito::UserPoolDomain" => check_properties::<PoolDomainProperties>(properties)?,
            "AWS::Cognito::ManagedLoginBranding" => check_properties::<LoginStyleProperties>(properties)?,
            "AWS::Cognito::UserPoolGroup" => check_properties::<PoolGroupProperties>(properties)?,
            "AWS::AppSync::GraphQLSchema" => {
                self.schemas.push(deserialize::<SchemaProperties>(properties)?.definition_s3_location)
            }
            "AWS::AppSync::DataSource" => self.data_sources.push((origin.label(name), deserialize(properties)?)),
            "AWS::AppSync::FunctionConfiguration" => self.pipeline_functions.push(deserialize(properties)?),
            "AWS::AppSync::Resolver" => self.resolvers.push((name.to_owned(), deserialize(properties)?)),
            "AWS::DynamoDB::Table" => self.tables.push((reference(json!({"Ref": name}))?, deserialize(properties)?)),
            "AWS::IAM::Role" => {
                let arn = reference(json!({"Fn::GetAtt": [name, "Arn"]}))?;
                self.roles.add(reference(json!({"Ref": name}))?, arn, deserialize(properties)?)?;
            }
            "AWS::IAM::RolePolicy" => self.policies.push((origin.label(name), deserialize(properties)?)),
            "AWS::Serverless::Function" => {
                let arn = reference(json!({"Fn::GetAtt": [name, "Arn"]}))?;
                let function: FunctionProperties = deserialize(properties)?;
                let function = function.in_folder(origin.folder());
                self.functions.push((reference(json!({"Ref": name}))?, arn, function));
            }
            "AWS::SQS::Queue" => {
                deserialize::<QueueProperties>(properties)?;
                self.queues.push(reference(json!({"Fn::GetAtt": [name, "Arn"]}))?);
            }
            "AWS::KMS::Key" => {
                deserialize::<EncryptionKeyProperties>(properties)?;
                self.encryption_keys.push(reference(json!({"Fn::GetAtt": [name, "Arn"]}))?);
            }
            "AWS::Events::Rule" => {
                let arn = reference(json!({"Fn::GetAtt": [name, "Arn"]}))?;
                self.rules.push((name.to_owned(), arn, deserialize(properties)?));
            }
            "AWS::CloudFormation::Stack" => self.nested_stacks.push((name.to_owned(), deserialize(properties)?)),
            "AWS::Lambda::Permission" => self.permissions.push(deserialize(properties)?),
            "AWS::CloudWatch::Alarm" => check_properties::<AlarmProperties>(properties)?,
            "AWS::Logs::LogGroup" => {}
            other if other.starts_with("AWS::ApiGatewayV2::") => {
                let id = reference(json!({"Ref": name}))?;
                self.add_websocket(origin, name, id, resource, properties)?;
            }
            other => return Err(unsupported(other)),
        }
        Ok(())
    }

    /// Adds a resource of a WebSocket API, with what `Ref` returns.
    fn add_websocket(
        &mut self,
        origin: &Origin<'_>,
        name: &str,
        id: String,
        resource: &Value,
        properties: Value,
    ) -> Result<(), TemplateError> {
        let label = origin.label(name);
        let websocket = &mut self.websocket;
        match resource["Type"].as_str().unwrap_or_default() {
            "AWS::ApiGatewayV2::Api" => {
                websocket.apis.push(Labeled { label, id, properties: deserialize(properties)? });
            }
            "AWS::ApiGatewayV2::Stage" => {
                websocket.stages.push(Labeled { label, id, properties: deserialize(properties)? });
            }
            "AWS::ApiGatewayV2::Route" => {
                let route = LogicalRoute { logical_name: name.to_owned(), properties: deserialize(properties)? };
                websocket.routes.push(Labeled { label, id, properties: route });
            }
            "AWS::ApiGatewayV2::Integration" => {
                websocket.integrations.push(Labeled { label, id, properties: deserialize(properties)? });
            }
            "AWS::ApiGatewayV2::Deployment" => {
                deserialize::<DeploymentProperties>(properties)?;
                let deployment = WebSocketDeployment { depends_on: dependencies(resource) };
                websocket.deployments.push(Labeled { label, id, properties: deployment });
            }
            "AWS::ApiGatewayV2::Authorizer" => {
                websocket.authorizers.push(Labeled { label, id, properties: deserialize(properties)? });
            }
            "AWS::ApiGatewayV2::RouteResponse" => {
                websocket.route_responses.push(Labeled { label, id, properties: deserialize(properties)? });
            }
            other => return Err(unsupported(other)),
        }
        Ok(())
    }

    fn assemble(
        mut self,
        host: &str,
        read: impl Fn(&str) -> Result<String, TemplateError>,
    ) -> Result<Stack, TemplateError> {
        for (name, policy) in self.policies {
            self.roles.attach(policy).map_err(|error| error.at(name))?;
        }
        let api = exactly_one("AWS::AppSync::GraphQLApi", self.apis)?;
        let schema = read(&exactly_one("AWS::AppSync::GraphQLSchema", self.schemas)?)?;
        let code = |path: String| read(&path).map(|text| Code { path, text });
        let has_table = |table: &str| self.tables.iter().any(|(name, _)| name == table);
        let has_function = |arn: &str| self.functions.iter().any(|(_, existing, _)| existing == arn);
        let roles = &self.roles;
        let bind = |(name, source): (String, DataSourceProperties)| {
            source.into_data_source(roles, has_table, has_function).map_err(|error| error.at(name))
        };
        let (events_sources, data_sources): (Vec<_>, Vec<_>) =
            self.data_sources.into_iter().partition(|(_, source)| source.api_id() == EVENTS_API_ID);
        let events_sources = events_sources.into_iter().map(bind).collect::<Result<_, _>>()?;
        let data_sources = data_sources.into_iter().map(bind).collect::<Result<_, _>>()?;
        let (events_keys, keys) = separate_keys(self.keys);
        let events_api = at_most_one("AWS::AppSync::Api", self.events_apis)?;
        let events_api =
            assemble_events_api(events_api, self.namespaces, &events_sources, events_keys, &self.user_pools)?;
        let function_name =
            |arn: &str| self.functions.iter().find(|(_, existing, _)| existing == arn).map(|(name, ..)| name.clone());
        let functions = InvocableFunctions { name_of: &function_name, permissions: &self.permissions };
        let websocket_api = self.websocket.into_api(host, &functions)?;
        let functions = self.pipeline_functions.into_iter().map(|function| {
            let code = code(function.code_s3_location)?;
            Ok((
                function.name.clone(),
                PipelineFunction { name: function.name, data_source: function.data_source_name, code },
            ))
        });
        let resolvers = (self.resolvers.into_iter())
            .map(|(name, resolver)| resolver.into_resolver(code).map_err(|error| error.at(name)));
        let schedules = schedules(self.rules, &self.functions, &self.permissions)?;
        let has_queue = |arn: &str| self.queues.iter().any(|queue| queue == arn);
        let lambda_functions = self.functions.into_iter().map(|(name, arn, function)| {
            let function =
                function.into_function(name.clone(), arn, roles, has_queue).map_err(|error| error.at(&name))?;
            Ok((name, function))
        });
        let lambda_functions = lambda_functions.collect::<Result<_, _>>()?;
        Ok(Stack {
            api: Api {
                modes: api.modes(),
                introspection: api.introspection(),
                limits: api.limits()?,
                issuers: api.issuers(&self.user_pools),
                name: api.name.clone(),
                id: API_ID.to_owned(),
                schema,
                keys,
                environment: api.environment(),
                data_sources,
                functions: functions.collect::<Result<_, _>>()?,
                resolvers: resolvers.collect::<Result<_, _>>()?,
            },
            events_api,
            websocket_api,
            tables: self.tables.into_iter().map(|(name, table)| (name.clone(), table.into_table(&name))).collect(),
            functions: lambda_functions,
            roles: self.roles.into_map(),
            encryption_keys: self.encryption_keys,
            knowledge_base: at_most_one("AWS::CloudFormation::Stack with a knowledge base", self.knowledge_bases)?,
            schedules,
        })
    }
}

/// The schedules of rules, given with their logical names and ARNs, that may invoke functions, given with
/// their names and ARNs.
fn schedules(
    rules: Vec<(String, String, RuleProperties)>,
    functions: &[(String, String, FunctionProperties)],
    permissions: &[PermissionProperties],
) -> Result<Vec<Schedule>, TemplateError> {
    let has_function = |arn: &str| functions.iter().any(|(_, existing, _)| existing == arn);
    let schedules = rules.into_iter().map(|(name, rule_arn, rule)| {
        let may_invoke = |function_arn: &str| {
            let function = functions.iter().find(|(_, arn, _)| arn == function_arn);
            let allows = |permission: &PermissionProperties, function_name: &str| {
                permission.allows(&rule_arn, function_name, function_arn)
            };
            function.is_some_and(|(name, ..)| permissions.iter().any(|permission| allows(permission, name)))
        };
        rule.into_schedules(has_function, may_invoke).map_err(|error| error.at(name))
    });
    Ok(schedules.collect::<Result<Vec<_>, _>>()?.concat())
}

/// The Events API with its namespaces; both are given with their logical names.
fn assemble_events_api(
    api: Option<(String, EventsApiProperties)>,
    namespaces: Vec<(String, ChannelNamespaceProperties)>,
    data_sources: &BTreeMap<String, DataSource>,
    keys: Vec<String>,
    user_pools: &UserPools,
) -> Result<Option<EventsApi>, TemplateError> {
    let Some((api_name, api)) = api else {
        let error = TemplateError::new("a channel namespace needs an AWS::AppSync::Api".into());
        return namespaces.first().map_or(Ok(None), |(name, _)| Err(error.at(name)));
    };
    let modes = api.default_modes().map_err(|error| error.at(&api_name))?;
    let mut by_name = BTreeMap::new();
    for (logical_name, namespace) in namespaces {
        let namespace = namespace.into_namespace(&modes, data_sources);
        let (name, namespace) = namespace.map_err(|error| error.at(&logical_name))?;
        if by_name.contains_key(&name) {
            return Err(TemplateError::new(format!("there are two channel namespaces {name}")).at(logical_name));
        }
        by_name.insert(name, namespace);
    }
    let api = api.into_api(modes, keys, user_pools, by_name);
    api.map(Some).map_err(|error| error.at(api_name))
}

/// The keys of the Events API and those of the GraphQL API, which are given with the ids of their APIs.
fn separate_keys(keys: Vec<(String, String)>) -> (Vec<String>, Vec<String>) {
    let (events, graphql): (Vec<_>, Vec<_>) = keys.into_iter().partition(|(api_id, _)| api_id == EVENTS_API_ID);
    let keys_only = |keys: Vec<(String, String)>| keys.into_iter().map(|(_, key)| key).collect();
    (keys_only(events), keys_only(graphql))
}

/// The logical names in `DependsOn`: one, or a list.
fn dependencies(resource: &Value) -> Vec<String> {
    let depends_on = &resource["DependsOn"];
    let names = depends_on.as_array().map_or(std::slice::from_ref(depends_on), Vec::as_slice);
    names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn unsupported(kind: &str) -> TemplateError {
    TemplateError::new(format!("the local server does not support {kind}"))
}

fn deserialize<T: DeserializeOwned>(properties: Value) -> Result<T, TemplateError> {
    serde_json::from_value(properties).map_err(|error| TemplateError::new(error.to_string()))
}

/// Of a resource that has no effect on the local server.
fn check_properties<T: DeserializeOwned>(properties: Value) -> Result<(), TemplateError> {
    deserialize::<T>(properties).map(|_| ())
}

fn at_most_one<T>(kind: &str, mut all: Vec<T>) -> Result<Option<T>, TemplateError> {
    match (all.pop(), all.pop()) {
        (one, None) => Ok(one),
        _ => Err(TemplateError::new(format!("the local server takes one {kind} at most"))),
    }
}

fn exactly_one<T>(kind: &str, mut all: Vec<T>) -> Result<T, TemplateError> {
    match (all.pop(), all.pop()) {
        (Some(one), None) => Ok(one),
        _ => Err(TemplateError::new(format!("the local server runs exactly one {kind}"))),
    }
}
