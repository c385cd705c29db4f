//! The operations of a GraphQL document and their variables.
use apollo_parser::{
    Parser, SyntaxNode,
    cst::{self, CstNode, Definition},
};

/// How deep selections, values and types may be nested. The parser recurses no deeper.
const MAX_NESTING: usize = 64;

/// The operations of a document, in their order. Of fragments only variables and fields are kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Document {
    pub operations: Vec<Operation>,
    /// The names of all fields that the document selects, at every level and without aliases, sorted.
    pub fields: Vec<String>,
    /// The names of the variables that selections use, sorted.
    pub used_variables: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    pub kind: OperationKind,
    pub variables: Vec<Variable>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    Query,
    Mutation,
    Subscription,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub variable_type: VariableType,
    pub has_default: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum VariableType {
    Named { name: String, is_non_null: bool },
    List { item: Box<VariableType>, is_non_null: bool },
}

impl VariableType {
    pub fn is_non_null(&self) -> bool {
        match self {
            Self::Named { is_non_null, .. } | Self::List { is_non_null, .. } => *is_non_null,
        }
    }
}

/// Where a document breaks the grammar. Both numbers count from 1, and a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    #[error("the text at line {line}, column {column} is not expected")]
    Unexpected { line: usize, column: usize },
    #[error("it is nested more than {MAX_NESTING} levels deep at line {line}, column {column}")]
    TooDeep { line: usize, column: usize },
}

impl SyntaxError {
    fn unexpected_at(document: &str, index: usize) -> Self {
        let (line, column) = line_and_column(document, index);
        Self::Unexpected { line, column }
    }

    fn from_parser(document: &str, error: &apollo_parser::Error) -> Self {
        let (line, column) = line_and_column(document, error.index());
        if error.is_limit() { Self::TooDeep { line, column } } else { Self::Unexpected { line, column } }
    }
}

/// The document may have operations and fragments. The parser accepts arguments without a value and control
/// characters, which the API of the tool refuses.
pub fn parse(document: &str) -> Result<Document, SyntaxError> {
    let tree = Parser::new(document).recursion_limit(MAX_NESTING).parse();
    if let Some(error) = tree.errors().next() {
        return Err(SyntaxError::from_parser(document, error));
    }
    let mut operations = Vec::new();
    let mut fields = Vec::new();
    let mut used_variables = Vec::new();
    for definition in tree.document().definitions() {
        fields.extend(fields_in(definition.syntax()));
        match definition {
            Definition::OperationDefinition(definition) => {
                let unexpected = || unexpected_node(document, definition.syntax());
                operations.push(operation(&definition).ok_or_else(unexpected)?);
                used_variables.extend(definition.directives().iter().flat_map(|found| variables_in(found.syntax())));
                used_variables.extend(definition.selection_set().iter().flat_map(|found| variables_in(found.syntax())));
            }
            Definition::FragmentDefinition(fragment) => used_variables.extend(variables_in(fragment.syntax())),
            other => return Err(unexpected_node(document, other.syntax())),
        }
    }
    for names in [&mut fields, &mut used_variables] {
        names.sort_unstable();
        names.dedup();
    }
    Ok(Document { operations, fields, used_variables })
}

fn unexpected_node(document: &str, node: &SyntaxNode) -> SyntaxError {
    SyntaxError::unexpected_at(document, node.text_range().start().into())
}

/// `None` if a part is missing, which the parser has reported as an error.
fn operation(definition: &cst::OperationDefinition) -> Option<Operation> {
    let kind = match definition.operation_type() {
        Some(kind) if kind.mutation_token().is_some() => OperationKind::Mutation,
        Some(kind) if kind.subscription_token().is_some() => OperationKind::Subscription,
        _ => OperationKind::Query,
    };
    let definitions = definition.variable_definitions();
    let variables = definitions.iter().flat_map(cst::VariableDefinitions::variable_definitions).map(|variable| {
        Some(Variable {
            name: variable.variable()?.name()?.text().to_string(),
            variable_type: variable_type(variable.ty()?)?,
            has_default: variable.default_value().is_some(),
        })
    });
    Some(Operation { kind, variables: variables.collect::<Option<_>>()? })
}

/// Recurses at most `MAX_NESTING` levels, because the parser accepts no deeper type.
fn variable_type(found: cst::Type) -> Option<VariableType> {
    let named = |name: cst::NamedType, is_non_null| {
        Some(VariableType::Named { name: name.name()?.text().to_string(), is_non_null })
    };
    let list = |list: cst::ListType, is_non_null| {
        Some(VariableType::List { item: Box::new(variable_type(list.ty()?)?), is_non_null })
    };
    match found {
        cst::Type::NamedType(name) => named(name, false),
        cst::Type::ListType(items) => list(items, false),
        cst::Type::NonNullType(non_null) => match (non_null.named_type(), non_null.list_type()) {
            (Some(name), _) => named(name, true),
            (None, Some(items)) => list(items, true),
            (None, None) => None,
        },
    }
}

fn variables_in(node: &SyntaxNode) -> impl Iterator<Item = String> {
    let variables = node.descendants().filter_map(cst::Variable::cast);
    variables.filter_map(|variable| Some(variable.name()?.text().to_string()))
}

fn fields_in(node: &SyntaxNode) -> impl Iterator<Item = String> {
    let fields = node.descendants().filter_map(cst::Field::cast);
    fields.filter_map(|field| Some(field.name()?.text().to_string()))
}

fn line_and_column(document: &str, index: usize) -> (usize, usize) {
    let before = &document[..document.floor_char_boundary(index)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only_operation(document: &str) -> Operation {
        let operations = parse(document).unwrap().operations;
        let [operation] = operations.try_into().expect("one operation");
        operation
    }

    fn named(name: &str, is_non_null: bool) -> VariableType {
        VariableType::Named { name: name.to_owned(), is_non_null }
    }

    #[test]
    fn operations_are_returned_with_kind_and_variables() {
        let query =
            only_operation("query Find($id: ID!, $tags: [[String!]]! = [], $n: Int = 1 @a(b: 2)) { a(id: $id) }");
        assert_eq!(query.kind, OperationKind::Query);
        let inner = VariableType::List { item: Box::new(named("String", true)), is_non_null: false };
        let tags = VariableType::List { item: Box::new(inner), is_non_null: true };
        let expected = [
            ("id".to_owned(), named("ID", true), false),
            ("tags".to_owned(), tags, true),
            ("n".to_owned(), named("Int", false), true),
        ];
        let variables: Vec<_> = query.variables.into_iter().map(|v| (v.name, v.variable_type, v.has_default)).collect();
        assert_eq!(variables, expected);
        for (document, kind) in [
            ("{ a }", OperationKind::Query),
            ("query { a }", OperationKind::Query),
            ("mutation { a }", OperationKind::Mutation),
            ("subscription { a }", OperationKind::Subscription),
        ] {
            assert_eq!(only_operation(document), Operation { kind, variables: vec![] }, "{document}");
        }
    }

    #[test]
    fn used_variables_of_operations_and_fragments_are_returned() {
        let document = "query($a: A, $b: B) { f(x: [$b, {y: $a}]) @include(if: $c) ...F }
            fragment F on T { g(x: $a) }";
        assert_eq!(parse(document).unwrap().used_variables, ["a", "b", "c"]);
    }

    #[test]
    fn fields_of_every_level_are_returned_without_aliases() {
        let document = "query a($b: C) { d: e(f: $b) { g @h ... on I { j } ...K } e } fragment K on L { m }";
        assert_eq!(parse(document).unwrap().fields, ["e", "g", "j", "m"]);
    }

    #[test]
    fn every_construct_of_the_grammar_is_accepted() {
        for document in [
            "\u{feff}# Comment é\n{ a, b:c }\r\n",
            "query query { query: mutation }",
            "{ a @x @y(z: 1) { ... on T @s { b } ... @t { c } ...{ d } ...fragment @u } }
             fragment fragment on on @x { a }",
            "{ a(i: -0, n: 12, f: -1.5e+9, g: 1e0, s: \"\\u00e9\\\\\\\"é\", e: \"\", t: true, x: null, v: E) }",
            "{ a(b: \"\"\"\n\u{3000}x\n  \\\"\"\" \"y\" z\"\"\") }",
            "{ a(o: {}, l: [], p: {q: [{r: 1}]}) }",
            "query($a: A = {b: [1 2], c: \"d\"}) { a(b: $a) }",
            "{ on }",
            "fragment A on B { c } query { ...A }",
        ] {
            assert_eq!(parse(document).map(|document| document.operations.len()), Ok(1), "{document}");
        }
        assert_eq!(parse("{ a } { b } mutation M { c }").unwrap().operations.len(), 3);
        assert_eq!(parse("fragment A on B { c }").unwrap().operations.len(), 0);
    }

    #[test]
    fn text_outside_the_grammar_is_refused_with_its_position() {
        for (document, line, column) in [
            ("", 1, 1),
            (" ,\n", 2, 1),
            ("{", 1, 2),
            ("{ }", 1, 3),
            ("{ a } }", 1, 7),
            ("{ a\n  é }", 2, 3),
            ("query", 1, 6),
            ("query() { a }", 1, 7),
            ("query($a) { a }", 1, 9),
            ("query($a: $b) { a }", 1, 11),
            ("query($a: [A) { a }", 1, 13),
            ("query($a: A!!) { a }", 1, 13),
            ("query($a: A = $b) { a }", 1, 15),
            ("query($a: A @b(c: $d)) { a }", 1, 19),
            ("type A { b: C }", 1, 1),
            ("fragment on on A { b }", 1, 10),
            ("fragment A { b }", 1, 12),
            ("{ a() }", 1, 5),
            ("{ a(b: ) }", 1, 8),
            ("{ a(b: 01) }", 1, 8),
            ("{ a(b: -) }", 1, 8),
            ("{ a(b: 1.) }", 1, 8),
            ("{ a(b: 1e) }", 1, 8),
            ("{ a(b: 1x) }", 1, 8),
            ("{ a(b: 1.2.3) }", 1, 8),
            ("{ a(b: \"c\nd\") }", 1, 8),
            ("{ a(b: \"\\x\") }", 1, 8),
            ("{ a(b: \"\\u12\") }", 1, 8),
            ("{ a(b: \"c", 1, 8),
            ("{ a(b: \"\"\"c\"\"", 1, 8),
            ("{ .. a }", 1, 3),
            ("{ a ; }", 1, 5),
            ("{ ... on }", 1, 10),
        ] {
            assert_eq!(parse(document), Err(SyntaxError::Unexpected { line, column }), "{document}");
        }
        let error = SyntaxError::Unexpected { line: 2, column: 3 };
        assert_eq!(error.to_string(), "the text at line 2, column 3 is not expected");
    }

    #[test]
    fn nesting_is_bounded() {
        let selections = |depth: usize| format!("{}a{}", "{a".repeat(depth), "}".repeat(depth));
        let values = |depth: usize| format!("{{ a(b: {}{}) }}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth: usize| format!("{{ a(b: {}1{}) }}", "{c:".repeat(depth), "}".repeat(depth));
        let types = |depth: usize| format!("query($a: {}A{}) {{ a }}", "[".repeat(depth), "]".repeat(depth));
        for (nested, most) in [
            (&selections as &dyn Fn(usize) -> String, MAX_NESTING),
            (&values, MAX_NESTING),
            (&objects, MAX_NESTING - 1),
            (&types, MAX_NESTING),
        ] {
            assert!(parse(&nested(most)).is_ok(), "{}", nested(most));
            for depth in [most + 1, 10_000] {
                assert!(matches!(parse(&nested(depth)), Err(SyntaxError::TooDeep { line: 1, .. })), "{depth}");
            }
        }
    }

    #[test]
    fn no_prefix_or_changed_byte_of_a_document_panics() {
        let document = "query Q($a: [Int!]! = [1.5e3 \"\\u00e9\"]) { b: c(d: {e: $a}) @f { ...G ... on H { é } } }
            # comment\n fragment G on H { i(j: \"\"\"\u{3000}k\n  \\\"\"\" l\"\"\") }";
        for (end, _) in document.char_indices() {
            let _ = parse(&document[..end]);
            for replacement in ["\"", "\\", "{", "}", "[", "(", "$", "é", "\u{0}", "0", ".", "#", "\n"] {
                let rest = document[end..].chars().next().map_or("", |first| &document[end + first.len_utf8()..]);
                let _ = parse(&format!("{}{replacement}{rest}", &document[..end]));
            }
        }
    }
}
