//! Executes a prepared operation: the roots of a query side by side, those of a mutation in order.
use apollo_compiler::{
    Name, Node,
    ast::{OperationType, Type},
    executable::{Field, SelectionSet},
    schema::{ExtendedType, ObjectType},
};
use futures::future::{BoxFuture, join_all};
use serde_json::Value;

use crate::graphql::{
    execution::budget::Ledger,
    execution::field_context::{Bubble, Path, Site},
    execution::field_resolution::Resolving,
    execution::response_value::{Completed, Member},
    graphql_error::{GraphqlError, written},
    schema::scalars,
};

/// One execution of one operation.
pub struct Execution<'a> {
    pub ledger: Ledger<'a>,
    pub resolving: Resolving<'a>,
}

impl<'a> Execution<'a> {
    /// The response's `data`; its errors are in the ledger.
    pub async fn root(&self, kind: OperationType, set: &SelectionSet, root: &Value) -> Completed {
        let Some(root_type) = self.ledger.reading.schema.root(kind) else { return Completed::Null };
        let gathered = self.ledger.reading.gather(root_type, [set]);
        let mut members = Vec::with_capacity(gathered.len());
        let roots = gathered.iter().map(|(key, fields)| self.root_field(root_type, key, fields, root));
        if kind == OperationType::Mutation {
            for field in roots {
                members.push(field.await);
            }
        } else {
            members = join_all(roots).await;
        }
        match members.into_iter().flatten().collect::<Result<_, Bubble>>() {
            Ok(members) => Completed::Object { type_name: root_type.name.clone(), members },
            Err(Bubble) => Completed::Null,
        }
    }

    async fn root_field(
        &self,
        root_type: &ObjectType,
        key: &Name,
        fields: &[&Node<Field>],
        root: &Value,
    ) -> Option<Result<Member, Bubble>> {
        let member = self.member(root_type, key, fields, root, Path::root(key)).await?;
        if let Ok(member) = &member
            && let Some(field) = fields.first()
        {
            self.resolving.announce(root_type, field, &member.value);
        }
        Some(member)
    }

    /// Nothing for a field the type does not have, which validation has ruled out.
    async fn member(
        &self,
        parent_type: &ObjectType,
        key: &Name,
        fields: &[&Node<Field>],
        parent: &Value,
        path: Path<'_>,
    ) -> Option<Result<Member, Bubble>> {
        let field = *fields.first()?;
        let value = match field.name.as_str() {
            "__typename" => Ok(Completed::Leaf(parent_type.name.as_str().into())),
            "__schema" | "__type" => Ok(Completed::Leaf(self.resolving.introspected(key))),
            name => {
                let definition = parent_type.fields.get(name)?;
                let site = Site { parent_type, definition, fields, field, path };
                match self.resolving.resolve(&self.ledger, &site, parent).await {
                    Ok(value) => self.complete(&definition.ty, &site, &value, path).await,
                    Err(Bubble) if definition.ty.is_non_null() => Err(Bubble),
                    Err(Bubble) => Ok(Completed::Null),
                }
            }
        };
        Some(value.and_then(|value| self.counted(Member { key: key.clone(), field: field.name.clone(), value })))
    }

    /// The member, unless the response has become too large.
    fn counted(&self, member: Member) -> Result<Member, Bubble> {
        let text_bytes = member.key.len() + member.value.text_bytes();
        if self.ledger.may_answer(text_bytes) { Ok(member) } else { Err(Bubble) }
    }

    fn complete<'s>(
        &'s self,
        expected: &'s Type,
        site: &'s Site<'s>,
        value: &'s Value,
        path: Path<'s>,
    ) -> BoxFuture<'s, Result<Completed, Bubble>> {
        Box::pin(async move {
            let completed = match (expected, value) {
                (_, Value::Null) => Ok(Completed::Null),
                (Type::List(item) | Type::NonNullList(item), Value::Array(items)) => {
                    let items = items
                        .iter()
                        .enumerate()
                        .map(|(index, value)| async move { self.complete(item, site, value, path.item(index)).await });
                    join_all(items).await.into_iter().collect::<Result<_, _>>().map(Completed::List)
                }
                (Type::List(_) | Type::NonNullList(_), other) => Err(self.mismatch("LIST", other, path)),
                (Type::Named(name) | Type::NonNullNamed(name), value) => {
                    self.complete_named(name, site, value, path).await
                }
            };
            self.nullify(completed, expected, site, path)
        })
    }

    async fn complete_named(
        &self,
        name: &Name,
        site: &Site<'_>,
        value: &Value,
        path: Path<'_>,
    ) -> Result<Completed, Bubble> {
        match self.ledger.reading.schema.type_named(name) {
            Some(ExtendedType::Scalar(_)) => {
                let presented = scalars::present(name, value);
                presented.map(Completed::Leaf).map_err(|reason| self.unserializable(&reason, path))
            }
            Some(ExtendedType::Enum(names)) => match value.as_str() {
                Some(text) if names.values.contains_key(text) => Ok(Completed::Leaf(value.clone())),
                _ => {
                    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    let reason = format!("Invalid input for Enum '{name}'. Unknown value '{shown}'");
                    Err(self.unserializable(&reason, path))
                }
            },
            _ if !value.is_object() => Err(self.mismatch("OBJECT", value, path)),
            _ => match self.object_type(name, value) {
                Some(object_type) => self.object(object_type, site, value, path).await,
                None => Err(self.undetermined(name, site, path)),
            },
        }
    }

    async fn object(
        &self,
        object_type: &ObjectType,
        site: &Site<'_>,
        value: &Value,
        path: Path<'_>,
    ) -> Result<Completed, Bubble> {
        let gathered = self.ledger.reading.gather(object_type, site.fields.iter().map(|field| &field.selection_set));
        let members = gathered.iter().map(|(key, fields)| {
            let path = &path;
            async move { self.member(object_type, key, fields, value, path.field(key)).await }
        });
        let members = join_all(members).await.into_iter().flatten().collect::<Result<_, Bubble>>()?;
        Ok(Completed::Object { type_name: object_type.name.clone(), members })
    }

    /// The type itself, or for a union or an interface the one the value names in `__typename`.
    fn object_type(&self, name: &Name, value: &Value) -> Option<&'a ObjectType> {
        let definitions = &self.ledger.reading.schema.definitions;
        if let Some(object_type) = definitions.get_object(name) {
            return Some(object_type);
        }
        let object_type = definitions.get_object(value.get("__typename")?.as_str()?)?;
        definitions.is_subtype(name, &object_type.name).then_some(object_type)
    }

    fn nullify(
        &self,
        completed: Result<Completed, Bubble>,
        expected: &Type,
        site: &Site<'_>,
        path: Path<'_>,
    ) -> Result<Completed, Bubble> {
        match completed {
            Ok(Completed::Null) if expected.is_non_null() => {
                let (parent, path) = (&site.parent_type.name, path.segments());
                let nullable = expected.clone().nullable();
                self.ledger.report(GraphqlError::of_value(
                    format!(
                        "Cannot return null for non-nullable type: '{nullable}' within parent '{parent}' ({})",
                        written(&path)
                    ),
                    path,
                ));
                Err(Bubble)
            }
            Err(Bubble) if !expected.is_non_null() => Ok(Completed::Null),
            other => other,
        }
    }

    fn mismatch(&self, expected: &str, got: &Value, path: Path<'_>) -> Bubble {
        let got = match got {
            Value::Array(_) => "LIST",
            Value::Object(_) => "OBJECT",
            Value::String(_) => "STRING",
            Value::Bool(_) => "BOOLEAN",
            Value::Number(_) => "NUMBER",
            Value::Null => "NULL",
        };
        let path = path.segments();
        let place = written(&path);
        let sentence =
            format!("Can't resolve value ({place}) : type mismatch error, expected type {expected}, got {got}");
        self.ledger.report(GraphqlError::of_value(sentence, path));
        Bubble
    }

    fn undetermined(&self, name: &Name, site: &Site<'_>, path: Path<'_>) -> Bubble {
        let field = format!("{}.{}", site.parent_type.name, site.field.name);
        let sentence = format!("Abstract type '{name}' must resolve to an Object type at runtime for field '{field}'.");
        let sentence = format!("{sentence} Could not determine the exact type of '{name}'");
        self.ledger.report(GraphqlError::of_value(sentence, path.segments()));
        Bubble
    }

    fn unserializable(&self, reason: &str, path: Path<'_>) -> Bubble {
        let path = path.segments();
        let place = written(&path);
        self.ledger.report(GraphqlError::of_value(format!("Can't serialize value ({place}) : {reason}"), path));
        Bubble
    }
}
