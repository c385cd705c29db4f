//! Executes a prepared operation: the roots of a query side by side, those of a mutation in order.
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use apollo_compiler::{
    Name, Node,
    ast::{OperationType, Type},
    executable::Field,
    schema::{ExtendedType, FieldDefinition, ObjectType},
};
use futures::future::{BoxFuture, join_all};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    completed::{Completed, Member},
    errors::{Detail, GraphqlError, Location, Segment, written},
    fields::Resolving,
    scalars,
    selection::Reading,
};

/// AppSync's limit on the resolvers one request may run.
pub const RESOLVERS_PER_REQUEST: usize = 10_000;

/// One execution of one operation.
pub struct Execution<'a> {
    pub reading: Reading<'a>,
    pub resolving: Resolving<'a>,
    pub deadline: Instant,
    errors: Mutex<Vec<GraphqlError>>,
    resolved: AtomicUsize,
}

/// A value that may not be null is null: its parent becomes null.
#[derive(Debug)]
pub struct Bubble;

/// The way to a value, from the inside out.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Field(&'a Name),
    Index(usize),
}

/// A field to be resolved, with every selection of it.
pub struct Site<'a> {
    pub parent_type: &'a ObjectType,
    pub definition: &'a FieldDefinition,
    pub fields: &'a [&'a Node<Field>],
    pub field: &'a Node<Field>,
    pub path: Path<'a>,
}

impl<'a> Execution<'a> {
    pub fn new(reading: Reading<'a>, resolving: Resolving<'a>, deadline: Instant) -> Self {
        Self { reading, resolving, deadline, errors: Mutex::default(), resolved: AtomicUsize::new(0) }
    }

    /// The response's `data`; its errors are in `into_errors`.
    pub async fn root(
        &self,
        kind: OperationType,
        set: &apollo_compiler::executable::SelectionSet,
        root: &Value,
    ) -> Completed {
        let Some(root_type) = self.reading.schema.root(kind) else { return Completed::Null };
        let gathered = self.reading.gather(root_type, [set]);
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

    pub fn into_errors(self) -> Vec<GraphqlError> {
        self.errors.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn report(&self, error: GraphqlError) {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).push(error);
    }

    /// Counts a resolver that is about to run; false when the request has run too many.
    pub fn may_resolve(&self) -> bool {
        self.resolved.fetch_add(1, Ordering::Relaxed) < RESOLVERS_PER_REQUEST
    }

    /// Waits no longer than the request has time; running out of it is one more error.
    pub async fn within_time<T>(
        &self,
        site: &Site<'_>,
        work: impl Future<Output = Result<T, Bubble>>,
    ) -> Result<T, Bubble> {
        timeout_at(self.deadline, work).await.unwrap_or_else(|_| {
            self.report_at(site, "ExecutionTimeout", "Execution timed out.".to_owned());
            Err(Bubble)
        })
    }

    pub fn report_at(&self, site: &Site<'_>, error_type: &str, sentence: String) {
        let (path, location) = (site.path.segments(), self.location(site.field));
        self.report(GraphqlError::of_field(sentence, Detail::of_type(error_type), path, location));
    }

    async fn root_field(
        &self,
        root_type: &ObjectType,
        key: &Name,
        fields: &[&Node<Field>],
        root: &Value,
    ) -> Option<Result<Member, Bubble>> {
        let path = Path::root(key);
        let finished = timeout_at(self.deadline, self.member(root_type, key, fields, root, path)).await;
        let member = finished.unwrap_or_else(|_| {
            let field = *fields.first()?;
            self.report(GraphqlError::of_field(
                "Execution timed out.",
                Detail::of_type("ExecutionTimeout"),
                path.segments(),
                self.location(field),
            ));
            let value = if field.ty().is_non_null() { Err(Bubble) } else { Ok(Completed::Null) };
            Some(value.map(|value| Member { key: key.clone(), field: field.name.clone(), value }))
        })?;
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
                match self.resolving.resolve(self, &site, parent).await {
                    Ok(value) => self.complete(&definition.ty, &site, &value, path).await,
                    Err(Bubble) if definition.ty.is_non_null() => Err(Bubble),
                    Err(Bubble) => Ok(Completed::Null),
                }
            }
        };
        Some(value.map(|value| Member { key: key.clone(), field: field.name.clone(), value }))
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
                    let items = items.iter().enumerate().map(|(index, value)| async move {
                        let path = Path { parent: Some(&path), step: Step::Index(index) };
                        self.complete(item, site, value, path).await
                    });
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
        match self.reading.schema.type_named(name) {
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
        let gathered = self.reading.gather(object_type, site.fields.iter().map(|field| &field.selection_set));
        let members = gathered.iter().map(|(key, fields)| {
            let path = &path;
            async move {
                let path = Path { parent: Some(path), step: Step::Field(key) };
                self.member(object_type, key, fields, value, path).await
            }
        });
        let members = join_all(members).await.into_iter().flatten().collect::<Result<_, Bubble>>()?;
        Ok(Completed::Object { type_name: object_type.name.clone(), members })
    }

    /// The type itself, or for a union or an interface the one the value names in `__typename`.
    fn object_type(&self, name: &Name, value: &Value) -> Option<&'a ObjectType> {
        let definitions = &self.reading.schema.definitions;
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
                self.report(GraphqlError::of_value(
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
        self.report(GraphqlError::of_value(sentence, path));
        Bubble
    }

    fn undetermined(&self, name: &Name, site: &Site<'_>, path: Path<'_>) -> Bubble {
        let field = format!("{}.{}", site.parent_type.name, site.field.name);
        let sentence = format!("Abstract type '{name}' must resolve to an Object type at runtime for field '{field}'.");
        let sentence = format!("{sentence} Could not determine the exact type of '{name}'");
        self.report(GraphqlError::of_value(sentence, path.segments()));
        Bubble
    }

    fn unserializable(&self, reason: &str, path: Path<'_>) -> Bubble {
        let path = path.segments();
        let place = written(&path);
        self.report(GraphqlError::of_value(format!("Can't serialize value ({place}) : {reason}"), path));
        Bubble
    }

    pub fn location(&self, field: &Node<Field>) -> Option<Location> {
        Location::of(field.location(), &self.reading.document.sources)
    }
}

impl<'a> Path<'a> {
    pub fn root(key: &'a Name) -> Self {
        Self { parent: None, step: Step::Field(key) }
    }

    pub fn segments(&self) -> Vec<Segment> {
        let mut segments = self.parent.map_or_else(Vec::new, Path::segments);
        segments.push(match self.step {
            Step::Field(name) => Segment::Field(name.to_string()),
            Step::Index(index) => Segment::Index(index),
        });
        segments
    }
}
