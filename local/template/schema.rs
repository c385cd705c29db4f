//! The schema for the modes that parameters switch on.
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::{Deployment, Fault, deployed, parameter, template};
use crate::graphql::with_modes;

/// Options of `parlance schema`.
#[derive(Args, Clone, Debug)]
pub struct SchemaOptions {
    /// A template parameter that differs from its default
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    pub parameters: Vec<(String, String)>,
    /// Where template.yaml is
    #[arg(long, default_value = ".")]
    pub root: PathBuf,
}

/// schema.graphql without the directives of modes that the API will not have.
pub fn schema(options: &SchemaOptions) -> Result<String, Fault> {
    let deployment = Deployment::at("https://api.example.com", options.parameters.iter().cloned().collect());
    let api = deployed(&options.root, &without_web_acl(template(&options.root)?), &deployment)?.api;
    with_modes(&api.schema, &api.modes).map_err(|fault| Fault::new(fault.to_string()))
}

/// A laptop has none, and a schema is the same behind one.
fn without_web_acl(mut template: Value) -> Value {
    let is_of_web_acl =
        |resource: &Value| resource["Type"].as_str().is_some_and(|kind| kind.starts_with("AWS::WAFv2::"));
    if let Some(resources) = template["Resources"].as_object_mut() {
        resources.retain(|_, resource| !is_of_web_acl(resource));
    }
    template
}
