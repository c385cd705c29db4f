//! The API's schema, with the scalars and directives that AppSync adds to every schema.
pub mod auth_modes;
pub mod authorization;
pub mod input_coercion;
pub mod java_decimal;
pub mod scalars;

use std::collections::HashMap;

use apollo_compiler::{
    Name, Node, Schema as Definitions,
    ast::{OperationType, Value as Literal},
    collections::HashMap as Implementations,
    schema::{ExtendedType, FieldDefinition, Implementers, ObjectType},
    validation::{DiagnosticList, Valid},
};

use super::definition_error::ApiDefinitionError;

const PRELUDE: &str = include_str!("prelude.graphql");

/// A valid schema. Each mutation that `@aws_subscribe` names exists and returns the type that its
/// subscription returns.
pub struct Schema {
    pub definitions: Valid<Definitions>,
    pub implementers: Implementations<Name, Implementers>,
    /// The subscription fields that receive the result of each mutation field.
    subscriptions_by_mutation: HashMap<Name, Vec<Name>>,
}

impl Schema {
    pub fn load(text: &str) -> Result<Self, ApiDefinitionError> {
        let definitions = Definitions::builder()
            .parse(PRELUDE, "appsync.graphql")
            .parse(text, "schema.graphql")
            .build()
            .map_err(|invalid| invalid.errors)
            .and_then(|schema| schema.validate().map_err(|invalid| invalid.errors))
            .map_err(|errors| first_error(&errors))?;
        let subscriptions_by_mutation = link_subscriptions(&definitions)?;
        let implementers = definitions.implementers_map();
        Ok(Self { definitions, implementers, subscriptions_by_mutation })
    }

    pub fn root_type(&self, operation: OperationType) -> Option<&Node<ObjectType>> {
        self.definitions.get_object(self.definitions.root_operation(operation)?)
    }

    pub fn field(&self, type_name: &str, field_name: &str) -> Option<&FieldDefinition> {
        self.definitions.type_field(type_name, field_name).ok().map(|field| &***field)
    }

    pub fn type_named(&self, name: &str) -> Option<&ExtendedType> {
        self.definitions.types.get(name)
    }

    pub fn is_mutation_type(&self, root_type: &ObjectType) -> bool {
        self.definitions.root_operation(OperationType::Mutation) == Some(&root_type.name)
    }

    pub fn subscriptions_to(&self, mutation_field: &str) -> &[Name] {
        self.subscriptions_by_mutation.get(mutation_field).map_or(&[], Vec::as_slice)
    }

    /// Whether the object type is the named type, implements it, or is a member of it.
    pub fn is_subtype(&self, object_type: &ObjectType, type_name: &str) -> bool {
        object_type.name == type_name || self.definitions.is_subtype(type_name, &object_type.name)
    }
}

fn first_error(errors: &DiagnosticList) -> ApiDefinitionError {
    let message = errors.iter().next().map(|diagnostic| {
        let line = diagnostic.line_column_range().map(|range| range.start.line);
        let position = line.map_or(String::new(), |line| format!(" at line {line}"));
        format!("{}{position}", diagnostic.error)
    });
    ApiDefinitionError::new(format!("schema.graphql is not a valid schema: {}", message.unwrap_or_default()))
}

fn link_subscriptions(definitions: &Definitions) -> Result<HashMap<Name, Vec<Name>>, ApiDefinitionError> {
    let mut links = HashMap::<Name, Vec<Name>>::new();
    let root_type = |operation| definitions.root_operation(operation).and_then(|name| definitions.get_object(name));
    let Some(subscriptions) = root_type(OperationType::Subscription) else { return Ok(links) };
    for (name, subscription) in &subscriptions.fields {
        for mutation in subscribed_mutations(subscription) {
            let field = root_type(OperationType::Mutation).and_then(|mutations| mutations.fields.get(mutation));
            let field = field.ok_or_else(|| {
                ApiDefinitionError::new(format!(
                    "Subscription.{name} subscribes to Mutation.{mutation}, which is not in schema.graphql"
                ))
            })?;
            if field.ty.inner_named_type() != subscription.ty.inner_named_type() {
                return Err(ApiDefinitionError::new(format!(
                    "Subscription.{name} returns {}, but Mutation.{mutation}, which it subscribes to, returns {}",
                    subscription.ty, field.ty
                )));
            }
            links.entry(field.name.clone()).or_default().push(name.clone());
        }
    }
    Ok(links)
}

/// The mutations that the field's `@aws_subscribe` names.
fn subscribed_mutations(subscription: &FieldDefinition) -> impl Iterator<Item = &str> {
    let mutations = subscription
        .directives
        .get("aws_subscribe")
        .and_then(|directive| directive.specified_argument_by_name("mutations"))
        .map(|mutations| match &**mutations {
            Literal::List(names) => names.as_slice(),
            _ => std::slice::from_ref(mutations),
        });
    mutations.unwrap_or_default().iter().filter_map(|name| name.as_str())
}
