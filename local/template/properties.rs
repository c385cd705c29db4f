//! Each resource type in the shape the laptop edition honours: serde refuses an unknown property by name.
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Fault;
use crate::stack::{Asynchronous, AuthMode, Code, DataSource, Function, Resolver, Table};

/// A property that has no effect on a laptop: logs, tracing, backups, how the handler is built.
type WithoutEffect = serde::de::IgnoredAny;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ApiProperties {
    pub name: String,
    authentication_type: String,
    #[serde(default)]
    additional_authentication_providers: Vec<Provider>,
    #[serde(default)]
    pub environment_variables: BTreeMap<String, Value>,
    pub introspection_config: Option<String>,
    #[serde(rename = "XrayEnabled")]
    _xray_enabled: Option<WithoutEffect>,
    #[serde(rename = "LogConfig")]
    _log_config: Option<WithoutEffect>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Provider {
    authentication_type: String,
}

impl ApiProperties {
    pub fn modes(&self) -> Result<Vec<AuthMode>, Fault> {
        let more = self.additional_authentication_providers.iter().map(|provider| &provider.authentication_type);
        std::iter::once(&self.authentication_type).chain(more).map(|name| mode(name)).collect()
    }
}

fn mode(name: &str) -> Result<AuthMode, Fault> {
    match name {
        "API_KEY" => Ok(AuthMode::ApiKey),
        "AWS_IAM" => Ok(AuthMode::Iam),
        other => Err(Fault::new(format!("AuthenticationType must be API_KEY or AWS_IAM here, not {other}"))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SchemaProperties {
    #[serde(rename = "ApiId")]
    _api_id: WithoutEffect,
    #[serde(rename = "DefinitionS3Location")]
    pub definition_s3_location: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SourceProperties {
    #[serde(rename = "ApiId")]
    _api_id: WithoutEffect,
    pub name: String,
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "ServiceRoleArn")]
    _service_role_arn: Option<WithoutEffect>,
    #[serde(rename = "DynamoDBConfig")]
    dynamodb_config: Option<Value>,
    lambda_config: Option<Value>,
}

impl SourceProperties {
    pub fn into_source(self, functions: &[(String, String, FunctionProperties)]) -> Result<DataSource, Fault> {
        let named = |config: &Option<Value>, member: &str| config.as_ref().map(|config| text(&config[member]));
        let source = match self.kind.as_str() {
            "NONE" => Some(DataSource::None),
            "AMAZON_DYNAMODB" => named(&self.dynamodb_config, "TableName").map(DataSource::Table),
            "AWS_LAMBDA" => named(&self.lambda_config, "LambdaFunctionArn")
                .and_then(|arn| functions.iter().find(|(_, known, _)| *known == arn))
                .map(|(name, ..)| DataSource::Lambda(name.clone())),
            _ => None,
        };
        let kind = &self.kind;
        source.ok_or_else(|| Fault::new(format!("the data source {} of type {kind} reaches nothing here", self.name)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Runtime {
    pub name: String,
    runtime_version: String,
}

impl Runtime {
    fn check(&self) -> Result<(), Fault> {
        let Self { name, runtime_version } = self;
        let is_known = name == "APPSYNC_JS" && runtime_version == "1.0.0";
        is_known.then_some(()).ok_or_else(|| Fault::new(format!("there is no runtime {name} {runtime_version}")))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PipelineFunctionProperties {
    #[serde(rename = "ApiId")]
    _api_id: WithoutEffect,
    pub name: String,
    pub data_source_name: String,
    #[serde(rename = "Runtime")]
    _runtime: Runtime,
    #[serde(rename = "CodeS3Location")]
    pub code_s3_location: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ResolverProperties {
    #[serde(rename = "ApiId")]
    _api_id: WithoutEffect,
    type_name: String,
    field_name: String,
    kind: Option<String>,
    pub data_source_name: Option<String>,
    pipeline_config: Option<PipelineConfig>,
    runtime: Runtime,
    #[serde(rename = "CodeS3Location")]
    pub code_s3_location: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PipelineConfig {
    functions: Vec<String>,
}

impl ResolverProperties {
    pub fn into_resolver(
        self,
        code: impl Fn(String) -> Result<Code, Fault>,
    ) -> Result<((String, String), Resolver), Fault> {
        self.runtime.check()?;
        let code = code(self.code_s3_location)?;
        let resolver = match (self.kind.as_deref(), self.data_source_name, self.pipeline_config) {
            (Some("PIPELINE"), None, Some(config)) => Resolver::Pipeline { functions: config.functions, code },
            (Some("UNIT") | None, Some(data_source), None) => Resolver::Unit { data_source, code },
            _ => {
                let sentence = "has either Kind PIPELINE with PipelineConfig or Kind UNIT with DataSourceName";
                return Err(Fault::new(format!("the resolver of {}.{} {sentence}", self.type_name, self.field_name)));
            }
        };
        Ok(((self.type_name, self.field_name), resolver))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TableProperties {
    billing_mode: Value,
    attribute_definitions: Value,
    key_schema: Value,
    #[serde(default)]
    global_secondary_indexes: Value,
    time_to_live_specification: Option<Value>,
    #[serde(rename = "PointInTimeRecoverySpecification")]
    _point_in_time_recovery_specification: Option<WithoutEffect>,
}

impl TableProperties {
    pub fn into_table(self, name: &str) -> Table {
        let ttl = self.time_to_live_specification.filter(|ttl| ttl["Enabled"] == true);
        let mut definition = json!({
            "TableName": name,
            "BillingMode": self.billing_mode,
            "AttributeDefinitions": self.attribute_definitions,
            "KeySchema": self.key_schema,
        });
        if !self.global_secondary_indexes.is_null() {
            definition["GlobalSecondaryIndexes"] = self.global_secondary_indexes;
        }
        Table { definition, ttl_attribute: ttl.map(|ttl| text(&ttl["AttributeName"])) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct FunctionProperties {
    memory_size: u32,
    timeout: u32,
    reserved_concurrent_executions: Option<u32>,
    role: String,
    event_invoke_config: Option<EventInvokeConfig>,
    environment: Option<Environment>,
    #[serde(rename = "Description")]
    _description: Option<WithoutEffect>,
    #[serde(rename = "CodeUri")]
    _code_uri: WithoutEffect,
    #[serde(rename = "Handler")]
    _handler: WithoutEffect,
    #[serde(rename = "Runtime")]
    _runtime: WithoutEffect,
    #[serde(rename = "Architectures")]
    _architectures: Option<WithoutEffect>,
    #[serde(rename = "Tracing")]
    _tracing: Option<WithoutEffect>,
    #[serde(rename = "LoggingConfig")]
    _logging_config: Option<WithoutEffect>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EventInvokeConfig {
    maximum_event_age_in_seconds: Option<u32>,
    maximum_retry_attempts: Option<u8>,
    destination_config: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Environment {
    variables: BTreeMap<String, Value>,
}

impl FunctionProperties {
    pub fn into_function(self, name: String, arn: String, roles: &BTreeMap<String, Vec<Value>>) -> Function {
        Function {
            name,
            arn,
            memory_megabytes: self.memory_size,
            timeout_seconds: self.timeout,
            reserved_concurrency: self.reserved_concurrent_executions,
            environment: texts(self.environment.map(|environment| environment.variables).unwrap_or_default()),
            asynchronous: asynchronous(self.event_invoke_config),
            statements: roles.get(&self.role).cloned().unwrap_or_default(),
            role_arn: self.role,
        }
    }
}

/// Where the template says nothing, Lambda retries twice and keeps an event for six hours.
fn asynchronous(config: Option<EventInvokeConfig>) -> Asynchronous {
    let (retries, age, destination) = config.map_or((None, None, None), |config| {
        (config.maximum_retry_attempts, config.maximum_event_age_in_seconds, config.destination_config)
    });
    let on_failure = destination.and_then(|config| config["OnFailure"]["Destination"].as_str().map(str::to_owned));
    Asynchronous { retries: retries.unwrap_or(2), event_age_seconds: age.unwrap_or(21_600), on_failure }
}

pub fn texts(values: BTreeMap<String, Value>) -> BTreeMap<String, String> {
    values.into_iter().map(|(name, value)| (name, text(&value))).collect()
}

pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
