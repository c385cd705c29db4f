//! The data sources of resolvers.
use serde::Deserialize;

use super::{Ignored, Roles};
use crate::{
    stack::DataSource,
    template::{REGION, TemplateError},
};

#[derive(Deserialize)]
#[serde(tag = "Type", rename_all_fields = "PascalCase", deny_unknown_fields)]
pub enum DataSourceProperties {
    #[serde(rename = "NONE")]
    None {
        #[serde(rename = "ApiId")]
        _api_id: Ignored,
        name: String,
    },
    #[serde(rename = "AMAZON_DYNAMODB")]
    Table {
        #[serde(rename = "ApiId")]
        _api_id: Ignored,
        name: String,
        service_role_arn: String,
        #[serde(rename = "DynamoDBConfig")]
        dynamodb_config: DynamoDbConfig,
    },
    #[serde(rename = "AWS_LAMBDA")]
    Lambda {
        #[serde(rename = "ApiId")]
        _api_id: Ignored,
        name: String,
        service_role_arn: String,
        lambda_config: LambdaConfig,
    },
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

impl DataSourceProperties {
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
        }
    }
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
