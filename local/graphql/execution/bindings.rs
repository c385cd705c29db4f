//! Which code and data source answers which field. Everything the template says is checked before anything is served.
use std::collections::HashMap;

use crate::graphql::{Fault, execution::data_sources::Source, schema::Schema};
use crate::{
    resolver,
    stack::{Api, Code, Resolver},
};

/// AppSync's limit on the functions of one pipeline.
const PIPELINE_FUNCTIONS: usize = 10;

/// A resolver with its functions and data sources found.
pub enum Bound {
    Unit(Step),
    Pipeline { code: Code, steps: Vec<Step> },
}

pub struct Step {
    pub code: Code,
    pub source: Source,
}

/// By type, then by field.
pub struct Bindings(HashMap<String, HashMap<String, Bound>>);

impl Bindings {
    pub fn load(api: &Api, schema: &Schema) -> Result<Self, Fault> {
        for function in api.functions.values() {
            checked(&function.code)?;
        }
        let mut bindings = HashMap::<String, HashMap<String, Bound>>::new();
        for ((type_name, field), resolver) in &api.resolvers {
            if schema.type_named(type_name).is_none() {
                return Err(Fault::new(format!(
                    "the resolver of {type_name}.{field} needs a type {type_name}, which schema.graphql does not have"
                )));
            }
            if schema.field(type_name, field).is_none() {
                return Err(Fault::new(format!(
                    "the resolver of {type_name}.{field} needs that field, which schema.graphql does not have"
                )));
            }
            let bound = bind(api, resolver, &format!("the resolver of {type_name}.{field}"))?;
            bindings.entry(type_name.clone()).or_default().insert(field.clone(), bound);
        }
        Ok(Self(bindings))
    }

    pub fn of(&self, type_name: &str, field: &str) -> Option<&Bound> {
        self.0.get(type_name)?.get(field)
    }
}

fn bind(api: &Api, resolver: &Resolver, owner: &str) -> Result<Bound, Fault> {
    match resolver {
        Resolver::Unit { data_source, code } => {
            Ok(Bound::Unit(Step { code: checked(code)?, source: source(api, data_source, owner)? }))
        }
        Resolver::Pipeline { functions, code } => {
            if functions.len() > PIPELINE_FUNCTIONS {
                return Err(Fault::new(format!(
                    "{owner} calls {} functions; a pipeline may call at most {PIPELINE_FUNCTIONS}",
                    functions.len()
                )));
            }
            let steps = functions.iter().map(|function| step(api, function, owner)).collect::<Result<_, _>>()?;
            Ok(Bound::Pipeline { code: checked(code)?, steps })
        }
    }
}

fn step(api: &Api, function: &str, owner: &str) -> Result<Step, Fault> {
    let function = api.functions.get(function).ok_or_else(|| {
        Fault::new(format!("{owner} calls the function {function}, which the template does not have"))
    })?;
    let owner = format!("the function {}", function.name);
    Ok(Step { code: function.code.clone(), source: source(api, &function.data_source, &owner)? })
}

fn source(api: &Api, name: &str, owner: &str) -> Result<Source, Fault> {
    let source = api.data_sources.get(name).map(Source::of);
    source.ok_or_else(|| Fault::new(format!("{owner} uses the data source {name}, which the template does not have")))
}

fn checked(code: &Code) -> Result<Code, Fault> {
    resolver::check(code).map_err(|fault| Fault::new(fault.to_string()))?;
    Ok(code.clone())
}
