//! Prints the schema with the directives of the enabled authorization modes only.
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::{Deployment, Template, TemplateError, parse_parameter};
use crate::graphql::restrict_to_modes;

/// Options of `parlance schema`.
#[derive(Args, Clone, Debug)]
pub struct SchemaOptions {
    /// A template parameter that differs from its default
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parse_parameter)]
    pub parameters: Vec<(String, String)>,
    /// Where template.yaml is
    #[arg(long, default_value = ".")]
    pub root: PathBuf,
}

/// schema.graphql without the directives of modes that the API does not have.
pub fn filtered_schema(options: &SchemaOptions) -> Result<String, TemplateError> {
    let deployment = Deployment::at("https://api.example.com", options.parameters.iter().cloned().collect());
    let api = without_web_acl(Template::read(&options.root)?).load(&deployment)?.api;
    restrict_to_modes(&api.schema, &api.modes).map_err(|error| TemplateError::new(error.to_string()))
}

/// Removes the web ACL, which the local server does not support and which does not affect the schema.
fn without_web_acl(mut template: Template) -> Template {
    let is_web_acl = |resource: &Value| resource["Type"].as_str().is_some_and(|kind| kind.starts_with("AWS::WAFv2::"));
    if let Some(resources) = template.document["Resources"].as_object_mut() {
        resources.retain(|_, resource| !is_web_acl(resource));
    }
    template
}
