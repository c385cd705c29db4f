//! Checks the literals of arguments against their types, with the messages of graphql-java's
//! `ArgumentsOfCorrectType`.
//!
//! Users report AppSync's messages in this form: `argument 'input.size' with value 'StringValue{value='x'}'
//! is not a valid 'Int'`.
use std::fmt;

use apollo_compiler::{
    Name, Node,
    ast::{Argument, Type, Value as Literal},
    schema::{ExtendedType, InputObjectType},
};

use crate::graphql::schema::{Schema, java_decimal::JavaDecimal, scalars};

/// The message about an argument whose literal does not fit its type; `None` if it fits. A variable fits.
pub fn mismatch_message(schema: &Schema, argument: &Argument, expected: &Type) -> Option<String> {
    let mismatch = check(schema, expected, &argument.value).err()?;
    let path: String = mismatch.path.iter().rev().map(String::as_str).collect();
    let value = mismatch.value.unwrap_or(&argument.value);
    Some(format!("argument '{}{path}' with value '{}' {}", argument.name, JavaValue(value), mismatch.reason))
}

struct Mismatch<'a> {
    /// The way from the argument to the value, innermost segment first: `.name` or `[0]`.
    path: Vec<String>,
    /// The value that does not fit; `None` stands for the whole argument.
    value: Option<&'a Literal>,
    reason: String,
}

impl<'a> Mismatch<'a> {
    fn of_value(value: &'a Literal, reason: String) -> Self {
        Self { path: Vec::new(), value: Some(value), reason }
    }

    fn of_argument(reason: String) -> Self {
        Self { path: Vec::new(), value: None, reason }
    }

    fn within(mut self, segment: String) -> Self {
        self.path.push(segment);
        self
    }
}

fn check<'a>(schema: &Schema, expected: &Type, literal: &'a Literal) -> Result<(), Mismatch<'a>> {
    match (expected, literal) {
        (_, Literal::Variable(_)) => Ok(()),
        (_, Literal::Null) if expected.is_non_null() => Err(Mismatch::of_value(literal, "must not be null".to_owned())),
        (_, Literal::Null) => Ok(()),
        (Type::List(item_type) | Type::NonNullList(item_type), Literal::List(items)) => {
            items.iter().enumerate().try_for_each(|(index, item)| {
                check(schema, item_type, item).map_err(|mismatch| mismatch.within(format!("[{index}]")))
            })
        }
        (Type::List(item_type) | Type::NonNullList(item_type), item) => check(schema, item_type, item),
        (Type::Named(name) | Type::NonNullNamed(name), literal) => check_named(schema, name, literal),
    }
}

fn check_named<'a>(schema: &Schema, type_name: &Name, literal: &'a Literal) -> Result<(), Mismatch<'a>> {
    let fits = match schema.type_named(type_name) {
        Some(ExtendedType::InputObject(input_type)) => return check_object(schema, input_type, literal),
        Some(ExtendedType::Enum(enum_type)) => {
            matches!(literal, Literal::Enum(value) if enum_type.values.contains_key(value))
        }
        _ => scalars::accepts_literal(type_name, literal),
    };
    if fits { Ok(()) } else { Err(Mismatch::of_value(literal, format!("is not a valid '{type_name}'"))) }
}

fn check_object<'a>(
    schema: &Schema,
    input_type: &Node<InputObjectType>,
    literal: &'a Literal,
) -> Result<(), Mismatch<'a>> {
    let Literal::Object(members) = literal else {
        return Err(Mismatch::of_argument("must be an object type".to_owned()));
    };
    let is_given = |name: &Name| members.iter().any(|(given, _)| given == name);
    let missing = input_type.fields.values().filter(|field| field.is_required() && !is_given(&field.name));
    let missing: Vec<_> = missing.map(|field| field.name.as_str()).collect();
    if !missing.is_empty() {
        return Err(Mismatch::of_argument(format!("is missing required fields '[{}]'", missing.join(", "))));
    }
    members.iter().try_for_each(|(name, member)| {
        let Some(field) = input_type.fields.get(name) else {
            let reason = format!("contains a field not in '{}': '{name}'", input_type.name);
            return Err(Mismatch::of_argument(reason));
        };
        check(schema, &field.ty, member).map_err(|mismatch| mismatch.within(format!(".{name}")))
    })
}

/// Formats a literal as graphql-java's classes do.
struct JavaValue<'a>(&'a Literal);

impl fmt::Display for JavaValue<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Literal::Null => formatter.write_str("NullValue{}"),
            Literal::Enum(name) => write!(formatter, "EnumValue{{name='{name}'}}"),
            Literal::Variable(name) => write!(formatter, "VariableReference{{name='{name}'}}"),
            Literal::String(text) => write!(formatter, "StringValue{{value='{text}'}}"),
            Literal::Boolean(boolean) => write!(formatter, "BooleanValue{{value={boolean}}}"),
            Literal::Int(number) => write!(formatter, "IntValue{{value={}}}", java_number(number.as_str())),
            Literal::Float(number) => write!(formatter, "FloatValue{{value={}}}", java_number(number.as_str())),
            Literal::List(items) => {
                formatter.write_str("ArrayValue{values=[")?;
                for (index, item) in items.iter().enumerate() {
                    formatter.write_str(if index > 0 { ", " } else { "" })?;
                    JavaValue(item).fmt(formatter)?;
                }
                formatter.write_str("]}")
            }
            Literal::Object(members) => {
                formatter.write_str("ObjectValue{objectFields=[")?;
                for (index, (name, member)) in members.iter().enumerate() {
                    formatter.write_str(if index > 0 { ", " } else { "" })?;
                    write!(formatter, "ObjectField{{name='{name}', value={}}}", JavaValue(member))?;
                }
                formatter.write_str("]}")
            }
        }
    }
}

fn java_number(text: &str) -> String {
    JavaDecimal::parse(text).map_or_else(|| text.to_owned(), |number| number.to_string())
}
