//! The data sources of resolvers.
use serde::Deserialize;

use super::Roles;
use crate::{
    stack::DataSource,
    template::{REGION, TemplateError},
};

#[derive(Deserialize)]
#[serde(tag = "Type", rename_all_fields = "PascalCase", deny_unknown_fields)]
pub enum DataSourceProperties {
    #[serde(rename = "NONE")]
    None { api_id: String, name: String },
    #[serde(rename = "AMAZON_DYNAMODB")]
    Table {
        api_id: String,
        name: String,
        service_role_arn: String,
        #[serde(rename = "DynamoDBConfig")]
        dynamodb_config: DynamoDbConfig,
    },
    #[serde(rename = "AWS_LAMBDA")]
    Lambda { api_id: String, name: String, service_role_arn: String, lambda_config: LambdaConfig },
    #[serde(rename = "HTTP")]
    Http { api_id: String, name: String, service_role_arn: String, http_config: HttpConfig },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DynamoDbConfig {
    table_name: String,
    aws_region: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct LambdaConfig {
    lambda_function_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct HttpConfig {
    endpoint: String,
    authorization_config: AuthorizationConfig,
}

#[derive(Deserialize)]
#[serde(tag = "AuthorizationType", rename_all_fields = "PascalCase", deny_unknown_fields)]
enum AuthorizationConfig {
    #[serde(rename = "AWS_IAM")]
    Iam { aws_iam_config: IamConfig },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct IamConfig {
    signing_region: String,
    signing_service_name: String,
}

impl DataSourceProperties {
    pub fn api_id(&self) -> &str {
        match self {
            Self::None { api_id, .. }
            | Self::Table { api_id, .. }
            | Self::Lambda { api_id, .. }
            | Self::Http { api_id, .. } => api_id,
        }
    }

    /// The data source with its name. `has_table` takes a table's name, `has_function` a function's ARN.
    pub fn into_data_source(
        self,
        roles: &Roles,
        has_table: impl Fn(&str) -> bool,
        has_function: impl Fn(&str) -> bool,
    ) -> Result<(String, DataSource), TemplateError> {
        match self {
            Self::None { name, .. } => Ok((name, DataSource::None)),
            Self::Table { name, service_role_arn, dynamodb_config, .. } => {
                let table = table_name(dynamodb_config, has_table)?;
                Ok((name, DataSource::Table { table, role: roles.get(&service_role_arn)? }))
            }
            Self::Lambda { name, service_role_arn, lambda_config, .. } => {
                let function = lambda_config.lambda_function_arn;
                if !has_function(&function) {
                    return Err(TemplateError::new(format!("{function} is no function of this stack")));
                }
                Ok((name, DataSource::Lambda { function, role: roles.get(&service_role_arn)? }))
            }
            Self::Http { name, service_role_arn, http_config, .. } => {
                check_kms(http_config)?;
                Ok((name, DataSource::Kms { role: roles.get(&service_role_arn)? }))
            }
        }
    }
}

/// The local server sends no request to another host: KMS is the only HTTP service that it has.
fn check_kms(HttpConfig { endpoint, authorization_config }: HttpConfig) -> Result<(), TemplateError> {
    let AuthorizationConfig::Iam { aws_iam_config: IamConfig { signing_region, signing_service_name } } =
        authorization_config;
    let expected = format!("https://kms.{REGION}.amazonaws.com");
    if endpoint != expected {
        let message =
            format!("{endpoint} cannot be reached from the local server; {expected} is the only HTTP endpoint");
        return Err(TemplateError::new(message));
    }
    if (signing_region.as_str(), signing_service_name.as_str()) != (REGION, "kms") {
        let message = format!(
            "requests to {endpoint} must be signed for kms in {REGION}, not {signing_service_name} in {signing_region}"
        );
        return Err(TemplateError::new(message));
    }
    Ok(())
}

fn table_name(config: DynamoDbConfig, has_table: impl Fn(&str) -> bool) -> Result<String, TemplateError> {
    let DynamoDbConfig { table_name, aws_region } = config;
    if aws_region != REGION {
        return Err(TemplateError::new(format!("AwsRegion must be that of the stack, {REGION}, not {aws_region}")));
    }
    if !has_table(&table_name) {
        return Err(TemplateError::new(format!("{table_name} is no table of this stack")));
    }
    Ok(table_name)
}
