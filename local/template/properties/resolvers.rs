//! The resolvers of the API and their pipeline functions.
use serde::Deserialize;

use super::Ignored;
use crate::{
    stack::{Code, Resolver},
    template::TemplateError,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PipelineFunctionProperties {
    #[serde(rename = "ApiId")]
    _api_id: Ignored,
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
    _api_id: Ignored,
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

/// The only supported runtime.
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
    V1,
}

impl ResolverProperties {
    pub fn into_resolver(
        self,
        code: impl Fn(String) -> Result<Code, TemplateError>,
    ) -> Result<((String, String), Resolver), TemplateError> {
        let code = code(self.code_s3_location)?;
        let resolver = match (self.kind.as_deref(), self.data_source_name, self.pipeline_config) {
            (Some("PIPELINE"), None, Some(config)) => Resolver::Pipeline { functions: config.functions, code },
            (Some("UNIT") | None, Some(data_source), None) => Resolver::Unit { data_source, code },
            _ => {
                let rule = "has either Kind PIPELINE with PipelineConfig or Kind UNIT with DataSourceName";
                return Err(TemplateError::new(format!(
                    "the resolver of {}.{} {rule}",
                    self.type_name, self.field_name
                )));
            }
        };
        Ok(((self.type_name, self.field_name), resolver))
    }
}
