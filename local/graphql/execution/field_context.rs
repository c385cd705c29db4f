//! Where a value stands: in the query, in the schema, in the response.
use apollo_compiler::{
    Name, Node,
    executable::Field,
    schema::{FieldDefinition, ObjectType},
};

use crate::graphql::graphql_error::Segment;

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

impl<'a> Path<'a> {
    pub fn root(key: &'a Name) -> Self {
        Self { parent: None, step: Step::Field(key) }
    }

    pub fn field(&'a self, key: &'a Name) -> Self {
        Self { parent: Some(self), step: Step::Field(key) }
    }

    pub fn item(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    /// How many fields the way leads through; items of lists are on the level of their list.
    pub fn depth(&self) -> usize {
        let above = self.parent.map_or(0, Path::depth);
        above + usize::from(matches!(self.step, Step::Field(_)))
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
