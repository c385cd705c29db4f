//! What resolvers reach.
use serde::Deserialize;

use super::WithoutEffect;
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
        #[serde(rename = "ServiceRoleArn")]
        _service_role_arn: WithoutEffect,
        #[serde(rename = "DynamoDBConfig")]
        dynamodb_config: TableReached,
    },
    #[serde(rename = "AWS_LAMBDA")]
    Lambda {
        #[serde(rename = "ApiId")]
        _api_id: WithoutEffect,
        name: String,
        #[serde(rename = "ServiceRoleArn")]
        _service_role_arn: WithoutEffect,
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
    /// The data source by its name. `has_table` knows the stack's tables; `function_at` names its function of an ARN.
    pub fn into_source(
        self,
        has_table: impl Fn(&str) -> bool,
        function_at: impl Fn(&str) -> Option<String>,
    ) -> Result<(String, DataSource), Fault> {
        match self {
            Self::None { name, .. } => Ok((name, DataSource::None)),
            Self::Table { name, dynamodb_config, .. } => Ok((name, table(dynamodb_config, has_table)?)),
            Self::Lambda { name, lambda_config: FunctionReached { lambda_function_arn: arn }, .. } => {
                let function = function_at(&arn);
                let function = function.ok_or_else(|| Fault::new(format!("{arn} is no function of this stack")))?;
                Ok((name, DataSource::Lambda(function)))
            }
        }
    }
}

fn table(reached: TableReached, has_table: impl Fn(&str) -> bool) -> Result<DataSource, Fault> {
    let TableReached { table_name, aws_region } = reached;
    if aws_region != REGION {
        return Err(Fault::new(format!("AwsRegion must be that of the stack, {REGION}, not {aws_region}")));
    }
    if !has_table(&table_name) {
        return Err(Fault::new(format!("{table_name} is no table of this stack")));
    }
    Ok(DataSource::Table(table_name))
}
