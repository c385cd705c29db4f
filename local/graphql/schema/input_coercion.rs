//! What a client sends, fitted to the schema: variables and arguments.
use apollo_compiler::{
    Node,
    ast::{Type, Value as Literal},
    executable::{Field, Operation},
    schema::{ExtendedType, FieldDefinition, InputObjectType},
};
use serde_json::{Map, Value};

use crate::graphql::{schema::Schema, schema::scalars};

pub type Members = Map<String, Value>;

/// Why a value does not fit its type.
#[derive(Debug, PartialEq, Eq)]
pub enum Misfit {
    /// Null, or nothing, where the type forbids it.
    Null {
        expected: String,
    },
    /// A member the input type does not have.
    Undefined {
        input_type: String,
    },
    Invalid {
        shown: String,
        expected: String,
    },
}

/// The variables a resolver sees: the request's own, with defaults; each was found to fit.
pub fn variables(schema: &Schema, operation: &Operation, given: &Members) -> Result<Members, String> {
    let mut variables = Members::new();
    for definition in &operation.variables {
        let name = definition.name.as_str();
        let default = || definition.default_value.as_deref().map(|literal| plain(literal, &Members::new()));
        let value = given.get(name).cloned().or_else(|| default().flatten());
        if value.is_none() && !definition.ty.is_non_null() {
            continue;
        }
        let value = value.unwrap_or_default();
        fit(schema, &definition.ty, &value).map_err(|misfit| of_variable(name, &misfit))?;
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

/// The arguments of a field as its resolver sees them. What the client left out is left out.
pub fn arguments(
    schema: &Schema,
    definition: &FieldDefinition,
    field: &Field,
    variables: &Members,
) -> Result<Members, (String, Misfit)> {
    let mut arguments = Members::new();
    for argument in &definition.arguments {
        let name = argument.name.as_str();
        let given = field.arguments.iter().find(|given| given.name == argument.name);
        let given = given.and_then(|given| plain(&given.value, variables));
        let default = || argument.default_value.as_deref().and_then(|literal| plain(literal, variables));
        let Some(value) = given.or_else(default) else {
            continue;
        };
        let value = fit(schema, &argument.ty, &value).map_err(|misfit| (name.to_owned(), misfit))?;
        arguments.insert(name.to_owned(), value);
    }
    Ok(arguments)
}

/// A literal as JSON; nothing when it is a variable that was not given.
fn plain(literal: &Literal, variables: &Members) -> Option<Value> {
    Some(match literal {
        Literal::Null => Value::Null,
        Literal::Enum(name) => name.as_str().into(),
        Literal::Variable(name) => variables.get(name.as_str())?.clone(),
        Literal::String(text) => text.as_str().into(),
        Literal::Boolean(truth) => (*truth).into(),
        Literal::Int(number) => number.as_str().parse().ok().map(Value::Number)?,
        Literal::Float(number) => number.as_str().parse().ok().map(Value::Number)?,
        Literal::List(items) => items.iter().map(|item| plain(item, variables).unwrap_or_default()).collect(),
        Literal::Object(members) => {
            members.iter().filter_map(|(name, member)| Some((name.to_string(), plain(member, variables)?))).collect()
        }
    })
}

fn fit(schema: &Schema, expected: &Type, value: &Value) -> Result<Value, Misfit> {
    if value.is_null() {
        let fits = !expected.is_non_null();
        return if fits { Ok(Value::Null) } else { Err(Misfit::Null { expected: expected.to_string() }) };
    }
    match expected {
        Type::List(item) | Type::NonNullList(item) => {
            let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            items.iter().map(|value| fit(schema, item, value)).collect()
        }
        Type::Named(name) | Type::NonNullNamed(name) => fit_named(schema, name, value),
    }
}

fn fit_named(schema: &Schema, name: &str, value: &Value) -> Result<Value, Misfit> {
    let fitted = match schema.type_named(name) {
        Some(ExtendedType::Scalar(_)) => scalars::accept(name, value),
        Some(ExtendedType::Enum(names)) => {
            value.as_str().filter(|value| names.values.contains_key(*value)).map(Value::from)
        }
        Some(ExtendedType::InputObject(input)) => match value.as_object() {
            Some(members) => return fit_members(schema, input, members),
            None => None,
        },
        _ => None,
    };
    fitted.ok_or_else(|| Misfit::Invalid { shown: value.to_string(), expected: name.to_owned() })
}

fn fit_members(schema: &Schema, input: &Node<InputObjectType>, members: &Members) -> Result<Value, Misfit> {
    if members.keys().any(|name| !input.fields.contains_key(name.as_str())) {
        return Err(Misfit::Undefined { input_type: input.name.to_string() });
    }
    let mut fitted = Members::new();
    for (name, definition) in &input.fields {
        let default = || definition.default_value.as_deref().and_then(|literal| plain(literal, &Members::new()));
        let given = members.get(name.as_str()).cloned().or_else(default);
        if given.is_none() && !definition.ty.is_non_null() {
            continue;
        }
        fitted.insert(name.to_string(), fit(schema, &definition.ty, &given.unwrap_or_default())?);
    }
    Ok(Value::Object(fitted))
}

fn of_variable(name: &str, misfit: &Misfit) -> String {
    match misfit {
        Misfit::Null { expected } => format!("Variable '{name}' has coerced Null value for NonNull type '{expected}'"),
        Misfit::Undefined { input_type } => {
            format!("The variables input contains a field that is not defined for input object type '{input_type}' ")
        }
        Misfit::Invalid { .. } => format!("Variable '{name}' has an invalid value."),
    }
}

impl Misfit {
    /// The sentence about an argument written into the document.
    pub fn of_argument(&self, argument: &str) -> String {
        match self {
            Misfit::Null { expected } => format!("argument '{argument}' is null, but its type is '{expected}'"),
            Misfit::Undefined { input_type } => {
                format!(
                    "argument '{argument}' contains a field that is not defined for input object type '{input_type}'"
                )
            }
            Misfit::Invalid { shown, expected } => {
                format!("argument '{argument}' with value '{shown}' is not a valid '{expected}'")
            }
        }
    }
}
