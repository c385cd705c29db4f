//! Resolver files: the check of AppSync's rules, and the execution of the files that pass it.
use std::time::Duration;

use local::{
    resolver::{Engine, EngineEnvironment, Handler, check},
    stack::Code,
};
use serde_json::json;

use crate::{
    byte_inputs,
    fuzzer::{Target, fuzz, run_on_thread},
    mutator::Mutator,
    project_files,
};

const HANDLER_TIMEOUT: Duration = Duration::from_millis(300);
/// The characters after which a word ends.
const WORD_ENDS: [char; 6] = [' ', '(', ')', '.', ';', '\n'];

struct ResolverFiles;

/// A resolver file whose request handler has this body.
fn with_body(body: &str) -> String {
    format!(
        "import {{ util, extensions, runtime }} from '@aws-appsync/utils';\n\
         import * as ddb from '@aws-appsync/utils/dynamodb';\n\
         export function request(ctx) {{\n{body}\n}}\nexport function response(ctx) {{ return ctx.result; }}\n"
    )
}

/// Bodies that are expensive to run, or that give utilities unusual arguments.
const BODIES: [&str; 15] = [
    "let t = 'ab'; for (const one of 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.split('')) t += t; return t;",
    "return util.matches('(a+)+$', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab');",
    "return util.matches('(?:(?:a{0,1000}){0,1000}){0,1000}', 'a');",
    "return 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'.replaceAll('(?=(a+)+c)(a*)', '$9${x}$');",
    "return util.time.nowFormatted('yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy[[[[[', 'Nowhere/At all');",
    "return util.time.epochMilliSecondsToISO8601(1e300);",
    "return util.time.parseFormattedToEpochMilliSeconds('99999999999', 'yyyy');",
    "return util.math.roundNum(1e400) + util.math.randomWithinRange(1e308, -1e308);",
    "return util.base64Decode('////') + util.urlDecode('%f0%9f') + util.escapeJavaScript('\\ud800');",
    "return util.xml.toMap('<a><a><a>');",
    "const a = {}; a.a = a; return a;",
    "ctx.stash.a = ctx; return ctx;",
    "return util.transform.toSubscriptionFilter({ a: { eq: ctx } });",
    "return [].concat([[[[1]]]]).flat(1e9).fill(0, -1e9, 1e9);",
    "return ''.split('').concat(ctx.args.list).sort().reverse().join(ctx.args.list.join('x'));",
];

/// Bodies that are nested too deeply for a recursive parser.
fn nested_bodies() -> Vec<String> {
    let nested = |opening: &str, middle: &str, closing: &str, depth: usize| {
        format!("return {}{middle}{};", opening.repeat(depth), closing.repeat(depth))
    };
    vec![
        nested("(", "1", ")", 10_000),
        nested("[", "", "]", 10_000),
        nested("{a:", "1", "}", 6_000),
        nested("!", "1", "", 20_000),
        nested("- ", "1", "", 10_000),
        nested("1+", "1", "", 10_000),
        nested("a.", "a", "", 10_000),
        nested("a?a:", "1", "", 6_000),
        nested("a=>", "1", "", 6_000),
        nested("a(", "1", ")", 8_000),
        nested("`${", "1", "}`", 5_000),
        nested("typeof ", "1", "", 3_000),
        "{".repeat(10_000),
        "{".repeat(10_000) + &"}".repeat(10_000),
        "if (a) ; else ".repeat(2_000),
        "for (const a of b) ".repeat(1_500),
    ]
}

impl Target for ResolverFiles {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let mut files = Vec::new();
        files.extend(BODIES.iter().map(|body| with_body(body).into_bytes()));
        files.extend(nested_bodies().iter().map(|body| with_body(body).into_bytes()));
        files.extend(byte_inputs(&[
            "\u{feff}",
            "export const request = 1, response = 2;",
            "export { request, request as response } from 'nowhere';",
        ]));
        for folder in ["resolvers", "tests/resolvers/accepted", "tests/resolvers/refused"] {
            files.extend(project_files(folder).iter().map(|path| std::fs::read(path).expect("the file is readable")));
        }
        files
    }

    /// In two cases of three, words are removed, repeated or taken from another file, so that many files
    /// still parse.
    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        if mutator.one_in(3) {
            return mutator.mutate_any(corpus);
        }
        let file = String::from_utf8_lossy(mutator.choose_input(corpus)).into_owned();
        let other_file = String::from_utf8_lossy(mutator.choose_input(corpus)).into_owned();
        let mut words: Vec<&str> = file.split_inclusive(WORD_ENDS).collect();
        let other_words: Vec<&str> = other_file.split_inclusive(WORD_ENDS).collect();
        for _ in 0..=mutator.below(3) {
            let position = mutator.below(words.len());
            match mutator.below(3) {
                0 if words.len() > 1 => drop(words.remove(position)),
                1 => words.insert(position, *mutator.choose::<&str>(&other_words)),
                _ => words.insert(position, words[mutator.below(words.len())]),
            }
        }
        words.concat().into()
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let code = Code { path: "fuzzed.js".into(), text: String::from_utf8_lossy(input).into_owned() };
        run_on_thread(move || {
            if check(&code).is_ok() {
                run_handlers(&code);
            }
        })
        .await
    }
}

fn run_handlers(code: &Code) {
    let environment = EngineEnvironment { handler_timeout: HANDLER_TIMEOUT, ..EngineEnvironment::default() };
    let engine = Engine::with_environment(environment).expect("the engine starts");
    let list: Vec<_> = (0..1_000).collect();
    let context = json!({ "arguments": { "list": list, "id": "c1" }, "stash": {}, "result": { "items": [] } });
    for handler in [Handler::Request, Handler::Response, Handler::Request] {
        engine.run(code, handler, context.clone());
    }
}

#[tokio::test]
async fn resolver_files() {
    fuzz("resolver files", 150, &mut ResolverFiles).await;
}
