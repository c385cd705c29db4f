//! Conventions that no compiler checks.
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
fn turn_crate_is_pure() {
    let impure = ["async ", "tokio", "aws_", "std::env", "::now()", "std::fs", "std::net", "rand::"];
    let sources = files("handler/turn/src", "rs").into_iter().chain(files("api/src", "rs"));
    let impure_files = ["delivery", "limited_body", "retry", "signed_http", "signing"];
    let impure_files = impure_files.map(|name| format!("api/src/{name}.rs"));
    for (path, text) in sources.filter(|(path, _)| !impure_files.contains(path)) {
        // A generator with a seed is a pure function of the seed.
        let code = without_tests(&text).replace("fastrand::Rng::with_seed(", "");
        let found: Vec<_> = impure.iter().filter(|word| code.contains(**word)).collect();
        assert!(found.is_empty(), "{path} is pure, so it must not say {found:?}");
    }
    let turn = dependencies("handler/turn/Cargo.toml");
    let pure =
        ["api", "base64", "percent-encoding", "serde", "serde_json"].map(|name| format!("{name}.workspace = true"));
    assert_eq!(turn, pure, "turn depends on pure crates alone");
    let impure: Vec<_> =
        dependencies("api/Cargo.toml").into_iter().filter(|line| !line.contains("optional = true")).collect();
    assert_eq!(impure, ["fastrand.workspace = true", "serde.workspace = true"], "api without its features is pure");
}

fn dependencies(manifest: &str) -> Vec<String> {
    let manifest = read(manifest);
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    section.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn handler_does_not_depend_on_the_local_server() {
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
        assert!(!tree.contains(foreign), "the handler depends on {foreign}of the local server");
    }
}

#[test]
fn every_resolver_file_is_deployed_exactly_once() {
    let stack = stack();
    let mut deployed: BTreeMap<String, usize> = BTreeMap::new();
    for function in stack.api.functions.values() {
        *deployed.entry(function.code.path.clone()).or_default() += 1;
        let file = Path::new(&function.code.path).file_stem().unwrap().to_str().unwrap();
        assert_eq!(file, function.name, "a function has its file's name");
    }
    for resolver in stack.api.resolvers.values() {
        let (Resolver::Unit { code, .. } | Resolver::Pipeline { code, .. }) = resolver;
        assert_eq!(code.path, AUTHENTICATE, "every resolver authenticates its caller first");
    }
    deployed.insert(AUTHENTICATE.into(), 1);
    let present: BTreeMap<String, usize> = resolvers().into_keys().map(|path| (path, 1)).collect();
    assert_eq!(deployed, present);
}

const AUTHENTICATE: &str = "resolvers/auth/authenticate.js";
const SHARED: &str = "resolvers/shared.js";

/// The resolver files that are deployed, with their text, by path.
fn resolvers() -> BTreeMap<String, String> {
    files("resolvers", "js").into_iter().filter(|(path, _)| path != SHARED).collect()
}

/// AppSync functions cannot import files, so several declare the same helpers.
#[test]
fn copied_helpers_equal_shared_js() {
    let shared = declarations(&read(SHARED));
    let mut uses: BTreeMap<&str, usize> = shared.keys().map(|name| (name.as_str(), 0)).collect();
    for (path, text) in resolvers() {
        let (own, copies) = text.split_once(COPIES).unwrap_or((&text, ""));
        for name in declarations(own).keys() {
            assert!(!shared.contains_key(name), "{path} declares {name} of {SHARED} before the line {COPIES:?}");
        }
        for (name, copy) in declarations(copies) {
            assert_eq!(Some(&copy), shared.get(&name), "{path}: {name} differs from {SHARED}");
            *uses.get_mut(name.as_str()).unwrap() += 1;
        }
    }
    for (name, count) in uses {
        assert!(count > 0, "{name} of {SHARED} is used by no resolver");
    }
}

const COPIES: &str = "// Copies of helpers in resolvers/shared.js, which says why.";

/// The declarations of a JavaScript file with their comments, by name. A blank line ends a declaration.
fn declarations(text: &str) -> BTreeMap<String, String> {
    let name = Regex::new(r"(?m)^(?:const|function) (\w+)").unwrap();
    let paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
    let named = paragraphs.filter_map(|paragraph| {
        let found = name.captures(paragraph).unwrap()?;
        Some((found.get(1)?.as_str().to_owned(), paragraph.to_owned()))
    });
    named.collect()
}

/// Constants that resolvers and Rust code both declare: the name in shared.js, the Rust file, the name there.
const COMMON_CONSTANTS: [(&str, &str, &str); 6] = [
    ("LEASE_MILLISECONDS", "handler/src/aws/dynamodb/expressions.rs", "LEASE"),
    ("MAX_EVENT_BLOCKS", "handler/turn/src/answer.rs", "MAX_EVENT_BLOCKS"),
    ("MAX_PENDING_CALLS", "handler/turn/src/tool_calls.rs", "MAX_STEP_CALLS"),
    ("MAX_PARTICIPANTS", "handler/src/aws/dynamodb/participant_lists.rs", "MAX_PARTICIPANTS"),
    ("MAX_SEQUENCE", "handler/src/aws/dynamodb/reads.rs", "MAX_SEQUENCE"),
    // A run is not started again before Lambda has retried it.
    ("START_INTERVAL_MILLISECONDS", "local/lambda/retry_policy.rs", "FIRST_RETRY_DELAY"),
];

#[test]
fn constants_of_resolvers_equal_those_of_rust() {
    for (name, path, rust_name) in COMMON_CONSTANTS {
        assert_eq!(shared_constant(name), rust_constant(path, rust_name), "{name} of {SHARED}, {rust_name} of {path}");
    }
}

#[test]
fn keys_have_the_same_digits_in_resolvers_and_rust() {
    let shared = read(SHARED);
    let keys = read("handler/src/aws/dynamodb/keys.rs");
    for number in ["position", "attempt", "sequence"] {
        let padded = Regex::new(&format!(r"\$\{{1(0+) \+ {number}\}}`\.slice\(1\)")).unwrap();
        let js_digits = padded.captures(shared.as_str()).unwrap().expect("shared.js pads the number")[1].len();
        assert!(keys.contains(&format!("{{{number}:0{js_digits}}}")), "{number} has {js_digits} digits in {SHARED}");
    }
}

#[test]
fn claimable_time_is_the_event_age_and_a_minute_for_two_clocks() {
    let event_age = u64::from(stack().functions["parlance-Handler"].event_invoke.max_event_age_seconds);
    assert_eq!(shared_constant("CLAIMABLE_MILLISECONDS"), (event_age + 60) * 1000);
}

fn shared_constant(name: &str) -> u64 {
    let declaration = Regex::new(&format!(r"const {name} = (\d+);")).unwrap();
    let shared = read(SHARED);
    let found = declaration.captures(shared.as_str()).unwrap();
    found.unwrap_or_else(|| panic!("{SHARED} does not declare {name}"))[1].parse().unwrap()
}

/// A number as it is. A duration of whole seconds in milliseconds.
fn rust_constant(path: &str, name: &str) -> u64 {
    let declaration = Regex::new(&format!(r"const {name}: \w+ = (Duration::from_secs\()?([\d_]+)\)?;")).unwrap();
    let source = read(path);
    let found = declaration.captures(source.as_str()).unwrap();
    let found = found.unwrap_or_else(|| panic!("{path} does not declare {name}"));
    let number: u64 = found[2].replace('_', "").parse().unwrap();
    if found.get(1).is_some() { number * 1000 } else { number }
}

/// AppSync refuses a change of an API while another one runs (ConcurrentModificationException), and a schema
/// takes longest.
#[test]
fn every_resource_that_changes_the_api_waits_for_the_schema() {
    let template = read("template.yaml");
    let (_, resources) = template.split_once("\nResources:\n").unwrap();
    let resources = resources.split("\nOutputs:\n").next().unwrap();
    let resource = Regex::new(r"(?m)^  (\w+):\n((?:    .*\n|\n)+)").unwrap();
    let waits = Regex::new(r"(?m)^    DependsOn: (?:Schema|\[.*\bSchema\b.*\])$").unwrap();
    let mut checked = 0;
    for found in resource.captures_iter(resources) {
        let found = found.unwrap();
        let (name, body) = (&found[1], &found[2]);
        let kind = body.lines().find_map(|line| line.strip_prefix("    Type: ")).unwrap();
        let is_the_api = ["AWS::AppSync::GraphQLApi", "AWS::AppSync::GraphQLSchema"].contains(&kind);
        let changes_the_api = kind.starts_with("AWS::AppSync::") || kind == "AWS::WAFv2::WebACLAssociation";
        if is_the_api || !changes_the_api {
            continue;
        }
        checked += 1;
        assert!(waits.is_match(body).unwrap(), "{name} needs DependsOn: Schema");
    }
    assert!(checked > 60, "the template has {checked} resources that change the API");
}

/// SAM refuses an empty value on its command line, and a parameter that is left out keeps its last value.
#[test]
fn every_parameter_can_be_set_to_its_default_again() {
    let template = read("template.yaml");
    let (_, parameters) = template.split_once("\nParameters:\n").unwrap();
    let (parameters, _) = parameters.split_once("\nRules:\n").unwrap();
    let defaults: Vec<_> = parameters.lines().filter_map(|line| line.strip_prefix("    Default: ")).collect();
    assert!(defaults.len() > 20, "{defaults:?}");
    assert!(!defaults.contains(&"\"\"") && !defaults.contains(&"''"), "no default is empty: {defaults:?}");
}

/// What holds data outlives its stack, but not a first deployment that has failed, which would leave it
/// behind empty.
#[test]
fn retained_resources_are_deleted_with_a_failed_first_deployment() {
    let template = read("template.yaml");
    let policies = |name: &str| -> Vec<String> {
        let prefix = format!("    {name}: ");
        template.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
    };
    assert_eq!(policies("DeletionPolicy"), ["RetainExceptOnCreate"; 4]);
    assert_eq!(policies("UpdateReplacePolicy"), ["Retain"; 4]);
}

/// With less than this, the API would refuse its own handler or its clients.
#[test]
fn query_depth_allows_the_documents_of_the_handler_and_of_clients() {
    let schema = schema();
    let depth_of = |text: &str| {
        let document = ExecutableDocument::parse_and_validate(&schema, text, "document.graphql").unwrap();
        let depths = document.operations.iter().map(|operation| depth(&document, &operation.selection_set));
        depths.max().unwrap()
    };
    let handler = depth_of(&read("handler/src/aws/publish.graphql"));
    let client = client::documents::ALL.iter().map(|text| depth_of(text)).max().unwrap();
    let gateway =
        gateway::graphql::Operation::ALL.iter().map(|operation| depth_of(operation.document())).max().unwrap();
    assert_eq!((handler, client), (5, 6), "the comment of the rule in template.yaml names both");
    assert!(gateway <= client, "the gateway's documents have {gateway} levels");
    let allows = |depth: usize| {
        let parameters = BTreeMap::from([("QueryDepth".to_owned(), depth.to_string())]);
        load(Path::new(env!("CARGO_MANIFEST_DIR")), &Deployment::at("http://localhost", parameters)).is_ok()
    };
    let refused: Vec<usize> = (0..=15).filter(|depth| !allows(*depth)).collect();
    assert_eq!(refused, Vec::from_iter(1..handler.max(client)));
}

/// How deep the fields are nested, as AppSync counts.
fn depth(document: &ExecutableDocument, set: &SelectionSet) -> usize {
    let depths = set.selections.iter().map(|selection| match selection {
        Selection::Field(field) => 1 + depth(document, &field.selection_set),
        Selection::FragmentSpread(spread) => depth(document, &document.fragments[&spread.fragment_name].selection_set),
        Selection::InlineFragment(inline) => depth(document, &inline.selection_set),
    });
    depths.max().unwrap_or(0)
}

#[test]
fn every_resolver_file_passes_the_deployment_checks() {
    for (path, text) in resolvers() {
        let checked = local::resolver::check(&Code { path: path.clone(), text });
        assert!(checked.is_ok(), "{}", checked.unwrap_err());
    }
}

/// AWS's lists of the runtime's methods have no `includes`, of strings or of arrays; `indexOf` is in both.
#[test]
fn resolvers_call_no_undocumented_method() {
    for (path, text) in resolvers() {
        assert!(!text.contains(".includes("), "{path} calls includes");
    }
}

#[test]
fn every_pipeline_function_is_used() {
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
fn every_root_field_has_a_resolver() {
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

/// The auth directives. A field or type without one allows the API's default mode alone.
const MODES: [&str; 4] = ["aws_api_key", "aws_cognito_user_pools", "aws_oidc", "aws_iam"];

#[test]
fn every_type_and_field_has_a_description_and_auth_modes() {
    let schema = schema();
    let own_types = schema.types.values().filter(|kind| !kind.is_built_in() && !kind.name().starts_with("AWS"));
    for kind in own_types {
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
fn reads_that_decide_are_strongly_consistent() {
    // An index cannot be read consistently; a question never changes; a page of events decides nothing.
    let undecided =
        ["agents/listAgents", "conversations/listConversations", "conversations/listEvents", "turns/loadQuestion"];
    for (path, text) in resolvers() {
        let reads = ["get", "batchGet", "query"].iter().any(|read| text.contains(&format!("return {read}(")));
        let decides = !undecided.iter().any(|name| path == format!("resolvers/{name}.js"));
        assert!(!reads || !decides || text.contains("consistentRead: true"), "{path} decides on an inconsistent read");
    }
}

#[test]
fn every_write_has_a_condition() {
    for (path, text) in resolvers() {
        let writes = text.matches("updateItem:").count()
            + text.matches("'UpdateItem'").count()
            + text.matches("return update(").count();
        let is_agent = path.ends_with("putAgent.js");
        let conditions = text.matches("condition").count();
        assert!(is_agent || conditions >= writes, "{path} has {writes} updates and {conditions} conditions");
    }
}

#[test]
fn publish_documents_select_every_field_of_an_update() {
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
    assert_eq!(operations, 3);
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
fn handler_uses_only_key_prefixes_of_the_resolvers() {
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
    let (resolvers, handler) = (prefixes(resolvers()), prefixes(files("handler/src/aws", "rs")));
    assert!(["CONVERSATION#", "TURN#", "EVENT#", "META"].iter().all(|key| handler.contains(*key)), "{handler:?}");
    // Only the handler claims tool calls, and connections are the gateway's.
    let others: BTreeSet<_> =
        handler.into_iter().filter(|key| !["TOOL#", "CONNECTIONS#"].contains(&key.as_str())).collect();
    assert!(others.is_subset(&resolvers), "the handler knows {others:?}, the resolvers {resolvers:?}");
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

/// Where a retired word may not occur.
#[derive(Clone, Copy, PartialEq)]
enum Scope {
    /// Identifiers, paths and prose.
    Anywhere,
    /// The same in Rust files.
    Rust,
    /// Names of functions, types, variables, modules and files.
    Names,
}

/// The field has another word for each: `tests/retired-words.txt` names it.
#[test]
fn retired_words_do_not_occur() {
    let retired = retired_words();
    let declaration =
        Regex::new(r"\b(?:let|let mut|fn|const|static|struct|enum|type|mod|function|var) (\w+)\b").unwrap();
    let mut found = Vec::new();
    for (path, text) in project_files() {
        let stem = Path::new(&path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        // The path is line 0.
        let declaring_path = format!("mod {stem} {path}");
        for (number, line) in std::iter::once(declaring_path.as_str()).chain(text.lines()).enumerate() {
            let words = lowercase_words(line);
            let pairs = words.windows(2).map(|pair| pair.join(" "));
            let occurring = words.iter().cloned().chain(pairs).filter(|word| match retired.get(word) {
                Some(Scope::Anywhere) => true,
                Some(Scope::Rust) => path.ends_with(".rs"),
                Some(Scope::Names) | None => false,
            });
            let declared = declaration.captures_iter(line).map(|found| found.unwrap()[1].to_owned());
            let names = declared.filter(|name| retired.get(name) == Some(&Scope::Names));
            found.extend(occurring.chain(names).map(|word| format!("{path}:{number}: {word}")));
        }
    }
    assert!(found.is_empty(), "{} retired words:\n{}", found.len(), found.join("\n"));
}

#[test]
fn identifiers_are_searched_word_by_word() {
    let words = ["let", "foo", "bar", "foo", "bar", "baz", "qux", "a", "b"];
    assert_eq!(lowercase_words("let fooBar = FooBAR::baz_qux(\"a-b\");"), words);
}

#[test]
fn comments_are_at_most_110_columns_wide() {
    let comment = Regex::new(r"^\s*(//|\* |# )").unwrap();
    let mut found = Vec::new();
    for (path, text) in project_files() {
        // The first line of a refused resolver is the expected error.
        let has_comments = !path.ends_with(".md") && !path.starts_with("tests/resolvers/refused/");
        for (index, line) in text.lines().enumerate().filter(|_| has_comments) {
            if line.chars().count() > 110 && comment.is_match(line).unwrap() {
                found.push(format!("{path}:{}", index + 1));
            }
        }
    }
    assert!(found.is_empty(), "{} wide comments:\n{}", found.len(), found.join("\n"));
}

#[test]
fn no_file_has_the_marker_of_a_merge() {
    let marker = Regex::new(r"(?m)^(<{7} |>{7} |={7}$)").unwrap();
    for (path, text) in project_files() {
        assert!(!marker.is_match(&text).unwrap(), "{path} has the marker of a merge");
    }
}

fn retired_words() -> BTreeMap<String, Scope> {
    let mut scope = None;
    let mut words = BTreeMap::new();
    for line in read("tests/retired-words.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line {
            "[words]" => scope = Some(Scope::Anywhere),
            "[rust words]" => scope = Some(Scope::Rust),
            "[names]" => scope = Some(Scope::Names),
            entry => {
                let scope = scope.expect("an entry is in a section");
                let (retired, _) = entry.split_once(" | ").expect("an entry has the field's word");
                words.extend(retired.split(", ").map(|word| (word.to_owned(), scope)));
            }
        }
    }
    words
}

/// The words of a line in lower case. Identifiers are split at underscores and capitals.
fn lowercase_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous = ' ';
    for letter in line.chars() {
        let begins_word = letter.is_uppercase() && !previous.is_uppercase();
        if begins_word || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        previous = letter;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The text files of the project with their text, without generated files, packages and lock files.
fn project_files() -> BTreeMap<String, String> {
    const SKIPPED: [&str; 7] = ["target", "node_modules", "dist", ".build", "generated", ".git", ".parlance"];
    const EXTENSIONS: [&str; 14] =
        ["rs", "js", "mjs", "ts", "tsx", "css", "html", "py", "yaml", "graphql", "json", "md", "toml", "sh"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let has_text = path.extension().is_some_and(|found| EXTENSIONS.iter().any(|extension| found == *extension));
            if path.is_dir() && !SKIPPED.contains(&name) {
                folders.push(path);
            } else if has_text && name != "package-lock.json" {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), text);
            }
        }
    }
    found
}
