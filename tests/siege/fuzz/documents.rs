//! GraphQL documents: some that fit the schema, some that ask for far too much, and any number in between.
use std::fmt::Write;

use apollo_compiler::{
    Schema,
    schema::{ExtendedType, FieldDefinition, ObjectType},
    validation::Valid,
};

use crate::dice::Dice;

pub struct Documents {
    schema: Valid<Schema>,
}

impl Documents {
    pub fn new() -> Self {
        let prelude = include_str!("../../../local/graphql/schema/prelude.graphql");
        let schema =
            Schema::builder().parse(prelude, "prelude").parse(include_str!("../../../schema.graphql"), "schema");
        Self { schema: schema.build().expect("a schema").validate().expect("a valid schema") }
    }

    /// That clients send.
    pub fn friendly(&self) -> Vec<String> {
        let own = include_str!("../../../handler/src/aws/publish.graphql");
        let documents = [
            client::documents::ON_CONVERSATION_UPDATE,
            own,
            "mutation($text: String) { sendMessage(input: { text: $text }) { id status question { text } } }",
            "query($id: ID!) { getConversation(id: $id) { id events(limit: 3) { items { id text } hasMore } } }",
            "query A { listAgents { items { ...F } nextToken } } fragment F on Agent { id name @skip(if: false) }",
            "{ __schema { types { name fields { name type { name ofType { name } } } } } __type(name: \"Turn\") { name } }",
        ];
        documents.map(str::to_owned).into()
    }

    /// Small documents, or large ones, that ask for far more than they are worth.
    pub fn hostile(&self) -> Vec<String> {
        let aliases = |count: usize, field: &str| {
            (0..count).fold(String::new(), |mut text, number| {
                write!(text, "a{number}: {field} ").expect("memory");
                text
            })
        };
        let fragments = |of_type: &str, fields: &[&str]| {
            fields.iter().enumerate().fold(String::new(), |mut text, (level, field)| {
                let inner = format!("{field} {{ ...F{} }}", level + 1);
                write!(text, " fragment F{level} on {of_type} {{ {} }}", aliases(40, &inner)).expect("memory");
                text
            })
        };
        let chain = |length: usize| {
            (0..length).map(|at| format!(" fragment C{at} on Agent {{ ...C{} }}", at + 1)).collect::<String>()
        };
        vec![
            format!("{{ {} }}", "a { ".repeat(10_000)),
            format!("{{ getAgent(id: {}1{}) {{ id }} }}", "[".repeat(400), "]".repeat(400)),
            format!("{{ getAgent(id: {} }}", "{a:".repeat(10_000)),
            format!("{{ {} }}", "id ".repeat(10_000)),
            format!("{{ {} }}", aliases(1_000, "getAgent(id: \"default\") { id name modelId }")),
            format!("{{ {} }}", aliases(3_000, "__typename")),
            format!("{{ {} }}", aliases(100, "__schema { types { fields { name } } }")),
            format!("{{ __schema {{ types {{ {} }} }} }}", aliases(700, "fields { n: name }")),
            format!("{{ __type(name: \"Turn\") {{ {} }} }}", "ofType { ".repeat(450) + &"} ".repeat(450)),
            format!(
                "{{ __schema {{ types {{ ...F0 }} }} }}{} fragment F20 on __Type {{ name }}",
                fragments("__Type", &["ofType"; 20])
            ),
            format!("{{ getAgent(id: 1) {{ ...C0 }} }}{} fragment C90 on Agent {{ id }}", chain(90)),
            format!("{{ getAgent(id: 1) {{ ...C0 }} }}{} fragment C2000 on Agent {{ id }}", chain(2_000)),
            "{ getAgent(id: 1) { ...A } } fragment A on Agent { ...B } fragment B on Agent { ...A }".to_owned(),
            (0..1_000).map(|number| format!("query Q{number} {{ getAgent(id: {number}) {{ id }} }} ")).collect(),
            (0..900).map(|number| format!("query Q{number} {{ ...S }} ")).collect::<String>()
                + "fragment S on Query { __typename }",
            "x ".repeat(15_001),
            format!("{{ {} }}", ",".repeat(900_000)),
            format!("{{ __typename }} #{}", "é".repeat(400_000)),
            format!("{{ getAgent(id: \"{}", "\\\"".repeat(200_000)),
            format!("{{ getAgent(id: {}", "\"\"\"".repeat(150_000)),
            format!("{{ {} }}", aliases(2_000, "nope(x: 1)")),
            format!("{{ {} }}", aliases(1_000, "getAgent(id: 1, id: 2, nope: {}) { id { id } }")),
            format!(
                "{{ same: getAgent(id: 1) {{ id }} {} }}",
                aliases(1, "getAgent(id: 1) { id }").replace("a0", "same").repeat(1_200)
            ),
            format!(
                "query({}) {{ __typename }}",
                (0..2_500).map(|number| format!("$v{number}: Int = {number} ")).collect::<String>()
            ),
            format!("{{ __typename {} }}", "@skip(if: false) ".repeat(2_000)),
            format!("{{ getAgent(id: 1) {{ {} }} }}", "... { ".repeat(400) + "id" + &" }".repeat(400)),
            format!("{{ long_{}: getAgent(id: 1) {{ {} }} }}", "x".repeat(400_000), aliases(2_000, "id")),
        ]
    }

    /// A document that mostly fits the schema.
    pub fn composed(&self, dice: &mut Dice) -> String {
        let root = *dice.among(&["Query", "Query", "Mutation", "Subscription"]);
        let mut text = root.to_lowercase();
        if dice.one_in(3) {
            text += " Q($a: ID, $b: Int = 3)";
        }
        let directive = *dice.among(&["", "", " @skip(if: true)", " @nope"]);
        text += directive;
        self.select(dice, root, 5, &mut text);
        if dice.one_in(3) {
            text += " fragment F on Turn";
            self.select(dice, "Turn", 2, &mut text);
        }
        text
    }

    fn select(&self, dice: &mut Dice, type_name: &str, depth: usize, text: &mut String) {
        let Some(ExtendedType::Object(object)) = self.schema.types.get(type_name) else { return };
        if depth == 0 {
            return;
        }
        text.push_str(" { ");
        for _ in 0..=dice.below(5) {
            match dice.below(12) {
                0 => text.push_str("...F "),
                1 => text.push_str("__typename "),
                2 => {
                    write!(text, "... on {type_name}").expect("memory");
                    self.select(dice, type_name, depth - 1, text);
                }
                _ => self.field(dice, object, depth, text),
            }
        }
        text.push_str("} ");
    }

    fn field(&self, dice: &mut Dice, object: &ObjectType, depth: usize, text: &mut String) {
        let fields: Vec<&FieldDefinition> = object.fields.values().map(|field| &**field as &FieldDefinition).collect();
        let field = *dice.among(&fields);
        if dice.one_in(4) {
            write!(text, "a{}: ", dice.below(3)).expect("memory");
        }
        text.push_str(&field.name);
        if !field.arguments.is_empty() && !dice.one_in(8) {
            let given = field.arguments.iter().map(|argument| {
                format!("{}: {}", argument.name, self.literal(dice, argument.ty.inner_named_type(), 3))
            });
            write!(text, "({})", given.collect::<Vec<_>>().join(", ")).expect("memory");
        }
        text.push(' ');
        self.select(dice, field.ty.inner_named_type(), depth - 1, text);
    }

    fn literal(&self, dice: &mut Dice, type_name: &str, depth: usize) -> String {
        if dice.one_in(8) {
            let odd =
                ["$a", "$b", "null", "-1", "1e400", "[]", "{}", "[[1]]", "\"\\ud800\"", "\"\"\"x\"\"\"", "99999999999"];
            return (*dice.among(&odd)).to_owned();
        }
        match self.schema.types.get(type_name) {
            Some(ExtendedType::InputObject(input)) if depth > 0 => {
                let members = input.fields.values().map(|field| {
                    format!("{}: {}", field.name, self.literal(dice, field.ty.inner_named_type(), depth - 1))
                });
                format!("{{ {} }}", members.collect::<Vec<_>>().join(" "))
            }
            Some(ExtendedType::Enum(names)) => {
                names.values.keys().nth(dice.below(names.values.len())).map_or("NOPE".into(), ToString::to_string)
            }
            _ => (*dice.among(&["1", "0", "100", "\"c1\"", "\"default\"", "true", "2.5", "\"2026-01-01T00:00:00Z\""]))
                .to_owned(),
        }
    }
}
