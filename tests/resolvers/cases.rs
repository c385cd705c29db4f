use std::path::{Path, PathBuf};
use std::rc::Rc;

use local::resolver::{Ambient, Engine, Handler, Outcome, Raised, Run, SkipTo};
use local::stack::Code;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{files, read};

/// One call of a handler. What is not said is not compared. `{"$text": "ab", "times": 2}` stands for `"abab"`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: String,
    /// An expression that the request handler returns, instead of a whole file.
    evaluate: Option<String>,
    /// Lines of a file.
    code: Option<Vec<String>>,
    /// A file of the repository; in `functions/` it is the resolver that the data file is named after.
    file: Option<String>,
    #[serde(default)]
    handler: Side,
    context: Option<Value>,
    /// The context as JSON text, where a value cannot hold it.
    context_text: Option<String>,

    /// `null` is compared too.
    #[serde(default, deserialize_with = "said")]
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
enum Side {
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
fn handlers_answer_as_recorded_and_documented() {
    let engine = Engine::with_ambient(fixed()).expect("the engine starts");
    let faults: Vec<String> = files("cases").iter().flat_map(|path| check_file(&engine, path)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn every_function_of_the_backend_answers_as_written() {
    let engine = Engine::with_ambient(fixed()).expect("the engine starts");
    let resolvers = resolver_names();
    assert_eq!(case_files(), resolvers, "each resolver has a data file, and nothing else has");
    let faults: Vec<String> = resolvers.iter().flat_map(|path| check_function(&engine, path)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

fn check_function(engine: &Engine, name: &String) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/resolvers/cases/functions/{name}.json"));
    let cases: Vec<Case> =
        cases(&path).into_iter().map(|case| case.of_function(format!("resolvers/{name}.js"))).collect();
    let called = |side| cases.iter().any(|case| case.handler == side);
    assert!(called(Side::Request) && called(Side::Response), "{name} has a handler without a case");
    cases.iter().flat_map(|case| check(engine, &path, case)).collect()
}

/// The deployed resolvers, as `turns/loadTurn`.
fn resolver_names() -> Vec<String> {
    names_in_folders("resolvers")
}

/// The data files of the resolvers, as `turns/loadTurn`.
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
    let written = serde_json::from_str(&read(path)).map(written_out).and_then(serde_json::from_value);
    let cases: Vec<Case> = written.unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    assert!(!cases.is_empty(), "{} holds no case", path.display());
    cases
}

/// The value with every `{"$text": …, "times": …}` in it as the text it stands for.
fn written_out(value: Value) -> Value {
    match value {
        Value::Object(members) => match (members.get("$text"), members.get("times")) {
            (Some(Value::String(text)), Some(times)) => {
                json!(text.repeat(times.as_u64().and_then(|times| times.try_into().ok()).expect("a number of times")))
            }
            _ => members.into_iter().map(|(name, value)| (name, written_out(value))).collect(),
        },
        Value::Array(list) => list.into_iter().map(written_out).collect(),
        other => other,
    }
}

fn check(engine: &Engine, path: &Path, case: &Case) -> Vec<String> {
    let run = run(engine, case);
    let compared = [
        case.expected_outcome().map(|expected| ("outcome", expected, outcome(&run))),
        case.arguments.clone().map(|expected| ("arguments", expected, run.arguments.clone())),
        case.stash.clone().map(|expected| ("stash", expected, run.stash.clone())),
        case.appended.clone().map(|expected| ("appended", json!(expected), run.appended.iter().map(raised).collect())),
        case.logs.clone().map(|expected| ("logs", json!(expected), json!(run.logs))),
        case.subscription_filter.clone().map(|expected| ("filter", expected, json!(run.subscription_filter))),
        case.invalidation_filter
            .clone()
            .map(|expected| ("invalidation filter", expected, json!(run.invalidation_filter))),
        case.invalidations.clone().map(|expected| ("invalidations", expected, invalidations(&run))),
        case.response_headers.clone().map(|expected| ("headers", expected, json!(run.response_headers))),
    ];
    let file = path.display();
    let told = |(what, expected, found): (&str, Value, Value)| {
        (expected != found).then(|| format!("{file}: {}: {what}\n  expected {expected}\n  found    {found}", case.name))
    };
    compared.into_iter().flatten().filter_map(told).collect()
}

fn said<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

impl Case {
    /// A function's outcome is always compared: where a case names none, `null` is returned.
    fn of_function(self, resolver: String) -> Self {
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

fn run(engine: &Engine, case: &Case) -> Run {
    let handler = match case.handler {
        Side::Request => Handler::Request,
        Side::Response => Handler::Response,
    };
    match &case.context_text {
        Some(text) => engine.run_text(&case.code(), handler, text),
        None => engine.run(&case.code(), handler, case.context.clone().unwrap_or_else(|| json!({}))),
    }
}

fn outcome(run: &Run) -> Value {
    match &run.outcome {
        Outcome::Returned(value) => json!({ "returned": value }),
        Outcome::EarlyReturn { value, skip_to } => json!({ "earlyReturn": value, "skipTo": format!("{skip_to:?}") }),
        Outcome::Raised(error) => json!({ "raised": raised(error) }),
        Outcome::Unauthorized => json!("unauthorized"),
    }
}

fn raised(error: &Raised) -> Value {
    let mut members = serde_json::Map::from_iter([("message".to_owned(), json!(error.message))]);
    let optional = [("errorType", json!(error.error_type)), ("data", error.data.clone()), ("info", error.info.clone())];
    members.extend(
        optional.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)),
    );
    Value::Object(members)
}

fn invalidations(run: &Run) -> Value {
    let told = |one: &local::resolver::Invalidation| json!({ one.subscription_field.as_str(): one.payload });
    run.invalidations.iter().map(told).collect()
}

/// It is always 2026-01-02T03:04:05.678Z, and chance has no choice.
fn fixed() -> Ambient {
    Ambient {
        now: Rc::new(|| "2026-01-02T03:04:05.678Z".parse().expect("a time")),
        random: Rc::new(|| 0x0123_4567_89ab_cdef),
        ..Ambient::default()
    }
}
