//! Reads all resources of a template and joins them to one stack.
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{TemplateError, intrinsics::Scope, nested_stack::NestedStackProperties, properties::*};
use crate::stack::{Api, Code, PipelineFunction, Stack};

/// The stack of all resources. `read` returns the content of a file that the template names.
pub fn assemble_stack(
    scope: &Scope,
    resources: &Map<String, Value>,
    api_id: &str,
    read: impl Fn(&str) -> Result<String, TemplateError>,
) -> Result<Stack, TemplateError> {
    let mut collected = Resources::default();
    for (name, resource) in resources {
        collected.add(scope, name, resource).map_err(|error| error.at(name))?;
    }
    collected.assemble(api_id, read)
}

#[derive(Default)]
struct Resources {
    apis: Vec<ApiProperties>,
    keys: Vec<String>,
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
    nested_stacks: Vec<NestedStackProperties>,
    /// With their names and ARNs.
    functions: Vec<(String, String, FunctionProperties)>,
}

impl Resources {
    fn add(&mut self, scope: &Scope, name: &str, resource: &Value) -> Result<(), TemplateError> {
        if let Some(condition) = resource["Condition"].as_str()
            && !scope.named_condition(condition)?
        {
            return Ok(());
        }
        let kind = resource["Type"].as_str().unwrap_or_default();
        let properties = scope.evaluate(&resource["Properties"])?;
        let reference = |attribute| scope.evaluate(&attribute).map(|value| to_text(&value));
        match kind {
            "AWS::AppSync::GraphQLApi" => self.apis.push(deserialize(properties)?),
            "AWS::AppSync::ApiKey" => {
                deserialize::<KeyProperties>(properties)?;
                self.keys.push(reference(json!({"Fn::GetAtt": [name, "ApiKey"]}))?);
            }
            "AWS::Cognito::UserPool" => {
                deserialize::<PoolProperties>(properties)?;
                let issuer = reference(json!({"Fn::GetAtt": [name, "ProviderURL"]}))?;
                self.user_pools.insert(reference(json!({"Ref": name}))?, issuer);
            }
            "AWS::Cognito::UserPoolClient" => {
                deserialize::<PoolClientProperties>(properties)?;
            }
            "AWS::Cognito::UserPoolGroup" => {
                deserialize::<PoolGroupProperties>(properties)?;
            }
            "AWS::AppSync::GraphQLSchema" => {
                self.schemas.push(deserialize::<SchemaProperties>(properties)?.definition_s3_location)
            }
            "AWS::AppSync::DataSource" => self.data_sources.push((name.to_owned(), deserialize(properties)?)),
            "AWS::AppSync::FunctionConfiguration" => self.pipeline_functions.push(deserialize(properties)?),
            "AWS::AppSync::Resolver" => self.resolvers.push((name.to_owned(), deserialize(properties)?)),
            "AWS::DynamoDB::Table" => self.tables.push((reference(json!({"Ref": name}))?, deserialize(properties)?)),
            "AWS::IAM::Role" => {
                let arn = reference(json!({"Fn::GetAtt": [name, "Arn"]}))?;
                self.roles.add(reference(json!({"Ref": name}))?, arn, deserialize(properties)?)?;
            }
            "AWS::IAM::RolePolicy" => self.policies.push((name.to_owned(), deserialize(properties)?)),
            "AWS::Serverless::Function" => {
                let arn = reference(json!({"Fn::GetAtt": [name, "Arn"]}))?;
                self.functions.push((reference(json!({"Ref": name}))?, arn, deserialize(properties)?));
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
            "AWS::CloudFormation::Stack" => self.nested_stacks.push(deserialize(properties)?),
            "AWS::Lambda::Permission" => self.permissions.push(deserialize(properties)?),
            "AWS::CloudWatch::Alarm" => {
                deserialize::<AlarmProperties>(properties)?;
            }
            "AWS::Logs::LogGroup" => {}
            other => return Err(TemplateError::new(format!("the local server does not support {other}"))),
        }
        Ok(())
    }

    fn assemble(
        mut self,
        api_id: &str,
        read: impl Fn(&str) -> Result<String, TemplateError>,
    ) -> Result<Stack, TemplateError> {
        for (name, policy) in self.policies {
            self.roles.attach(policy).map_err(|error| error.at(name))?;
        }
        let api = exactly_one("AWS::AppSync::GraphQLApi", self.apis)?;
        let schema = read(&exactly_one("AWS::AppSync::GraphQLSchema", self.schemas)?)?;
        let nested_stacks =
            self.nested_stacks.iter().map(|nested| nested.load(&read)).collect::<Result<Vec<_>, _>>()?;
        let code = |path: String| read(&path).map(|text| Code { path, text });
        let has_table = |table: &str| self.tables.iter().any(|(name, _)| name == table);
        let has_function = |arn: &str| self.functions.iter().any(|(_, existing, _)| existing == arn);
        let roles = &self.roles;
        let data_sources = self.data_sources.into_iter().map(|(name, source)| {
            source.into_data_source(roles, has_table, has_function).map_err(|error| error.at(name))
        });
        let data_sources = data_sources.collect::<Result<_, _>>()?;
        let functions = self.pipeline_functions.into_iter().map(|function| {
            let code = code(function.code_s3_location)?;
            Ok((
                function.name.clone(),
                PipelineFunction { name: function.name, data_source: function.data_source_name, code },
            ))
        });
        let resolvers = (self.resolvers.into_iter())
            .map(|(name, resolver)| resolver.into_resolver(code).map_err(|error| error.at(name)));
        let (functions_by_name, permissions) = (&self.functions, &self.permissions);
        let schedules = self.rules.into_iter().map(|(name, rule_arn, rule)| {
            let may_invoke = |function_arn: &str| {
                let function = functions_by_name.iter().find(|(_, arn, _)| arn == function_arn);
                let allows = |permission: &PermissionProperties, function_name: &str| {
                    permission.allows(&rule_arn, function_name, function_arn)
                };
                function.is_some_and(|(name, ..)| permissions.iter().any(|permission| allows(permission, name)))
            };
            rule.into_schedules(has_function, may_invoke).map_err(|error| error.at(name))
        });
        let schedules = schedules.collect::<Result<Vec<_>, _>>()?.concat();
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
                id: api_id.to_owned(),
                schema,
                keys: self.keys,
                environment: api.environment(),
                data_sources,
                functions: functions.collect::<Result<_, _>>()?,
                resolvers: resolvers.collect::<Result<_, _>>()?,
            },
            tables: self.tables.into_iter().map(|(name, table)| (name.clone(), table.into_table(&name))).collect(),
            functions: lambda_functions,
            roles: self.roles.into_map(),
            encryption_keys: self.encryption_keys,
            knowledge_base: at_most_one("AWS::CloudFormation::Stack", nested_stacks)?
                .map(|nested| nested.knowledge_base),
            schedules,
        })
    }
}

fn deserialize<T: DeserializeOwned>(properties: Value) -> Result<T, TemplateError> {
    serde_json::from_value(properties).map_err(|error| TemplateError::new(error.to_string()))
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
