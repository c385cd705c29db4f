//! Resolver files: whether AppSync would take them, and what happens when those that it would take are run.
use std::{path::Path, time::Duration};

use local::{
    resolver::{Engine, EngineEnvironment, Handler, check},
    stack::Code,
};
use serde_json::json;

use super::{Target, aside, besiege, files_below, texts};
use crate::dice::Dice;

const HANDLER_TIME: Duration = Duration::from_millis(300);

struct Files;

/// Handlers around a piece of code.
fn file(body: &str) -> String {
    format!(
        "import {{ util, extensions, runtime }} from '@aws-appsync/utils';\nimport * as ddb from '@aws-appsync/utils/dynamodb';\n\
         export function request(ctx) {{\n{body}\n}}\nexport function response(ctx) {{ return ctx.result; }}\n"
    )
}

fn below(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    files_below(&folder).iter().map(|path| std::fs::read(path).expect("a readable file")).collect()
}

impl Target for Files {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let nested = |opening: &str, middle: &str, closing: &str, depth: usize| {
            file(&format!("return {}{middle}{};", opening.repeat(depth), closing.repeat(depth)))
        };
        let doubled = "let t = 'ab'; for (const one of 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.split('')) t += t; return t;";
        let bodies = [
            doubled.to_owned(),
            "return util.matches('(a+)+$', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab');".into(),
            "return util.matches('(?:(?:a{0,1000}){0,1000}){0,1000}', 'a');".into(),
            "return 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'.replaceAll('(?=(a+)+c)(a*)', '$9${x}$');".into(),
            "return util.time.nowFormatted('yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy[[[[[', 'Nowhere/At all');".into(),
            "return util.time.epochMilliSecondsToISO8601(1e300);".into(),
            "return util.time.parseFormattedToEpochMilliSeconds('99999999999', 'yyyy');".into(),
            "return util.math.roundNum(1e400) + util.math.randomWithinRange(1e308, -1e308);".into(),
            "return util.base64Decode('////') + util.urlDecode('%f0%9f') + util.escapeJavaScript('\\ud800');".into(),
            "return util.xml.toMap('<a><a><a>');".into(),
            "const a = {}; a.a = a; return a;".into(),
            "ctx.stash.a = ctx; return ctx;".into(),
            "return util.transform.toSubscriptionFilter({ a: { eq: ctx } });".into(),
            "return [].concat([[[[1]]]]).flat(1e9).fill(0, -1e9, 1e9);".into(),
            "return ''.split('').concat(ctx.args.list).sort().reverse().join(ctx.args.list.join('x'));".into(),
        ];
        let mut files: Vec<_> = bodies.iter().map(|body| file(body).into()).collect();
        files.extend(texts(&[
            &nested("(", "1", ")", 10_000),
            &nested("[", "", "]", 10_000),
            &nested("{a:", "1", "}", 6_000),
            &nested("!", "1", "", 20_000),
            &nested("- ", "1", "", 10_000),
            &nested("1+", "1", "", 10_000),
            &nested("a.", "a", "", 10_000),
            &nested("a?a:", "1", "", 6_000),
            &nested("a=>", "1", "", 6_000),
            &nested("a(", "1", ")", 8_000),
            &nested("`${", "1", "}`", 5_000),
            &nested("typeof ", "1", "", 3_000),
            &file(&"{".repeat(10_000)),
            &file(&format!("{}{}", "{".repeat(10_000), "}".repeat(10_000))),
            &file(&"if (a) ; else ".repeat(2_000)),
            &file(&"for (const a of b) ".repeat(1_500)),
            "\u{feff}",
            "export const request = 1, response = 2;",
            "export { request, request as response } from 'nowhere';",
        ]));
        files.extend(below("resolvers"));
        files.extend(below("tests/resolvers/accepted"));
        files.extend(below("tests/resolvers/refused"));
        files
    }

    /// Mostly words moved about, so that it still parses now and then.
    fn compose(&mut self, dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
        if dice.one_in(3) {
            return dice.mutated(corpus);
        }
        let text = String::from_utf8_lossy(dice.one_of(corpus)).into_owned();
        let other = String::from_utf8_lossy(dice.one_of(corpus)).into_owned();
        let mut words: Vec<&str> = text.split_inclusive([' ', '(', ')', '.', ';', '\n']).collect();
        let others: Vec<&str> = other.split_inclusive([' ', '(', ')', '.', ';', '\n']).collect();
        for _ in 0..=dice.below(3) {
            let at = dice.below(words.len());
            match dice.below(3) {
                0 if words.len() > 1 => drop(words.remove(at)),
                1 => words.insert(at, others[dice.below(others.len())]),
                _ => words.insert(at, words[dice.below(words.len())]),
            }
        }
        words.concat().into()
    }

    async fn take(&mut self, input: &[u8]) -> Result<(), String> {
        let code = Code { path: "fuzzed.js".into(), text: String::from_utf8_lossy(input).into_owned() };
        aside(move || {
            if check(&code).is_ok() {
                let engine = Engine::with_environment(EngineEnvironment {
                    handler_timeout: HANDLER_TIME,
                    ..EngineEnvironment::default()
                });
                let engine = engine.expect("an engine");
                let list: Vec<_> = (0..1_000).collect();
                let context =
                    json!({ "arguments": { "list": list, "id": "c1" }, "stash": {}, "result": { "items": [] } });
                for handler in [Handler::Request, Handler::Response, Handler::Request] {
                    engine.run(&code, handler, context.clone());
                }
            }
        })
        .await
    }
}

#[tokio::test]
async fn resolver_files_of_strangers() {
    besiege("resolver files", 150, &mut Files).await;
}
