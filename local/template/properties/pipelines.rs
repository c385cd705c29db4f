//! The resolvers of the API and the functions they call.
use serde::Deserialize;

use super::WithoutEffect;
use crate::{
    stack::{Code, Resolver},
    template::Fault,
};

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
    data_source_name: Option<String>,
    pipeline_config: Option<PipelineConfig>,
    #[serde(rename = "Runtime")]
    _runtime: Runtime,
    #[serde(rename = "CodeS3Location")]
    code_s3_location: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PipelineConfig {
    functions: Vec<String>,
}

/// The one runtime there is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Runtime {
    #[serde(rename = "Name")]
    _name: RuntimeName,
    #[serde(rename = "RuntimeVersion")]
    _runtime_version: RuntimeVersion,
}

#[derive(Deserialize)]
enum RuntimeName {
    #[serde(rename = "APPSYNC_JS")]
    AppSyncJs,
}

#[derive(Deserialize)]
enum RuntimeVersion {
    #[serde(rename = "1.0.0")]
    First,
}

impl ResolverProperties {
    pub fn into_resolver(
        self,
        code: impl Fn(String) -> Result<Code, Fault>,
    ) -> Result<((String, String), Resolver), Fault> {
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
