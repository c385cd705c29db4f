//! Coercion of variables and arguments to the input types of the schema.
use apollo_compiler::{
    Node,
    ast::{Type, Value as Literal},
    executable::{Field, Operation},
    schema::{ExtendedType, FieldDefinition, InputObjectType},
};
use serde_json::{Map, Value};

use super::{Schema, scalars};

pub type JsonObject = Map<String, Value>;

/// The reason why a value cannot be coerced to its type.
#[derive(Debug, PartialEq, Eq)]
pub enum CoercionError {
    /// The value is null or missing, and the type is non-null.
    Null {
        expected: String,
    },
    /// The value has a member that the input type does not have.
    UndefinedMember {
        input_type: String,
    },
    Invalid {
        value: String,
        expected: String,
    },
}

/// Coerces the request's variables to their declared types and adds defaults. The error is AppSync's message.
pub fn coerce_variables(schema: &Schema, operation: &Operation, given: &JsonObject) -> Result<JsonObject, String> {
    let mut variables = JsonObject::new();
    for definition in &operation.variables {
        let name = definition.name.as_str();
        let default = || definition.default_value.as_deref().map(|literal| to_json(literal, &JsonObject::new()));
        let value = given.get(name).cloned().or_else(|| default().flatten());
        if value.is_none() && !definition.ty.is_non_null() {
            continue;
        }
        let value = value.unwrap_or_default();
        coerce(schema, &definition.ty, &value).map_err(|error| error.variable_message(name))?;
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

/// Coerces the arguments of a field to the values that its resolver sees. An argument that the client left
/// out, and that has no default, stays absent. The error comes with the name of the argument.
pub fn coerce_arguments(
    schema: &Schema,
    definition: &FieldDefinition,
    field: &Field,
    variables: &JsonObject,
) -> Result<JsonObject, (String, CoercionError)> {
    let mut arguments = JsonObject::new();
    for argument in &definition.arguments {
        let name = argument.name.as_str();
        let given = field.arguments.iter().find(|given| given.name == argument.name);
        let given = given.and_then(|given| to_json(&given.value, variables));
        let default = || argument.default_value.as_deref().and_then(|literal| to_json(literal, variables));
        let Some(value) = given.or_else(default) else {
            continue;
        };
        let value = coerce(schema, &argument.ty, &value).map_err(|error| (name.to_owned(), error))?;
        arguments.insert(name.to_owned(), value);
    }
    Ok(arguments)
}

/// Converts a literal to JSON. Returns `None` for a variable without a value.
fn to_json(literal: &Literal, variables: &JsonObject) -> Option<Value> {
    Some(match literal {
        Literal::Null => Value::Null,
        Literal::Enum(name) => name.as_str().into(),
        Literal::Variable(name) => variables.get(name.as_str())?.clone(),
        Literal::String(text) => text.as_str().into(),
        Literal::Boolean(boolean) => (*boolean).into(),
        Literal::Int(number) => number.as_str().parse().ok().map(Value::Number)?,
        Literal::Float(number) => number.as_str().parse().ok().map(Value::Number)?,
        Literal::List(items) => items.iter().map(|item| to_json(item, variables).unwrap_or_default()).collect(),
        Literal::Object(members) => {
            members.iter().filter_map(|(name, member)| Some((name.to_string(), to_json(member, variables)?))).collect()
        }
    })
}

fn coerce(schema: &Schema, expected: &Type, value: &Value) -> Result<Value, CoercionError> {
    if value.is_null() {
        if expected.is_non_null() {
            return Err(CoercionError::Null { expected: expected.to_string() });
        }
        return Ok(Value::Null);
    }
    match expected {
        Type::List(item_type) | Type::NonNullList(item_type) => {
            let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            items.iter().map(|item| coerce(schema, item_type, item)).collect()
        }
        Type::Named(name) | Type::NonNullNamed(name) => coerce_named(schema, name, value),
    }
}

fn coerce_named(schema: &Schema, type_name: &str, value: &Value) -> Result<Value, CoercionError> {
    let coerced = match schema.type_named(type_name) {
        Some(ExtendedType::Scalar(_)) => scalars::parse_input(type_name, value),
        Some(ExtendedType::Enum(enum_type)) => {
            value.as_str().filter(|name| enum_type.values.contains_key(*name)).map(Value::from)
        }
        Some(ExtendedType::InputObject(input_type)) => match value.as_object() {
            Some(members) => return coerce_members(schema, input_type, members),
            None => None,
        },
        _ => None,
    };
    coerced.ok_or_else(|| CoercionError::Invalid { value: value.to_string(), expected: type_name.to_owned() })
}

fn coerce_members(
    schema: &Schema,
    input_type: &Node<InputObjectType>,
    members: &JsonObject,
) -> Result<Value, CoercionError> {
    if members.keys().any(|name| !input_type.fields.contains_key(name.as_str())) {
        return Err(CoercionError::UndefinedMember { input_type: input_type.name.to_string() });
    }
    let mut coerced = JsonObject::new();
    for (name, definition) in &input_type.fields {
        let default = || definition.default_value.as_deref().and_then(|literal| to_json(literal, &JsonObject::new()));
        let given = members.get(name.as_str()).cloned().or_else(default);
        if given.is_none() && !definition.ty.is_non_null() {
            continue;
        }
        coerced.insert(name.to_string(), coerce(schema, &definition.ty, &given.unwrap_or_default())?);
    }
    Ok(Value::Object(coerced))
}

impl CoercionError {
    /// AppSync's message about a variable.
    fn variable_message(&self, name: &str) -> String {
        match self {
            CoercionError::Null { expected } => {
                format!("Variable '{name}' has coerced Null value for NonNull type '{expected}'")
            }
            CoercionError::UndefinedMember { input_type } => {
                format!(
                    "The variables input contains a field that is not defined for input object type '{input_type}' "
                )
            }
            CoercionError::Invalid { .. } => format!("Variable '{name}' has an invalid value."),
        }
    }

    /// The message about an argument of the document.
    pub fn argument_message(&self, argument: &str) -> String {
        match self {
            CoercionError::Null { expected } => {
                format!("argument '{argument}' is null, but its type is '{expected}'")
            }
            CoercionError::UndefinedMember { input_type } => {
                format!(
                    "argument '{argument}' contains a field that is not defined for input object type '{input_type}'"
                )
            }
            CoercionError::Invalid { value, expected } => {
                format!("argument '{argument}' with value '{value}' is not a valid '{expected}'")
            }
        }
    }
}
