//! The code and data source of each resolver, checked when the API is loaded.
use std::collections::HashMap;

use super::data_sources::BoundDataSource;
use crate::{
    graphql::{definition_error::ApiDefinitionError, schema::Schema},
    resolver,
    stack::{Api, Code, Resolver},
};

/// AppSync's limit on the functions of one pipeline.
const MAX_PIPELINE_FUNCTIONS: usize = 10;

/// A resolver with its functions and data sources.
pub enum BoundResolver {
    Unit(BoundFunction),
    Pipeline { code: Code, functions: Vec<BoundFunction> },
}

/// A function, or a unit resolver, with its data source.
pub struct BoundFunction {
    pub code: Code,
    pub data_source: BoundDataSource,
}

/// The resolvers by type name and field name.
pub struct ResolverBindings(HashMap<String, HashMap<String, BoundResolver>>);

impl ResolverBindings {
    pub fn load(api: &Api, schema: &Schema) -> Result<Self, ApiDefinitionError> {
        for function in api.functions.values() {
            check_code(&function.code)?;
        }
        let mut bindings = HashMap::<String, HashMap<String, BoundResolver>>::new();
        for ((type_name, field), resolver) in &api.resolvers {
            if schema.type_named(type_name).is_none() {
                return Err(ApiDefinitionError::new(format!(
                    "the resolver of {type_name}.{field} needs a type {type_name}, which schema.graphql does not have"
                )));
            }
            if schema.field(type_name, field).is_none() {
                return Err(ApiDefinitionError::new(format!(
                    "the resolver of {type_name}.{field} needs that field, which schema.graphql does not have"
                )));
            }
            let resolver = bind_resolver(api, resolver, &format!("the resolver of {type_name}.{field}"))?;
            bindings.entry(type_name.clone()).or_default().insert(field.clone(), resolver);
        }
        Ok(Self(bindings))
    }

    pub fn get(&self, type_name: &str, field: &str) -> Option<&BoundResolver> {
        self.0.get(type_name)?.get(field)
    }
}

/// `owner` names the resolver in error messages.
fn bind_resolver(api: &Api, resolver: &Resolver, owner: &str) -> Result<BoundResolver, ApiDefinitionError> {
    match resolver {
        Resolver::Unit { data_source, code } => {
            check_code(code)?;
            let data_source = bind_data_source(api, data_source, owner)?;
            Ok(BoundResolver::Unit(BoundFunction { code: code.clone(), data_source }))
        }
        Resolver::Pipeline { functions, code } => {
            if functions.len() > MAX_PIPELINE_FUNCTIONS {
                return Err(ApiDefinitionError::new(format!(
                    "{owner} calls {} functions; a pipeline may call at most {MAX_PIPELINE_FUNCTIONS}",
                    functions.len()
                )));
            }
            let functions = functions.iter().map(|name| bind_function(api, name, owner)).collect::<Result<_, _>>()?;
            check_code(code)?;
            Ok(BoundResolver::Pipeline { code: code.clone(), functions })
        }
    }
}

fn bind_function(api: &Api, name: &str, owner: &str) -> Result<BoundFunction, ApiDefinitionError> {
    let function = api.functions.get(name).ok_or_else(|| {
        ApiDefinitionError::new(format!("{owner} calls the function {name}, which the template does not have"))
    })?;
    let owner = format!("the function {}", function.name);
    let data_source = bind_data_source(api, &function.data_source, &owner)?;
    Ok(BoundFunction { code: function.code.clone(), data_source })
}

fn bind_data_source(api: &Api, name: &str, owner: &str) -> Result<BoundDataSource, ApiDefinitionError> {
    let data_source = api.data_sources.get(name).map(BoundDataSource::new);
    data_source.ok_or_else(|| {
        ApiDefinitionError::new(format!("{owner} uses the data source {name}, which the template does not have"))
    })
}

fn check_code(code: &Code) -> Result<(), ApiDefinitionError> {
    resolver::check(code).map_err(|error| ApiDefinitionError::new(error.to_string()))
}
