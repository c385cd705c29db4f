//! House rules that no compiler holds.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use apollo_compiler::{
    ExecutableDocument, Name, Schema,
    executable::{Selection, SelectionSet},
    schema::ExtendedType,
    validation::Valid,
};
use fancy_regex::Regex;
use local::{
    stack::{Code, Resolver, Stack},
    template::{Deployment, load},
};

#[test]
fn pure_code_is_pure() {
    let impure = ["async ", "tokio", "aws_", "std::env", "::now()", "std::fs", "std::net", "rand::"];
    for (path, text) in files("handler/turn/src", "rs") {
        let code = without_tests(&text);
        let found: Vec<_> = impure.iter().filter(|word| code.contains(**word)).collect();
        assert!(found.is_empty(), "{path} is pure, so it must not say {found:?}");
    }
    let manifest = read("handler/turn/Cargo.toml");
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let named: BTreeSet<_> =
        dependencies.lines().filter_map(|line| line.split(['.', ' ']).next()).filter(|name| !name.is_empty()).collect();
    assert!(named.is_subset(&["serde", "serde_json", "thiserror"].into()), "turn depends on {named:?}");
}

#[test]
fn nothing_of_the_laptop_edition_reaches_the_lambda() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", "handler", "--edges", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("lambda_runtime"), "the tree is the handler's");
    for foreign in
        ["parlance ", "apollo-compiler ", "axum ", "dynoxide-rs ", "rquickjs ", "oxc_parser ", "saphyr ", "clap "]
    {
        assert!(!tree.contains(foreign), "{foreign}is of the laptop edition, and the handler depends on it");
    }
}

#[test]
fn every_resolver_file_is_bound_once_and_every_binding_exists() {
    let stack = stack();
    let mut bindings: BTreeMap<String, usize> = BTreeMap::new();
    for function in stack.api.functions.values() {
        *bindings.entry(function.code.path.clone()).or_default() += 1;
        assert_eq!(function.code.path, format!("resolvers/{}.js", function.name), "a function has its file's name");
    }
    for resolver in stack.api.resolvers.values() {
        let (Resolver::Unit { code, .. } | Resolver::Pipeline { code, .. }) = resolver;
        assert_eq!(code.path, "resolvers/identifyCaller.js", "every resolver first finds out who asks");
    }
    bindings.insert("resolvers/identifyCaller.js".into(), 1);
    let present: BTreeMap<String, usize> = files("resolvers", "js").into_keys().map(|path| (path, 1)).collect();
    assert_eq!(bindings, present);
}

#[test]
fn every_resolver_file_is_what_appsync_accepts() {
    for (path, text) in files("resolvers", "js") {
        let checked = local::resolver::check(&Code { path: path.clone(), text });
        assert!(checked.is_ok(), "{}", checked.unwrap_err());
    }
}

#[test]
fn every_pipeline_names_functions_that_exist_and_every_function_is_used() {
    let stack = stack();
    let mut used = BTreeSet::new();
    for (field, resolver) in &stack.api.resolvers {
        let Resolver::Pipeline { functions, .. } = resolver else { panic!("{field:?} is a pipeline") };
        assert!(functions.len() <= 10, "{field:?} has more functions than AppSync allows");
        used.extend(functions.iter().cloned());
    }
    assert_eq!(used, stack.api.functions.keys().cloned().collect());
}

#[test]
fn every_root_field_has_a_resolver_and_every_resolver_a_field() {
    let (schema, stack) = (schema(), stack());
    for root in ["Query", "Mutation", "Subscription"] {
        for field in schema.get_object(root).unwrap().fields.keys() {
            let key = (root.to_owned(), field.to_string());
            assert!(stack.api.resolvers.contains_key(&key), "{root}.{field} has no resolver");
        }
    }
    for (owner, field) in stack.api.resolvers.keys() {
        assert!(schema.type_field(owner, field).is_ok(), "{owner}.{field} has a resolver and no field");
    }
}

/// What a field or type says of its callers. One that says nothing would be the default mode's.
const MODES: [&str; 4] = ["aws_api_key", "aws_cognito_user_pools", "aws_oidc", "aws_iam"];

#[test]
fn everything_in_the_schema_is_described_and_says_who_may_use_it() {
    let schema = schema();
    let ours = schema.types.values().filter(|kind| !kind.is_built_in() && !kind.name().starts_with("AWS"));
    for kind in ours {
        let name = kind.name();
        let is_root = ["Query", "Mutation", "Subscription"].contains(&name.as_str());
        assert!(is_root || kind.description().is_some(), "{name} is not described");
        match kind {
            ExtendedType::Object(object) => {
                let is_open = MODES.iter().all(|mode| object.directives.has(mode));
                assert!(is_root || is_open, "{name} does not say that every mode may read it");
                for (field, definition) in &object.fields {
                    assert!(definition.description.is_some(), "{name}.{field} is not described");
                    let says = MODES.iter().any(|mode| definition.directives.has(mode));
                    assert!(says || !is_root, "{name}.{field} does not say who may use it");
                }
            }
            ExtendedType::InputObject(input) => {
                for (field, definition) in &input.fields {
                    assert!(definition.description.is_some(), "{name}.{field} is not described");
                }
            }
            // AppSync's own parser is known to stumble over descriptions inside an enum.
            ExtendedType::Enum(values) => {
                assert!(values.values.values().all(|value| value.description.is_none()), "{name} describes a value");
            }
            _ => {}
        }
    }
}

#[test]
fn reads_that_decide_are_consistent() {
    // An index cannot be read consistently; a question never changes; a page of events decides nothing.
    let undecided = ["listAgents", "listConversations", "listEvents", "loadQuestion"];
    for (path, text) in files("resolvers", "js") {
        let reads = ["get", "batchGet", "query"].iter().any(|read| text.contains(&format!("return {read}(")));
        let decides = !undecided.iter().any(|name| path == format!("resolvers/{name}.js"));
        assert!(!reads || !decides || text.contains("consistentRead: true"), "{path} decides on an inconsistent read");
    }
}

#[test]
fn every_write_to_a_turn_or_conversation_is_conditional() {
    for (path, text) in files("resolvers", "js") {
        let writes = text.matches("updateItem:").count()
            + text.matches("'UpdateItem'").count()
            + text.matches("return update(").count();
        let is_agent = path.ends_with("putAgent.js");
        let conditions = text.matches("condition").count() + text.matches("closing(turn)").count();
        assert!(is_agent || conditions >= writes, "{path} has {writes} updates and {conditions} conditions");
    }
}

#[test]
fn the_handlers_documents_select_every_field_of_an_update() {
    let schema = schema();
    let text = read("handler/src/aws/publish.graphql");
    let document = ExecutableDocument::parse_and_validate(&schema, text, "publish.graphql").unwrap();
    let mut operations = 0;
    for operation in document.operations.iter() {
        operations += 1;
        for selection in &operation.selection_set.selections {
            let Selection::Field(field) = selection else { panic!("a root selection is a field") };
            check_selects_all(&schema, &document, &field.selection_set);
        }
    }
    assert_eq!(operations, 2);
}

fn check_selects_all(schema: &Schema, document: &ExecutableDocument, set: &SelectionSet) {
    let selected = selected(document, set);
    for (name, definition) in &schema.get_object(&set.ty).unwrap().fields {
        let inner = selected.get(name).unwrap_or_else(|| panic!("{}.{name} is not selected", set.ty));
        if schema.get_object(definition.ty.inner_named_type()).is_some() {
            check_selects_all(schema, document, inner);
        }
    }
}

fn selected(document: &ExecutableDocument, set: &SelectionSet) -> BTreeMap<Name, SelectionSet> {
    let fields = set.selections.iter().flat_map(|selection| match selection {
        Selection::Field(field) => vec![(field.name.clone(), field.selection_set.clone())],
        Selection::FragmentSpread(spread) => {
            Vec::from_iter(selected(document, &document.fragments[&spread.fragment_name].selection_set))
        }
        Selection::InlineFragment(inline) => Vec::from_iter(selected(document, &inline.selection_set)),
    });
    fields.collect()
}

#[test]
fn key_strings_agree_between_resolvers_and_handler() {
    let prefix = Regex::new(r"\b(?:[A-Z]+#|META\b)").unwrap();
    let prefixes = |texts: BTreeMap<String, String>| -> BTreeSet<String> {
        texts
            .values()
            .flat_map(|text| {
                prefix
                    .find_iter(without_tests(text))
                    .map(|found| found.unwrap().as_str().to_owned())
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let (resolvers, handler) = (prefixes(files("resolvers", "js")), prefixes(files("handler/src/aws", "rs")));
    assert!(["CONVERSATION#", "TURN#", "EVENT#", "META"].iter().all(|key| handler.contains(*key)), "{handler:?}");
    assert!(handler.is_subset(&resolvers), "the handler knows {handler:?}, the resolvers {resolvers:?}");
}

#[test]
fn files_keep_their_measure_and_their_names() {
    let limits = [
        ("resolvers", "js", 40),
        ("handler/src", "rs", 300),
        ("handler/turn/src", "rs", 300),
        ("local", "rs", 420),
        ("client/src", "rs", 420),
    ];
    for (folder, extension, limit) in limits {
        for (path, text) in files(folder, extension).into_iter().filter(|(path, _)| !path.ends_with("/tests.rs")) {
            let lines = without_tests(&text).lines().count();
            assert!(lines <= limit, "{path} has {lines} lines, more than {limit}");
            let name = Path::new(&path).file_stem().unwrap().to_str().unwrap();
            assert!(
                !["model", "event", "message", "handler", "utils", "helpers"].contains(&name),
                "{path} has a name of several meanings"
            );
        }
    }
    for page in ["README.md", "ARCHITECTURE.md"] {
        assert!(read(page).lines().count() <= 200, "{page} has more than 200 lines");
    }
}

fn stack() -> Stack {
    let deployment = Deployment::at("http://localhost", BTreeMap::new());
    load(Path::new(env!("CARGO_MANIFEST_DIR")), &deployment).unwrap()
}

fn schema() -> Valid<Schema> {
    let prelude = read("local/graphql/schema/prelude.graphql");
    Schema::builder()
        .parse(prelude, "prelude.graphql")
        .parse(read("schema.graphql"), "schema.graphql")
        .build()
        .unwrap()
        .validate()
        .unwrap()
}

/// Every file below a folder with its text, by its path from the root.
fn files(folder: &str, extension: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let path = path.to_str().unwrap().to_owned();
                let text = read(&path);
                found.insert(path, text);
            }
        }
    }
    assert!(!found.is_empty(), "{folder} holds .{extension} files");
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn without_tests(text: &str) -> &str {
    let tests = text.find("mod tests {").and_then(|at| text[..at].rfind("#[cfg(test)]"));
    &text[..tests.unwrap_or(text.len())]
}
