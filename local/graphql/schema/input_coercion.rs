//! Coercion of variables and arguments to the input types of the schema.
use apollo_compiler::{
    Node,
    ast::{Type, Value as Literal},
    executable::{Field, Operation, VariableDefinition},
    schema::{ExtendedType, FieldDefinition, InputObjectType},
};
use serde_json::{Map, Value};

use super::{Schema, scalars};
use crate::json_input::{InputObject, JsonInput};

pub type JsonObject = Map<String, Value>;

/// The reason why a value cannot be coerced to its type.
#[derive(Debug, PartialEq, Eq)]
pub enum CoercionError {
    /// The value is null or missing, and the type is non-null.
    Null { expected: String },
    /// The value has a member that the input type does not have.
    UndefinedMember { input_type: String },
    Invalid {
        /// The innermost member of an input object that holds the value.
        member: Option<String>,
        reason: String,
    },
}

/// A variable that does not fit its declared type.
pub struct VariableError<'a> {
    pub definition: &'a Node<VariableDefinition>,
    error: CoercionError,
}

/// Checks the request's variables against their declared types and adds defaults.
///
/// The values are not coerced, because an argument coerces the value of its variable. A variable that the
/// client did not send, and that has no default, is absent.
pub fn check_variables<'a>(
    schema: &Schema,
    operation: &'a Operation,
    given: &InputObject,
) -> Result<InputObject, VariableError<'a>> {
    let mut variables = InputObject::default();
    for definition in &operation.variables {
        let name = definition.name.as_str();
        let default = || to_input(definition.default_value.as_deref()?, &InputObject::default());
        let value = given.get(name).cloned().or_else(default);
        if value.is_none() && !definition.ty.is_non_null() {
            continue;
        }
        let value = value.unwrap_or(JsonInput::Null);
        coerce(schema, &definition.ty, &value).map_err(|error| VariableError { definition, error })?;
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

/// Coerces the arguments of a field to the values that its resolver sees. The error comes with the name of
/// the argument.
///
/// An argument that the document leaves out, and that has no default, stays absent. An argument whose
/// variable the client did not send is an explicit null.
pub fn coerce_arguments(
    schema: &Schema,
    definition: &FieldDefinition,
    field: &Field,
    variables: &InputObject,
) -> Result<JsonObject, (String, CoercionError)> {
    let mut arguments = JsonObject::new();
    for argument in &definition.arguments {
        let name = argument.name.as_str();
        let literal = field.arguments.iter().find(|given| given.name == argument.name).map(|given| &given.value);
        let given = literal.and_then(|literal| to_input(literal, variables));
        let default = || to_input(argument.default_value.as_deref()?, variables);
        let unsent = literal.map(|_| JsonInput::Null);
        let Some(value) = given.or_else(default).or(unsent) else {
            continue;
        };
        let value = coerce(schema, &argument.ty, &value).map_err(|error| (name.to_owned(), error))?;
        arguments.insert(name.to_owned(), value);
    }
    Ok(arguments)
}

/// Returns `None` for a variable without a value.
fn to_input(literal: &Literal, variables: &InputObject) -> Option<JsonInput> {
    Some(match literal {
        Literal::Null => JsonInput::Null,
        Literal::Enum(name) => JsonInput::Text(name.to_string()),
        Literal::Variable(name) => variables.get(name.as_str())?.clone(),
        Literal::String(text) => JsonInput::Text(text.clone()),
        Literal::Boolean(boolean) => JsonInput::Boolean(*boolean),
        Literal::Int(number) => JsonInput::from_number_text(number.as_str()),
        Literal::Float(number) => JsonInput::from_number_text(number.as_str()),
        Literal::List(items) => {
            JsonInput::List(items.iter().map(|item| to_input(item, variables).unwrap_or(JsonInput::Null)).collect())
        }
        Literal::Object(members) => {
            let members = members.iter();
            let members = members.filter_map(|(name, member)| Some((name.to_string(), to_input(member, variables)?)));
            JsonInput::Object(members.collect())
        }
    })
}

fn coerce(schema: &Schema, expected: &Type, value: &JsonInput) -> Result<Value, CoercionError> {
    if *value == JsonInput::Null {
        if expected.is_non_null() {
            return Err(CoercionError::Null { expected: expected.to_string() });
        }
        return Ok(Value::Null);
    }
    match (expected, value) {
        (Type::List(item_type) | Type::NonNullList(item_type), JsonInput::List(items)) => {
            items.iter().map(|item| coerce(schema, item_type, item)).collect()
        }
        (Type::List(item_type) | Type::NonNullList(item_type), item) => {
            coerce(schema, item_type, item).map(|item| Value::Array(vec![item]))
        }
        (Type::Named(name) | Type::NonNullNamed(name), value) => coerce_named(schema, name, value),
    }
}

fn coerce_named(schema: &Schema, type_name: &str, value: &JsonInput) -> Result<Value, CoercionError> {
    let coerced = match schema.type_named(type_name) {
        Some(ExtendedType::InputObject(input_type)) => match value {
            JsonInput::Object(members) => return coerce_members(schema, input_type, members),
            other => Err(format!(
                "Expected type 'Map' but was '{}'. Variables for input objects must be an instance of type 'Map'.",
                other.java_class()
            )),
        },
        Some(ExtendedType::Enum(enum_type)) => match value.as_text() {
            Some(name) if enum_type.values.contains_key(name) => Ok(name.into()),
            _ => {
                let name = value.java_text();
                Err(format!("Invalid input for Enum '{type_name}'. No value found for name '{name}'"))
            }
        },
        _ => scalars::parse_input(type_name, value),
    };
    coerced.map_err(|reason| CoercionError::Invalid { member: None, reason })
}

fn coerce_members(
    schema: &Schema,
    input_type: &Node<InputObjectType>,
    members: &InputObject,
) -> Result<Value, CoercionError> {
    if members.keys().any(|name| !input_type.fields.contains_key(name.as_str())) {
        return Err(CoercionError::UndefinedMember { input_type: input_type.name.to_string() });
    }
    let mut coerced = JsonObject::new();
    for (name, definition) in &input_type.fields {
        let default = || to_input(definition.default_value.as_deref()?, &InputObject::default());
        let given = members.get(name.as_str()).cloned().or_else(default);
        if given.is_none() && !definition.ty.is_non_null() {
            continue;
        }
        let value = coerce(schema, &definition.ty, &given.unwrap_or(JsonInput::Null));
        coerced.insert(name.to_string(), value.map_err(|error| error.in_member(name))?);
    }
    Ok(Value::Object(coerced))
}

impl VariableError<'_> {
    /// AppSync's message.
    pub fn message(&self) -> String {
        let name = &self.definition.name;
        match &self.error {
            CoercionError::Null { expected } => {
                format!("Variable '{name}' has coerced Null value for NonNull type '{expected}'")
            }
            CoercionError::UndefinedMember { input_type } => {
                format!(
                    "The variables input contains a field that is not defined for input object type '{input_type}' "
                )
            }
            CoercionError::Invalid { member, reason } => {
                format!("Variable '{}' has an invalid value. {reason}", member.as_deref().unwrap_or(name))
            }
        }
    }
}

impl CoercionError {
    /// AppSync names the innermost member.
    fn in_member(self, name: &str) -> Self {
        match self {
            CoercionError::Invalid { member: None, reason } => {
                CoercionError::Invalid { member: Some(name.to_owned()), reason }
            }
            other => other,
        }
    }

    /// The message about an argument whose variables do not fit.
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
            CoercionError::Invalid { reason, .. } => format!("argument '{argument}' has an invalid value. {reason}"),
        }
    }
}
