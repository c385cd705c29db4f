//! The context of a field that is being resolved: its selections, its definition, its path in the response.
use apollo_compiler::{
    Name, Node,
    executable::Field,
    schema::{FieldDefinition, ObjectType},
};

use crate::graphql::graphql_error::PathSegment;

/// A field to resolve. `fields` holds every selection with its response key; `field` is the first of them.
pub struct FieldContext<'a> {
    pub parent_type: &'a ObjectType,
    pub definition: &'a FieldDefinition,
    pub fields: &'a [&'a Node<Field>],
    pub field: &'a Node<Field>,
    pub path: ResponsePath<'a>,
}

/// An error or a null value of a non-null type: the nearest nullable parent becomes null.
#[derive(Debug)]
pub struct NullPropagation;

/// The path from the response's root to a value, linked from the value to the root.
#[derive(Clone, Copy)]
pub struct ResponsePath<'a> {
    parent: Option<&'a ResponsePath<'a>>,
    segment: Segment<'a>,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Field(&'a Name),
    Index(usize),
}

impl<'a> ResponsePath<'a> {
    pub fn root(key: &'a Name) -> Self {
        Self { parent: None, segment: Segment::Field(key) }
    }

    pub fn field(&'a self, key: &'a Name) -> Self {
        Self { parent: Some(self), segment: Segment::Field(key) }
    }

    pub fn item(&'a self, index: usize) -> Self {
        Self { parent: Some(self), segment: Segment::Index(index) }
    }

    /// The number of fields on the path. An item of a list is as deep as the list.
    pub fn depth(&self) -> usize {
        let parent_depth = self.parent.map_or(0, ResponsePath::depth);
        parent_depth + usize::from(matches!(self.segment, Segment::Field(_)))
    }

    pub fn segments(&self) -> Vec<PathSegment> {
        let mut segments = self.parent.map_or_else(Vec::new, ResponsePath::segments);
        segments.push(match self.segment {
            Segment::Field(name) => PathSegment::Field(name.to_string()),
            Segment::Index(index) => PathSegment::Index(index),
        });
        segments
    }
}
