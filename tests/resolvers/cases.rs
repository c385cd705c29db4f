//! Calls handlers with the cases of `cases/` and compares their results.
use std::path::{Path, PathBuf};
use std::rc::Rc;

use local::resolver::{Engine, EngineEnvironment, Handler, HandlerError, HandlerReport, Invalidation, Outcome, SkipTo};
use local::stack::Code;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{files, read};

/// One call of a handler and its expected results. Absent results are not compared. `{"$text": "ab", "times":
/// 2}` means `"abab"`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: String,
    /// An expression that the request handler returns, instead of a whole file.
    evaluate: Option<String>,
    /// The lines of a file.
    code: Option<Vec<String>>,
    /// A file of the repository. Cases in `functions/` use the resolver with the name of the case file.
    file: Option<String>,
    #[serde(default)]
    handler: HandlerName,
    context: Option<Value>,
    /// The context as JSON text, which may hold lone surrogates.
    context_text: Option<String>,

    /// An expected `null` is `Some(Value::Null)`.
    #[serde(default, deserialize_with = "some")]
    returns: Option<Value>,
    early_return: Option<EarlyReturn>,
    raises: Option<Value>,
    #[serde(default)]
    unauthorized: bool,
    arguments: Option<Value>,
    stash: Option<Value>,
    appended: Option<Vec<Value>>,
    logs: Option<Vec<String>>,
    subscription_filter: Option<Value>,
    invalidation_filter: Option<Value>,
    invalidations: Option<Value>,
    response_headers: Option<Value>,
}

const IMPORTS: &str = "\
import { util, extensions, runtime } from '@aws-appsync/utils';
import * as ddb from '@aws-appsync/utils/dynamodb';
";

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum HandlerName {
    #[default]
    Request,
    Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EarlyReturn {
    value: Value,
    skip_to: SkipTo,
}

#[test]
fn handlers_return_recorded_and_documented_results() {
    let engine = Engine::with_environment(fixed_environment()).expect("the engine starts");
    let failures: Vec<String> = files("cases").iter().flat_map(|path| check_file(&engine, path)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_resolver_of_the_backend_passes_its_cases() {
    let engine = Engine::with_environment(fixed_environment()).expect("the engine starts");
    let resolvers = resolver_names();
    assert_eq!(case_files(), resolvers, "there is a case file for each resolver, and no other");
    let failures: Vec<String> = resolvers.iter().flat_map(|path| check_function(&engine, path)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn check_function(engine: &Engine, name: &String) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/resolvers/cases/functions/{name}.json"));
    let cases: Vec<Case> =
        cases(&path).into_iter().map(|case| case.for_resolver(format!("resolvers/{name}.js"))).collect();
    let has_case = |handler| cases.iter().any(|case| case.handler == handler);
    assert!(has_case(HandlerName::Request) && has_case(HandlerName::Response), "{name} has a handler without a case");
    cases.iter().flat_map(|case| check(engine, &path, case)).collect()
}

/// The resolvers: `turns/loadTurn`.
fn resolver_names() -> Vec<String> {
    names_in_folders("resolvers")
}

/// The case files of the resolvers: `turns/loadTurn`.
fn case_files() -> Vec<String> {
    names_in_folders("tests/resolvers/cases/functions")
}

fn names_in_folders(root: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let folders = sorted(&root).into_iter().filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| sorted(&folder));
    files.map(|file| file.strip_prefix(&root).expect("below").with_extension("").display().to_string()).collect()
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a readable folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    paths
}

fn check_file(engine: &Engine, path: &Path) -> Vec<String> {
    cases(path).iter().flat_map(|case| check(engine, path, case)).collect()
}

fn cases(path: &Path) -> Vec<Case> {
    let parsed = serde_json::from_str(&read(path)).map(expand_texts).and_then(serde_json::from_value);
    let cases: Vec<Case> = parsed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(!cases.is_empty(), "{} holds no case", path.display());
    cases
}

/// The value with every `{"$text": …, "times": …}` replaced by its text.
fn expand_texts(value: Value) -> Value {
    match value {
        Value::Object(members) => match (members.get("$text"), members.get("times")) {
            (Some(Value::String(text)), Some(times)) => {
                json!(text.repeat(times.as_u64().and_then(|times| times.try_into().ok()).expect("a number of times")))
            }
            _ => members.into_iter().map(|(name, value)| (name, expand_texts(value))).collect(),
        },
        Value::Array(list) => list.into_iter().map(expand_texts).collect(),
        other => other,
    }
}

fn check(engine: &Engine, path: &Path, case: &Case) -> Vec<String> {
    let result = run(engine, case);
    let comparisons = [
        case.expected_outcome().map(|expected| ("outcome", expected, outcome(&result))),
        case.arguments.clone().map(|expected| ("arguments", expected, result.arguments.clone())),
        case.stash.clone().map(|expected| ("stash", expected, result.stash.clone())),
        case.appended
            .clone()
            .map(|expected| ("appended", json!(expected), result.appended.iter().map(error_value).collect())),
        case.logs.clone().map(|expected| ("logs", json!(expected), json!(result.logs))),
        case.subscription_filter.clone().map(|expected| ("filter", expected, json!(result.subscription_filter))),
        case.invalidation_filter
            .clone()
            .map(|expected| ("invalidation filter", expected, json!(result.invalidation_filter))),
        case.invalidations.clone().map(|expected| ("invalidations", expected, invalidations(&result))),
        case.response_headers.clone().map(|expected| ("headers", expected, json!(result.response_headers))),
    ];
    let file = path.display();
    let describe = |(member, expected, actual): (&str, Value, Value)| {
        let differs = expected != actual;
        differs.then(|| format!("{file}: {}: {member}\n  expected {expected}\n  actual   {actual}", case.name))
    };
    comparisons.into_iter().flatten().filter_map(describe).collect()
}

fn some<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

impl Case {
    /// The outcome of a resolver is always compared: without an expected outcome it must return `null`.
    fn for_resolver(self, resolver: String) -> Self {
        Case { file: Some(resolver), returns: Some(self.returns.unwrap_or_default()), ..self }
    }

    fn expected_outcome(&self) -> Option<Value> {
        let early = self.early_return.as_ref();
        let early = early.map(|early| json!({ "earlyReturn": early.value, "skipTo": format!("{:?}", early.skip_to) }));
        let returned = self.returns.as_ref().map(|value| json!({ "returned": value }));
        let raised = self.raises.as_ref().map(|value| json!({ "raised": value }));
        let unauthorized = self.unauthorized.then(|| json!("unauthorized"));
        early.or(raised).or(unauthorized).or(returned)
    }

    fn code(&self) -> Code {
        let text = match (&self.evaluate, &self.code, &self.file) {
            (Some(expression), None, None) => {
                format!(
                    "{IMPORTS}export const request = (ctx) => ({expression});\nexport const response = () => null;\n"
                )
            }
            (None, Some(lines), None) => format!("{IMPORTS}{}", lines.join("\n")),
            (None, None, Some(file)) => read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file)),
            _ => panic!("{}: a case has one of evaluate, code and file", self.name),
        };
        Code { path: self.file.clone().unwrap_or_else(|| "case.js".into()), text }
    }
}

fn run(engine: &Engine, case: &Case) -> HandlerReport {
    let handler = match case.handler {
        HandlerName::Request => Handler::Request,
        HandlerName::Response => Handler::Response,
    };
    match &case.context_text {
        Some(text) => engine.run_json(&case.code(), handler, text),
        None => engine.run(&case.code(), handler, case.context.clone().unwrap_or_else(|| json!({}))),
    }
}

fn outcome(result: &HandlerReport) -> Value {
    match &result.outcome {
        Outcome::Returned(value) => json!({ "returned": value }),
        Outcome::EarlyReturn { value, skip_to } => json!({ "earlyReturn": value, "skipTo": format!("{skip_to:?}") }),
        Outcome::Raised(error) => json!({ "raised": error_value(error) }),
        Outcome::Unauthorized => json!("unauthorized"),
    }
}

fn error_value(error: &HandlerError) -> Value {
    let mut members = serde_json::Map::from_iter([("message".to_owned(), json!(error.message))]);
    let optional = [("errorType", json!(error.error_type)), ("data", error.data.clone()), ("info", error.info.clone())];
    members.extend(
        optional.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)),
    );
    Value::Object(members)
}

fn invalidations(result: &HandlerReport) -> Value {
    let value = |invalidation: &Invalidation| json!({ invalidation.subscription_field.as_str(): invalidation.payload });
    result.invalidations.iter().map(value).collect()
}

/// The time is always 2026-01-02T03:04:05.678Z, and all random bits are the same.
fn fixed_environment() -> EngineEnvironment {
    EngineEnvironment {
        now: Rc::new(|| "2026-01-02T03:04:05.678Z".parse().expect("a time")),
        random: Rc::new(|| 0x0123_4567_89ab_cdef),
        ..EngineEnvironment::default()
    }
}
