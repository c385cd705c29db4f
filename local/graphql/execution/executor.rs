//! Executes a prepared operation: the root fields of a query concurrently, those of a mutation in order.
use apollo_compiler::{
    Name, Node,
    ast::{OperationType, Type},
    executable::{Field, SelectionSet},
    schema::{ExtendedType, ObjectType},
};
use futures::future::{BoxFuture, join_all};
use serde_json::Value;

use super::{
    field_context::{FieldContext, NullPropagation, ResponsePath},
    field_resolver::FieldResolver,
    response_value::{Member, ResponseValue},
    state::ExecutionState,
};
use crate::graphql::{
    graphql_error::{GraphqlError, format_path},
    schema::scalars,
};

/// One execution of one operation.
pub struct Executor<'a> {
    pub state: ExecutionState<'a>,
    pub resolver: FieldResolver<'a>,
}

impl<'a> Executor<'a> {
    /// Returns the response's `data`. The errors are in `state`.
    pub async fn execute(&self, kind: OperationType, set: &SelectionSet, root: &Value) -> ResponseValue {
        let Some(root_type) = self.state.selections.schema.root_type(kind) else { return ResponseValue::Null };
        let collected = self.state.selections.collect_fields(root_type, [set]);
        let mut members = Vec::with_capacity(collected.len());
        let root_fields = collected.iter().map(|(key, fields)| self.root_field(root_type, key, fields, root));
        if kind == OperationType::Mutation {
            for field in root_fields {
                members.push(field.await);
            }
        } else {
            members = join_all(root_fields).await;
        }
        match members.into_iter().flatten().collect::<Result<_, NullPropagation>>() {
            Ok(members) => ResponseValue::Object { type_name: root_type.name.clone(), members },
            Err(NullPropagation) => ResponseValue::Null,
        }
    }

    async fn root_field(
        &self,
        root_type: &ObjectType,
        key: &Name,
        fields: &[&Node<Field>],
        root: &Value,
    ) -> Option<Result<Member, NullPropagation>> {
        let member = self.member(root_type, key, fields, root, ResponsePath::root(key)).await?;
        if let Ok(member) = &member
            && let Some(field) = fields.first()
        {
            self.resolver.publish_to_subscribers(root_type, field, &member.value);
        }
        Some(member)
    }

    /// Resolves and completes a field. Returns `None` for a field that the type does not have, which
    /// validation has ruled out.
    async fn member(
        &self,
        parent_type: &ObjectType,
        key: &Name,
        fields: &[&Node<Field>],
        parent: &Value,
        path: ResponsePath<'_>,
    ) -> Option<Result<Member, NullPropagation>> {
        let field = *fields.first()?;
        let value = match field.name.as_str() {
            "__typename" => Ok(ResponseValue::Leaf(parent_type.name.as_str().into())),
            "__schema" | "__type" => Ok(ResponseValue::Leaf(self.resolver.introspection_result(key))),
            name => {
                let definition = parent_type.fields.get(name)?;
                let context = FieldContext { parent_type, definition, fields, field, path };
                match self.resolver.resolve(&self.state, &context, parent).await {
                    Ok(value) => self.complete(&definition.ty, &context, &value, path).await,
                    Err(NullPropagation) if definition.ty.is_non_null() => Err(NullPropagation),
                    Err(NullPropagation) => Ok(ResponseValue::Null),
                }
            }
        };
        let member = value.map(|value| Member { key: key.clone(), value });
        Some(member.and_then(|member| self.within_size_limit(member)))
    }

    /// Returns the member unless the response has become too large.
    fn within_size_limit(&self, member: Member) -> Result<Member, NullPropagation> {
        let text_bytes = member.key.len() + member.value.text_bytes();
        if self.state.budget.try_add_response_entry(text_bytes) { Ok(member) } else { Err(NullPropagation) }
    }

    /// Completes a resolved value: coerces it to its type and executes its selections.
    fn complete<'s>(
        &'s self,
        expected: &'s Type,
        context: &'s FieldContext<'s>,
        value: &'s Value,
        path: ResponsePath<'s>,
    ) -> BoxFuture<'s, Result<ResponseValue, NullPropagation>> {
        Box::pin(async move {
            let completed = match (expected, value) {
                (_, Value::Null) => Ok(ResponseValue::Null),
                (Type::List(item_type) | Type::NonNullList(item_type), Value::Array(items)) => {
                    let items = items.iter().enumerate().map(|(index, value)| async move {
                        self.complete(item_type, context, value, path.item(index)).await
                    });
                    join_all(items).await.into_iter().collect::<Result<_, _>>().map(ResponseValue::List)
                }
                (Type::List(_) | Type::NonNullList(_), other) => Err(self.report_type_mismatch("LIST", other, path)),
                (Type::Named(name) | Type::NonNullNamed(name), value) => {
                    self.complete_named(name, context, value, path).await
                }
            };
            self.apply_nullability(completed, expected, context, path)
        })
    }

    async fn complete_named(
        &self,
        type_name: &Name,
        context: &FieldContext<'_>,
        value: &Value,
        path: ResponsePath<'_>,
    ) -> Result<ResponseValue, NullPropagation> {
        match self.state.selections.schema.type_named(type_name) {
            Some(ExtendedType::Scalar(_)) => {
                let serialized = scalars::serialize_result(type_name, value);
                serialized.map(ResponseValue::Leaf).map_err(|reason| self.report_unserializable(&reason, path))
            }
            Some(ExtendedType::Enum(enum_type)) => match value.as_str() {
                Some(text) if enum_type.values.contains_key(text) => Ok(ResponseValue::Leaf(value.clone())),
                _ => {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    let reason = format!("Invalid input for Enum '{type_name}'. Unknown value '{text}'");
                    Err(self.report_unserializable(&reason, path))
                }
            },
            _ if !value.is_object() => Err(self.report_type_mismatch("OBJECT", value, path)),
            _ => match self.object_type(type_name, value) {
                Some(object_type) => self.complete_object(object_type, context, value, path).await,
                None => Err(self.report_unknown_object_type(type_name, context, path)),
            },
        }
    }

    async fn complete_object(
        &self,
        object_type: &ObjectType,
        context: &FieldContext<'_>,
        value: &Value,
        path: ResponsePath<'_>,
    ) -> Result<ResponseValue, NullPropagation> {
        let sets = context.fields.iter().map(|field| &field.selection_set);
        let collected = self.state.selections.collect_fields(object_type, sets);
        let members = collected.iter().map(|(key, fields)| {
            let path = &path;
            async move { self.member(object_type, key, fields, value, path.field(key)).await }
        });
        let members = join_all(members).await.into_iter().flatten().collect::<Result<_, NullPropagation>>()?;
        Ok(ResponseValue::Object { type_name: object_type.name.clone(), members })
    }

    /// The object type of a value: the named type, or for a union or an interface the value's `__typename`.
    fn object_type(&self, type_name: &Name, value: &Value) -> Option<&'a ObjectType> {
        let definitions = &self.state.selections.schema.definitions;
        if let Some(object_type) = definitions.get_object(type_name) {
            return Some(object_type);
        }
        let object_type = definitions.get_object(value.get("__typename")?.as_str()?)?;
        definitions.is_subtype(type_name, &object_type.name).then_some(object_type)
    }

    /// Reports null for a non-null type, and turns an error into null for a nullable type.
    fn apply_nullability(
        &self,
        completed: Result<ResponseValue, NullPropagation>,
        expected: &Type,
        context: &FieldContext<'_>,
        path: ResponsePath<'_>,
    ) -> Result<ResponseValue, NullPropagation> {
        match completed {
            Ok(ResponseValue::Null) if expected.is_non_null() => {
                let (parent, path) = (&context.parent_type.name, path.segments());
                let nullable = expected.clone().nullable();
                let position = format_path(&path);
                self.state.report(GraphqlError::value_error(
                    format!(
                        "Cannot return null for non-nullable type: '{nullable}' within parent '{parent}' ({position})"
                    ),
                    path,
                ));
                Err(NullPropagation)
            }
            Err(NullPropagation) if !expected.is_non_null() => Ok(ResponseValue::Null),
            other => other,
        }
    }

    fn report_type_mismatch(&self, expected: &str, value: &Value, path: ResponsePath<'_>) -> NullPropagation {
        let actual = match value {
            Value::Array(_) => "LIST",
            Value::Object(_) => "OBJECT",
            Value::String(_) => "STRING",
            Value::Bool(_) => "BOOLEAN",
            Value::Number(_) => "NUMBER",
            Value::Null => "NULL",
        };
        let path = path.segments();
        let position = format_path(&path);
        let message =
            format!("Can't resolve value ({position}) : type mismatch error, expected type {expected}, got {actual}");
        self.state.report(GraphqlError::value_error(message, path));
        NullPropagation
    }

    fn report_unknown_object_type(
        &self,
        type_name: &Name,
        context: &FieldContext<'_>,
        path: ResponsePath<'_>,
    ) -> NullPropagation {
        let field = format!("{}.{}", context.parent_type.name, context.field.name);
        let message = format!(
            "Abstract type '{type_name}' must resolve to an Object type at runtime for field '{field}'. \
             Could not determine the exact type of '{type_name}'"
        );
        self.state.report(GraphqlError::value_error(message, path.segments()));
        NullPropagation
    }

    fn report_unserializable(&self, reason: &str, path: ResponsePath<'_>) -> NullPropagation {
        let path = path.segments();
        let position = format_path(&path);
        self.state.report(GraphqlError::value_error(format!("Can't serialize value ({position}) : {reason}"), path));
        NullPropagation
    }
}
