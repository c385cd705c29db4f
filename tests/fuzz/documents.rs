//! GraphQL documents: valid ones that clients send, and random ones that mostly fit the schema.
use std::fmt::Write;

use apollo_compiler::{
    Schema,
    schema::{ExtendedType, FieldDefinition, ObjectType},
    validation::Valid,
};

use crate::mutator::Mutator;

const MAX_DEPTH: usize = 5;

/// Documents of clients and of the handler.
pub fn valid_documents() -> Vec<String> {
    let documents = [
        client::documents::ON_CONVERSATION_UPDATE,
        include_str!("../../handler/src/aws/publish.graphql"),
        "mutation($text: String) { sendMessage(input: { text: $text }) { id status question { text } } }",
        "query($id: ID!) { getConversation(id: $id) { id events(limit: 3) { items { id text } hasMore } } }",
        "query A { listAgents { items { ...F } nextToken } } fragment F on Agent { id name @skip(if: false) }",
        "{ __schema { types { name fields { name type { name ofType { name } } } } } __type(name: \"Turn\") { name } }",
    ];
    documents.map(str::to_owned).into()
}

pub struct DocumentGenerator {
    schema: Valid<Schema>,
}

impl DocumentGenerator {
    pub fn new() -> Self {
        let schema = Schema::builder()
            .parse(include_str!("../../local/graphql/schema/prelude.graphql"), "prelude.graphql")
            .parse(include_str!("../../schema.graphql"), "schema.graphql")
            .build()
            .expect("the schema parses");
        Self { schema: schema.validate().expect("the schema is valid") }
    }

    pub fn generate(&self, mutator: &mut Mutator) -> String {
        let root = *mutator.choose(&["Query", "Query", "Mutation", "Subscription"]);
        let mut text = root.to_lowercase();
        if mutator.one_in(3) {
            text += " Q($a: ID, $b: Int = 3)";
        }
        let directives: [&str; 4] = ["", "", " @skip(if: true)", " @nope"];
        text += *mutator.choose(&directives);
        self.write_selection_set(mutator, root, MAX_DEPTH, &mut text);
        if mutator.one_in(3) {
            text += " fragment F on Turn";
            self.write_selection_set(mutator, "Turn", 2, &mut text);
        }
        text
    }

    fn write_selection_set(&self, mutator: &mut Mutator, type_name: &str, depth: usize, text: &mut String) {
        let Some(ExtendedType::Object(object)) = self.schema.types.get(type_name) else { return };
        if depth == 0 {
            return;
        }
        text.push_str(" { ");
        for _ in 0..=mutator.below(5) {
            match mutator.below(12) {
                0 => text.push_str("...F "),
                1 => text.push_str("__typename "),
                2 => {
                    write!(text, "... on {type_name}").expect("a String accepts every write");
                    self.write_selection_set(mutator, type_name, depth - 1, text);
                }
                _ => self.write_field(mutator, object, depth, text),
            }
        }
        text.push_str("} ");
    }

    fn write_field(&self, mutator: &mut Mutator, object: &ObjectType, depth: usize, text: &mut String) {
        let fields: Vec<&FieldDefinition> = object.fields.values().map(|field| &**field as &FieldDefinition).collect();
        let field = *mutator.choose(&fields);
        if mutator.one_in(4) {
            write!(text, "a{}: ", mutator.below(3)).expect("a String accepts every write");
        }
        text.push_str(&field.name);
        if !field.arguments.is_empty() && !mutator.one_in(8) {
            let arguments = field.arguments.iter().map(|argument| {
                format!("{}: {}", argument.name, self.literal(mutator, argument.ty.inner_named_type(), 3))
            });
            write!(text, "({})", arguments.collect::<Vec<_>>().join(", ")).expect("a String accepts every write");
        }
        text.push(' ');
        self.write_selection_set(mutator, field.ty.inner_named_type(), depth - 1, text);
    }

    /// A value of an argument: usually one of the type.
    fn literal(&self, mutator: &mut Mutator, type_name: &str, depth: usize) -> String {
        if mutator.one_in(8) {
            let wrong =
                ["$a", "$b", "null", "-1", "1e400", "[]", "{}", "[[1]]", "\"\\ud800\"", "\"\"\"x\"\"\"", "99999999999"];
            return (*mutator.choose(&wrong)).to_owned();
        }
        match self.schema.types.get(type_name) {
            Some(ExtendedType::InputObject(input)) if depth > 0 => {
                let members = input.fields.values().map(|field| {
                    format!("{}: {}", field.name, self.literal(mutator, field.ty.inner_named_type(), depth - 1))
                });
                format!("{{ {} }}", members.collect::<Vec<_>>().join(" "))
            }
            Some(ExtendedType::Enum(definition)) => {
                let value = definition.values.keys().nth(mutator.below(definition.values.len()));
                value.map_or("NOPE".into(), ToString::to_string)
            }
            _ => {
                let scalars = ["1", "0", "100", "\"c1\"", "\"default\"", "true", "2.5", "\"2026-01-01T00:00:00Z\""];
                (*mutator.choose(&scalars)).to_owned()
            }
        }
    }
}
