//! Pins apollo-compiler's error names and texts to the version in Cargo.lock.
use super::*;

/// The version whose errors `CASES` records. After an upgrade, compare every case with the new version's
/// errors, adapt the translation, and only then change the version.
const APOLLO_COMPILER_VERSION: &str = "1.33.1";

const SCHEMA: &str = "
    type Query {
        get(id: ID!, size: Int, weight: Float, kind: Kind, input: Options): Thing
        other(id: ID!): Thing
        all: [Thing]
    }
    type Thing { id: ID!  size: Int  kind: Kind }
    enum Kind { ROUND SQUARE }
    input Options { name: String!  size: Int }";

struct Case {
    query: &'static str,
    /// The library's `unstable_error_name` of the first error.
    error_name: Option<&'static str>,
    /// The library's text of the first error.
    text: &'static str,
    /// AppSync's message.
    message: &'static str,
}

const CASES: [Case; 24] = [
    Case {
        query: "{ nope }",
        error_name: Some("UndefinedField"),
        text: "type `Query` does not have a field `nope`",
        message: "FieldUndefined: Field 'nope' in type 'Query' is undefined @ 'nope'",
    },
    Case {
        query: "{ get(id: 1, x: 2) { id } }",
        error_name: Some("UndefinedArgument"),
        text: "the argument `x` is not supported by `Query.get`",
        message: "UnknownArgument: Unknown field argument x @ 'get'",
    },
    Case {
        query: "{ get { id } }",
        error_name: Some("RequiredArgument"),
        text: "the required argument `Query.get(id:)` is not provided",
        message: "MissingFieldArgument: Missing field argument id @ 'get'",
    },
    Case {
        query: "{ get(id: 1, input: {}) { id } }",
        error_name: Some("RequiredField"),
        text: "the required field `Options.name` is not provided",
        message: "WrongType: argument 'input' with value 'ObjectValue{objectFields=[]}' is missing required fields '[name]' @ 'get'",
    },
    Case {
        query: "{ get(id: $id) { id } }",
        error_name: Some("UndefinedVariable"),
        text: "variable `$id` is not defined",
        message: "UndefinedVariable: Undefined variable id @ 'get'",
    },
    Case {
        query: "query($id: ID) { get(id: 1) { id } }",
        error_name: Some("UnusedVariable"),
        text: "unused variable: `$id`",
        message: "UnusedVariable: Unused variable id",
    },
    Case {
        query: "{ all { ...F } }",
        error_name: Some("UndefinedFragment"),
        text: "cannot find fragment `F` in this document",
        message: "UndefinedFragment: Undefined fragment F @ 'all'",
    },
    Case {
        query: "{ all { id } } fragment F on Thing { id }",
        error_name: Some("UnusedFragment"),
        text: "fragment `F` must be used in an operation",
        message: "UnusedFragment: Unused fragment F",
    },
    Case {
        query: "query($x: Nope) { get(id: $x) { id } }",
        error_name: Some("UndefinedDefinition"),
        text: "cannot find type `Nope` in this document",
        message: "UnknownType: Unknown type Nope",
    },
    Case {
        query: "{ all @nope { id } }",
        error_name: Some("UndefinedDirective"),
        text: "cannot find directive `@nope` in this document",
        message: "UnknownDirective: Unknown directive nope @ 'all'",
    },
    Case {
        query: "query($id: String) { get(id: $id) { id } }",
        error_name: Some("DisallowedVariableUsage"),
        text: "variable `$id` of type `String` cannot be used for argument `id` of type `ID!`",
        message: "VariableTypeMismatch: Variable type 'String' does not match expected type 'ID!' @ 'get'",
    },
    Case {
        query: "{ all { size { x } } }",
        error_name: Some("SubselectionOnScalarType"),
        text: "field selection of scalar type `Int` must not have subselections",
        message: "SubSelectionNotAllowed: Sub selection not allowed on leaf type Int of field size @ 'all/size'",
    },
    Case {
        query: "{ all { kind { x } } }",
        error_name: Some("SubselectionOnEnumType"),
        text: "field selection of enum type `Kind` must not have subselections",
        message: "SubSelectionNotAllowed: Sub selection not allowed on leaf type Kind of field kind @ 'all/kind'",
    },
    Case {
        query: "{ all }",
        error_name: Some("MissingSubselection"),
        text: "interface, union and object types must have a subselection set",
        message: "SubSelectionRequired: Sub selection required for type Thing of field all @ 'all'",
    },
    Case {
        query: "{ get(id: 1, size: \"x\") { id } }",
        error_name: Some("UnsupportedValueType"),
        text: "expected value of type Int, found a string",
        message: "WrongType: argument 'size' with value 'StringValue{value='x'}' is not a valid 'Int' @ 'get'",
    },
    Case {
        query: "{ get(id: 1, kind: OVAL) { id } }",
        error_name: Some("UndefinedEnumValue"),
        text: "value `OVAL` does not exist on `Kind`",
        message: "WrongType: argument 'kind' with value 'EnumValue{name='OVAL'}' is not a valid 'Kind' @ 'get'",
    },
    Case {
        query: "{ get(id: 1, input: { name: \"n\", x: 1 }) { id } }",
        error_name: Some("UndefinedInputValue"),
        text: "field `x` does not exist on `Options`",
        message: "WrongType: argument 'input' with value 'ObjectValue{objectFields=[ObjectField{name='name', value=StringValue{value='n'}}, ObjectField{name='x', value=IntValue{value=1}}]}' contains a field not in 'Options': 'x' @ 'get'",
    },
    Case {
        query: "{ get(id: 1, size: 3000000000) { id } }",
        error_name: Some("IntCoercionError"),
        text: "int cannot represent non 32-bit signed integer value",
        message: "WrongType: argument 'size' with value 'IntValue{value=3000000000}' is not a valid 'Int' @ 'get'",
    },
    Case {
        query: "{ get(id: 1, weight: 1e400) { id } }",
        error_name: Some("FloatCoercionError"),
        text: "float cannot represent non-finite 64-bit floating point value",
        message: "WrongType: argument 'weight' with value 'FloatValue{value=1E+400}' is not a valid 'Float' @ 'get'",
    },
    Case {
        query: "{ all { a: id a: size } }",
        error_name: Some("ConflictingFieldType"),
        text: "operation must not select different types using the same name `a`",
        message: "FieldsConflict: operation must not select different types using the same name `a` @ 'all/size'",
    },
    Case {
        query: "{ a: get(id: 1) { id } a: get(id: 2) { id } }",
        error_name: Some("ConflictingFieldArgument"),
        text: "operation must not provide conflicting field arguments for the same name `get`",
        message: "FieldsConflict: operation must not provide conflicting field arguments for the same name `get` @ 'get'",
    },
    Case {
        query: "{ a: get(id: 1) { id } a: other(id: 1) { id } }",
        error_name: Some("ConflictingFieldName"),
        text: "cannot select different fields into the same alias `a`",
        message: "FieldsConflict: cannot select different fields into the same alias `a` @ 'other'",
    },
    Case {
        query: "{ all { id }",
        error_name: None,
        text: "syntax error: expected R_CURLY, got EOF",
        message: "InvalidSyntax: syntax error: expected R_CURLY, got EOF",
    },
    Case {
        query: "{ all { id } } { all { id } }",
        error_name: Some("AmbiguousAnonymousOperation"),
        text: "anonymous operation cannot be selected when the document contains other operations",
        message: "InvalidDocument: anonymous operation cannot be selected when the document contains other operations",
    },
];

#[test]
fn library_version_is_the_recorded_one() {
    let lock = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));
    let (_, entry) = lock.split_once("name = \"apollo-compiler\"\n").unwrap();
    let version = entry.lines().next().unwrap();
    assert_eq!(version, format!("version = \"{APOLLO_COMPILER_VERSION}\""));
}

#[test]
fn library_errors_are_the_recorded_ones() {
    for case in CASES {
        let errors = library_errors(case.query);
        let first = errors.iter().next().unwrap().error;
        assert_eq!(
            (first.unstable_error_name(), first.to_string().as_str()),
            (case.error_name, case.text),
            "{}",
            case.query
        );
    }
}

#[test]
fn library_errors_are_translated_to_appsyncs_messages() {
    let schema = Schema::load(SCHEMA).unwrap();
    for case in CASES {
        let translated = translate(&schema, &library_errors(case.query), case.query);
        assert_eq!(translated[0].message, format!("Validation error of type {}", case.message), "{}", case.query);
    }
}

fn library_errors(query: &str) -> DiagnosticList {
    let schema = Schema::load(SCHEMA).unwrap();
    match Parser::new().parse_executable(&schema.definitions, query, "query") {
        Ok(document) => document.validate(&schema.definitions).unwrap_err().errors,
        Err(invalid) => invalid.errors,
    }
}
