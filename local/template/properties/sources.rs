//! What resolvers reach.
use serde::Deserialize;

use super::{Roles, WithoutEffect};
use crate::{
    stack::DataSource,
    template::{Fault, REGION},
};

#[derive(Deserialize)]
#[serde(tag = "Type", rename_all_fields = "PascalCase", deny_unknown_fields)]
pub enum SourceProperties {
    #[serde(rename = "NONE")]
    None {
        #[serde(rename = "ApiId")]
        _api_id: WithoutEffect,
        name: String,
    },
    #[serde(rename = "AMAZON_DYNAMODB")]
    Table {
        #[serde(rename = "ApiId")]
        _api_id: WithoutEffect,
        name: String,
        service_role_arn: String,
        #[serde(rename = "DynamoDBConfig")]
        dynamodb_config: TableReached,
    },
    #[serde(rename = "AWS_LAMBDA")]
    Lambda {
        #[serde(rename = "ApiId")]
        _api_id: WithoutEffect,
        name: String,
        service_role_arn: String,
        lambda_config: FunctionReached,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TableReached {
    table_name: String,
    aws_region: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct FunctionReached {
    lambda_function_arn: String,
}

impl SourceProperties {
    /// The data source by its name. `has_table` knows the stack's tables by name, `has_function` its functions by ARN.
    pub fn into_source(
        self,
        roles: &Roles,
        has_table: impl Fn(&str) -> bool,
        has_function: impl Fn(&str) -> bool,
    ) -> Result<(String, DataSource), Fault> {
        match self {
            Self::None { name, .. } => Ok((name, DataSource::None)),
            Self::Table { name, service_role_arn, dynamodb_config, .. } => {
                let table = table(dynamodb_config, has_table)?;
                Ok((name, DataSource::Table { table, role: roles.at(&service_role_arn)? }))
            }
            Self::Lambda { name, service_role_arn, lambda_config, .. } => {
                let function = lambda_config.lambda_function_arn;
                if !has_function(&function) {
                    return Err(Fault::new(format!("{function} is no function of this stack")));
                }
                Ok((name, DataSource::Lambda { function, role: roles.at(&service_role_arn)? }))
            }
        }
    }
}

fn table(reached: TableReached, has_table: impl Fn(&str) -> bool) -> Result<String, Fault> {
    let TableReached { table_name, aws_region } = reached;
    if aws_region != REGION {
        return Err(Fault::new(format!("AwsRegion must be that of the stack, {REGION}, not {aws_region}")));
    }
    if !has_table(&table_name) {
        return Err(Fault::new(format!("{table_name} is no table of this stack")));
    }
    Ok(table_name)
}
