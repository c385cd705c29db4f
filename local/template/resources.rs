//! All resources of a template, joined to one stack; an unknown type is refused by name.
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{Fault, intrinsics::Scope, properties::*};
use crate::stack::{Api, Code, PipelineFunction, Stack};

/// The stack of all resources; `read` yields the text of a file that the template names.
pub fn stack(
    scope: &Scope,
    resources: &Map<String, Value>,
    api_id: &str,
    read: impl Fn(&str) -> Result<String, Fault>,
) -> Result<Stack, Fault> {
    let mut parts = Parts::default();
    for (name, resource) in resources {
        parts.add(scope, name, resource).map_err(|fault| fault.within(name))?;
    }
    parts.assemble(api_id, read)
}

#[derive(Default)]
struct Parts {
    apis: Vec<ApiProperties>,
    keys: Vec<String>,
    pools: Pools,
    schemas: Vec<String>,
    /// By logical name, as the resolvers.
    sources: Vec<(String, SourceProperties)>,
    pipeline_functions: Vec<PipelineFunctionProperties>,
    resolvers: Vec<(String, ResolverProperties)>,
    tables: Vec<(String, TableProperties)>,
    roles: Roles,
    policies: Vec<(String, RolePolicyProperties)>,
    functions: Vec<(String, String, FunctionProperties)>,
}

impl Parts {
    fn add(&mut self, scope: &Scope, name: &str, resource: &Value) -> Result<(), Fault> {
        if let Some(condition) = resource["Condition"].as_str()
            && !scope.condition(condition)?
        {
            return Ok(());
        }
        let kind = resource["Type"].as_str().unwrap_or_default();
        let properties = scope.evaluate(&resource["Properties"])?;
        let reference = |attribute| scope.evaluate(&attribute).map(|value| text(&value));
        match kind {
            "AWS::AppSync::GraphQLApi" => self.apis.push(shape(properties)?),
            "AWS::AppSync::ApiKey" => {
                shape::<KeyProperties>(properties)?;
                self.keys.push(reference(json!({"Fn::GetAtt": [name, "ApiKey"]}))?);
            }
            "AWS::Cognito::UserPool" => {
                shape::<PoolProperties>(properties)?;
                let issuer = reference(json!({"Fn::GetAtt": [name, "ProviderURL"]}))?;
                self.pools.insert(reference(json!({"Ref": name}))?, issuer);
            }
            "AWS::Cognito::UserPoolClient" => {
                shape::<PoolClientProperties>(properties)?;
            }
            "AWS::Cognito::UserPoolGroup" => {
                shape::<PoolGroupProperties>(properties)?;
            }
            "AWS::AppSync::GraphQLSchema" => {
                self.schemas.push(shape::<SchemaProperties>(properties)?.definition_s3_location)
            }
            "AWS::AppSync::DataSource" => self.sources.push((name.to_owned(), shape(properties)?)),
            "AWS::AppSync::FunctionConfiguration" => self.pipeline_functions.push(shape(properties)?),
            "AWS::AppSync::Resolver" => self.resolvers.push((name.to_owned(), shape(properties)?)),
            "AWS::DynamoDB::Table" => self.tables.push((reference(json!({"Ref": name}))?, shape(properties)?)),
            "AWS::IAM::Role" => {
                let arn = reference(json!({"Fn::GetAtt": [name, "Arn"]}))?;
                self.roles.add(reference(json!({"Ref": name}))?, arn, shape(properties)?)?;
            }
            "AWS::IAM::RolePolicy" => self.policies.push((name.to_owned(), shape(properties)?)),
            "AWS::Serverless::Function" => {
                let arn = reference(json!({"Fn::GetAtt": [name, "Arn"]}))?;
                self.functions.push((reference(json!({"Ref": name}))?, arn, shape(properties)?));
            }
            "AWS::Logs::LogGroup" => {}
            other => return Err(Fault::new(format!("the laptop edition has no {other}"))),
        }
        Ok(())
    }

    fn assemble(mut self, api_id: &str, read: impl Fn(&str) -> Result<String, Fault>) -> Result<Stack, Fault> {
        for (name, policy) in self.policies {
            self.roles.attach(policy).map_err(|fault| fault.within(name))?;
        }
        let api = only("AWS::AppSync::GraphQLApi", self.apis)?;
        let schema = read(&only("AWS::AppSync::GraphQLSchema", self.schemas)?)?;
        let code = |path: String| read(&path).map(|text| Code { path, text });
        let has_table = |table: &str| self.tables.iter().any(|(name, _)| name == table);
        let has_function = |arn: &str| self.functions.iter().any(|(_, known, _)| known == arn);
        let roles = &self.roles;
        let sources = self.sources.into_iter().map(|(name, source)| {
            source.into_source(roles, has_table, has_function).map_err(|fault| fault.within(name))
        });
        let sources = sources.collect::<Result<_, _>>()?;
        let functions = self.pipeline_functions.into_iter().map(|function| {
            let code = code(function.code_s3_location)?;
            Ok((
                function.name.clone(),
                PipelineFunction { name: function.name, data_source: function.data_source_name, code },
            ))
        });
        let resolvers = (self.resolvers.into_iter())
            .map(|(name, resolver)| resolver.into_resolver(code).map_err(|fault| fault.within(name)));
        let lambdas = self.functions.into_iter().map(|(name, arn, function)| {
            let function = function.into_function(name.clone(), arn, roles).map_err(|fault| fault.within(&name))?;
            Ok((name, function))
        });
        let lambdas = lambdas.collect::<Result<_, _>>()?;
        Ok(Stack {
            api: Api {
                modes: api.modes(),
                introspection: api.introspection(),
                limits: api.limits()?,
                issuers: api.issuers(&self.pools),
                name: api.name.clone(),
                id: api_id.to_owned(),
                schema,
                keys: self.keys,
                environment: api.environment(),
                data_sources: sources,
                functions: functions.collect::<Result<_, _>>()?,
                resolvers: resolvers.collect::<Result<_, _>>()?,
            },
            tables: self.tables.into_iter().map(|(name, table)| (name.clone(), table.into_table(&name))).collect(),
            functions: lambdas,
            roles: self.roles.by_name(),
        })
    }
}

fn shape<T: DeserializeOwned>(properties: Value) -> Result<T, Fault> {
    serde_json::from_value(properties).map_err(|error| Fault::new(error.to_string()))
}

fn only<T>(kind: &str, mut all: Vec<T>) -> Result<T, Fault> {
    match (all.pop(), all.pop()) {
        (Some(one), None) => Ok(one),
        _ => Err(Fault::new(format!("the laptop edition runs exactly one {kind}"))),
    }
}
