//! The schema for the modes that parameters switch on.
use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;

use super::{Deployment, Fault, load, parameter};
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
    let deployment = Deployment {
        parameters: options.parameters.iter().cloned().collect(),
        preferences: BTreeMap::new(),
        graphql_url: "https://api.example.com/graphql".into(),
        realtime_url: "wss://api.example.com/graphql/realtime".into(),
        api_key: "da2-none".into(),
    };
    let api = load(&options.root, &deployment)?.api;
    with_modes(&api.schema, &api.modes).map_err(|fault| Fault::new(fault.to_string()))
}
