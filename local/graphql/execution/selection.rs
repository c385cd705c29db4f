//! The selections of an operation: collected for execution, and described to resolvers as `ctx.info`.
use apollo_compiler::{
    ExecutableDocument, Name, Node,
    ast::{DirectiveList, Value as Literal},
    collections::{HashSet, IndexMap},
    executable::{Field, Selection, SelectionSet},
    schema::ObjectType,
};
use serde_json::{Value, json};

use crate::{
    graphql::schema::{Schema, input_coercion::JsonObject},
    json_input::InputObject,
};

/// Selected fields by response key, in the order of the document.
pub type CollectedFields<'a> = IndexMap<&'a Name, Vec<&'a Node<Field>>>;

/// Reads selection sets with the variables and fragments of one operation.
#[derive(Clone, Copy)]
pub struct SelectionReader<'a> {
    pub schema: &'a Schema,
    pub document: &'a ExecutableDocument,
    /// The variables, not coerced.
    pub inputs: &'a InputObject,
    /// The variables of `ctx.info`.
    pub variables: &'a JsonObject,
    /// Whether the texts of the document and the variables are encoded by `lone_surrogates`.
    pub has_lone_surrogates: bool,
}

impl<'a> SelectionReader<'a> {
    /// Collects the fields that apply to an object type, as the GraphQL specification's CollectFields does.
    pub fn collect_fields(
        self,
        object_type: &ObjectType,
        sets: impl IntoIterator<Item = &'a SelectionSet>,
    ) -> CollectedFields<'a> {
        let applies = |condition: &Name| self.schema.is_subtype(object_type, condition);
        let mut collected = CollectedFields::default();
        let mut visited_fragments = HashSet::default();
        for set in sets {
            self.visit_fields(set, &applies, &mut visited_fragments, &mut |field| {
                collected.entry(field.response_key()).or_default().push(field);
            });
        }
        collected
    }

    /// Calls `visit` for each field that is not skipped, with fragments expanded. `applies` decides on type
    /// conditions.
    fn visit_fields(
        self,
        set: &'a SelectionSet,
        applies: &dyn Fn(&Name) -> bool,
        visited_fragments: &mut HashSet<&'a Name>,
        visit: &mut dyn FnMut(&'a Node<Field>),
    ) {
        for selection in &set.selections {
            if self.is_skipped(selection.directives()) {
                continue;
            }
            match selection {
                Selection::Field(field) => visit(field),
                Selection::InlineFragment(fragment) => {
                    if fragment.type_condition.as_ref().is_none_or(applies) {
                        self.visit_fields(&fragment.selection_set, applies, visited_fragments, visit);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = self.document.fragments.get(&spread.fragment_name);
                    if let Some(fragment) = fragment
                        && applies(fragment.type_condition())
                        && visited_fragments.insert(&spread.fragment_name)
                    {
                        self.visit_fields(&fragment.selection_set, applies, visited_fragments, visit);
                    }
                }
            }
        }
    }

    fn is_skipped(self, directives: &DirectiveList) -> bool {
        let skip = self.directive_condition(directives, "skip");
        let include = self.directive_condition(directives, "include");
        skip == Some(true) || include == Some(false)
    }

    fn directive_condition(self, directives: &DirectiveList, name: &str) -> Option<bool> {
        match &**directives.get(name)?.specified_argument_by_name("if")? {
            Literal::Boolean(boolean) => Some(*boolean),
            Literal::Variable(name) => self.variables.get(name.as_str())?.as_bool(),
            _ => None,
        }
    }

    /// `ctx.info` of a field.
    pub fn info(self, parent_type: &str, fields: &[&'a Node<Field>]) -> Value {
        let first = fields.first();
        json!({
            "fieldName": first.map(|field| field.name.as_str()),
            "parentTypeName": parent_type,
            "variables": self.variables,
            "selectionSetList": self.selection_set_list(fields),
            "selectionSetGraphQL": first.map_or(String::new(), |field| to_graphql(&field.selection_set)),
        })
    }

    /// The paths of the selected fields, such as `id`, `author`, `author/name`: with aliases, and with
    /// fragments expanded.
    fn selection_set_list(self, fields: &[&'a Node<Field>]) -> Vec<String> {
        let mut paths = IndexMap::default();
        for field in fields {
            self.add_paths(&field.selection_set, "", &mut HashSet::default(), &mut paths);
        }
        paths.into_keys().collect()
    }

    fn add_paths(
        self,
        set: &'a SelectionSet,
        prefix: &str,
        visited_fragments: &mut HashSet<&'a Name>,
        paths: &mut IndexMap<String, ()>,
    ) {
        let mut fields = Vec::new();
        self.visit_fields(set, &|_| true, visited_fragments, &mut |field| fields.push(field));
        for field in fields {
            let path = format!("{prefix}{}", field.response_key());
            paths.insert(path.clone(), ());
            self.add_paths(&field.selection_set, &format!("{path}/"), &mut visited_fragments.clone(), paths);
        }
    }

    /// Reduces the `data` of a resolver's error to the members that the client selected.
    pub fn select_error_data(self, data: Value, fields: &[&'a Node<Field>]) -> Value {
        let is_leaf = fields.iter().all(|field| field.selection_set.selections.is_empty());
        match data {
            Value::Array(items) => items.into_iter().map(|item| self.select_error_data(item, fields)).collect(),
            Value::Object(mut members) if !is_leaf => {
                let mut selected = JsonObject::new();
                let mut subfields = Vec::new();
                for field in fields {
                    let mut visited_fragments = HashSet::default();
                    self.visit_fields(&field.selection_set, &|_| true, &mut visited_fragments, &mut |subfield| {
                        subfields.push(subfield);
                    });
                }
                for subfield in subfields {
                    let value = members.remove(subfield.name.as_str()).unwrap_or_default();
                    let key = subfield.response_key().to_string();
                    selected.insert(key, self.select_error_data(value, &[subfield]));
                }
                Value::Object(selected)
            }
            other => other,
        }
    }
}

fn to_graphql(set: &SelectionSet) -> String {
    if set.selections.is_empty() { String::new() } else { set.to_string() }
}
