//! The selection below a field: gathered for execution, and described to resolvers as `ctx.info`.
use apollo_compiler::{
    ExecutableDocument, Name, Node,
    ast::{DirectiveList, Value as Literal},
    collections::{HashSet, IndexMap},
    executable::{Field, Selection, SelectionSet},
    schema::ObjectType,
};
use serde_json::{Value, json};

use crate::graphql::{schema::Schema, schema::input_coercion::Members};

/// Fields that answer under one key, in the order of the document.
pub type Gathered<'a> = IndexMap<&'a Name, Vec<&'a Node<Field>>>;

/// What selections are read with.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    pub schema: &'a Schema,
    pub document: &'a ExecutableDocument,
    pub variables: &'a Members,
    /// Whether private characters stand for halves of surrogate pairs.
    pub halves: bool,
}

impl<'a> Reading<'a> {
    /// The fields that apply to an object type, fragments resolved, skipped ones left out.
    pub fn gather(self, object_type: &ObjectType, sets: impl IntoIterator<Item = &'a SelectionSet>) -> Gathered<'a> {
        let applies = |condition: &Name| self.schema.is_a(object_type, condition);
        let mut gathered = Gathered::default();
        let mut seen = HashSet::default();
        for set in sets {
            self.gather_into(set, &applies, &mut seen, &mut |field| {
                gathered.entry(field.response_key()).or_default().push(field);
            });
        }
        gathered
    }

    fn gather_into(
        self,
        set: &'a SelectionSet,
        applies: &dyn Fn(&Name) -> bool,
        seen: &mut HashSet<&'a Name>,
        found: &mut dyn FnMut(&'a Node<Field>),
    ) {
        for selection in &set.selections {
            if self.is_skipped(selection.directives()) {
                continue;
            }
            match selection {
                Selection::Field(field) => found(field),
                Selection::InlineFragment(fragment) => {
                    if fragment.type_condition.as_ref().is_none_or(applies) {
                        self.gather_into(&fragment.selection_set, applies, seen, found);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = self.document.fragments.get(&spread.fragment_name);
                    if let Some(fragment) = fragment
                        && applies(fragment.type_condition())
                        && seen.insert(&spread.fragment_name)
                    {
                        self.gather_into(&fragment.selection_set, applies, seen, found);
                    }
                }
            }
        }
    }

    fn is_skipped(self, directives: &DirectiveList) -> bool {
        self.condition(directives, "skip") == Some(true) || self.condition(directives, "include") == Some(false)
    }

    fn condition(self, directives: &DirectiveList, name: &str) -> Option<bool> {
        match &**directives.get(name)?.specified_argument_by_name("if")? {
            Literal::Boolean(truth) => Some(*truth),
            Literal::Variable(name) => self.variables.get(name.as_str())?.as_bool(),
            _ => None,
        }
    }

    /// `ctx.info` of a field that is about to be resolved.
    pub fn info(self, parent_type: &str, fields: &[&'a Node<Field>]) -> Value {
        json!({
            "fieldName": fields.first().map(|field| field.name.as_str()),
            "parentTypeName": parent_type,
            "variables": self.variables,
            "selectionSetList": self.selection_list(fields),
            "selectionSetGraphQL": fields.first().map_or(String::new(), |field| written(&field.selection_set)),
        })
    }

    /// `id`, `author`, `author/name`: aliases instead of names, fragments resolved.
    fn selection_list(self, fields: &[&'a Node<Field>]) -> Vec<String> {
        let mut list = IndexMap::default();
        for field in fields {
            self.list_below(&field.selection_set, "", &mut HashSet::default(), &mut list);
        }
        list.into_keys().collect()
    }

    fn list_below(
        self,
        set: &'a SelectionSet,
        prefix: &str,
        seen: &mut HashSet<&'a Name>,
        list: &mut IndexMap<String, ()>,
    ) {
        let mut fields = Vec::new();
        self.gather_into(set, &|_| true, seen, &mut |field| fields.push(field));
        for field in fields {
            let path = format!("{prefix}{}", field.response_key());
            list.insert(path.clone(), ());
            self.list_below(&field.selection_set, &format!("{path}/"), &mut seen.clone(), list);
        }
    }

    /// The part of a resolver's error data that the client selected.
    pub fn selected(self, data: Value, fields: &[&'a Node<Field>]) -> Value {
        let leaf = fields.iter().all(|field| field.selection_set.selections.is_empty());
        match data {
            Value::Array(items) => items.into_iter().map(|item| self.selected(item, fields)).collect(),
            Value::Object(mut members) if !leaf => {
                let mut kept = Members::new();
                let mut found = Vec::new();
                for field in fields {
                    let mut seen = HashSet::default();
                    self.gather_into(&field.selection_set, &|_| true, &mut seen, &mut |field| found.push(field));
                }
                for field in found {
                    let value = members.remove(field.name.as_str()).unwrap_or_default();
                    kept.insert(field.response_key().to_string(), self.selected(value, &[field]));
                }
                Value::Object(kept)
            }
            other => other,
        }
    }
}

fn written(set: &SelectionSet) -> String {
    if set.selections.is_empty() { String::new() } else { set.to_string() }
}
