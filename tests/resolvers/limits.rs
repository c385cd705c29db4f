//! Limits of the JavaScript engine: iterations, memory, stack, time and result size.
use std::time::Duration;

use local::resolver::{Engine, EngineEnvironment, Handler, Outcome};
use local::stack::Code;
use serde_json::json;

fn code(request: &str) -> Code {
    let text =
        format!("export function request(ctx) {{\n{request}\n}}\nexport const response = () => 'still running';\n");
    Code { path: "code.js".into(), text }
}

fn message(engine: &Engine, code: &Code, handler: Handler) -> String {
    match engine.run(code, handler, json!({ "arguments": { "list": (0..1001).collect::<Vec<_>>() } })).outcome {
        Outcome::Raised(raised) => raised.message,
        other => format!("{other:?}"),
    }
}

#[test]
fn handler_may_make_1000_iterations() {
    let engine = Engine::new().expect("the engine starts");
    let expected = "A handler may make 1000 loop iterations; this one makes more.";
    for body in [
        "for (const one of ctx.args.list) { ctx.stash.last = one; }",
        "for (const one of ctx.args.list) ctx.stash.last = one;",
        "for (const index in ctx.args.list) { ctx.stash.last = index; }",
        "return ctx.args.list.map((one) => one + 1);",
        "return ctx.args.list.map((one) => ({ one }));",
        "return ctx.args.list.filter((one) => { return one; });",
        "return ctx.args.list.reduce(function (sum, one) { return sum + one; }, 0);",
        "const same = (one) => one; return ctx.args.list.filter(same);",
        "const half = ctx.args.list.slice(0, 501); half.forEach((one) => one); half.forEach((one) => one);",
    ] {
        assert_eq!(message(&engine, &code(body), Handler::Request), expected, "{body}");
    }
    let enough = code("return ctx.args.list.slice(1).map((one) => one).length;");
    assert_eq!(message(&engine, &enough, Handler::Request), "Returned(Number(1000))");
}

#[test]
fn history_with_citations_and_reasoning_is_sent_within_the_iterations() {
    let engine = Engine::new().expect("the engine starts");
    let text = include_str!("../../resolvers/turns/startTurn.js").to_owned();
    let code = Code { path: "startTurn.js".into(), text };
    let plain = json!({ "text": "So." });
    let citing = json!({ "text": "So [1].", "citations": [{ "passage": "Alpha." }] });
    let reasoning = json!({ "reasoning": { "text": "Alpha." } });
    for (blocks, block, expected) in [
        (1, &plain, 201),
        (64, &plain, 201),
        (1, &citing, 190),
        (3, &citing, 63),
        (64, &citing, 2),
        (1, &reasoning, 190),
        (64, &reasoning, 2),
    ] {
        let event = |position: u32| json!({ "position": position, "content": vec![block.clone(); blocks] });
        let stash = json!({
            "agent": { "id": "a", "version": 1, "modelId": "m", "contextBytes": 1, "tools": [] },
            "conversation": { "id": "c1" },
            "recentEvents": (1..=201).rev().map(event).collect::<Vec<_>>(),
            "question": { "position": 202, "content": [{ "text": "Why?" }] },
            "queuedTurn": { "id": "t", "run": 1, "status": "QUEUED", "runPosition": 202, "answerPosition": 202 },
        });
        match engine.run(&code, Handler::Request, json!({ "arguments": {}, "stash": stash })).outcome {
            Outcome::Returned(request) => {
                let history = request["payload"]["history"].as_array().expect("a history");
                assert_eq!(history.len(), expected, "{blocks} blocks");
                assert!(!request.to_string().contains("Alpha"), "{blocks} blocks");
            }
            other => panic!("{blocks} blocks: {other:?}"),
        }
    }
}

#[test]
fn utilities_do_not_count_as_iterations() {
    let engine = Engine::new().expect("the engine starts");
    let large = code("return util.dynamodb.toDynamoDB(ctx.args.list).L.length;");
    assert_eq!(message(&engine, &large, Handler::Request), "Returned(Number(1001))");
}

#[test]
fn engine_survives_a_handler_that_exhausts_memory() {
    let engine = Engine::new().expect("the engine starts");
    let greedy = code("let text = 'x'; for (const one of ctx.args.list.slice(0, 40)) text += text; return text;");
    let error = message(&engine, &greedy, Handler::Request);
    assert!(error.starts_with("code.js"), "{error}");
    assert_eq!(message(&engine, &greedy, Handler::Response), "Returned(String(\"still running\"))");
}

#[test]
fn engine_survives_infinite_recursion() {
    let engine = Engine::new().expect("the engine starts");
    let endless = code("const again = () => again() + 1; return again();");
    let error = message(&engine, &endless, Handler::Request);
    assert!(error.contains("stack"), "{error}");
    assert_eq!(message(&engine, &endless, Handler::Response), "Returned(String(\"still running\"))");
}

#[test]
fn handler_is_stopped_at_its_time_limit() {
    let environment = EngineEnvironment { handler_timeout: Duration::from_millis(50), ..EngineEnvironment::default() };
    let engine = Engine::with_environment(environment).expect("the engine starts");
    let endless = code("while (true) {}");
    assert_eq!(message(&engine, &endless, Handler::Request), "The handler ran longer than 50ms.");
    let slow = code(
        "let text = 'ab'; for (const one of ctx.args.list.slice(0, 18)) text += text;
        for (const one of ctx.args.list.slice(0, 900)) text.split('a');",
    );
    assert_eq!(message(&engine, &slow, Handler::Request), "The handler ran longer than 50ms.");
    assert_eq!(message(&engine, &endless, Handler::Response), "Returned(String(\"still running\"))");
}

#[test]
fn result_has_at_most_5_megabytes() {
    let engine = Engine::new().expect("the engine starts");
    let large = code("let text = 'x'; for (const one of ctx.args.list.slice(0, 23)) text += text; return text;");
    let expected = "A handler may evaluate to 5242880 bytes, not to 8388610.";
    assert_eq!(message(&engine, &large, Handler::Request), expected);
    let early =
        code("let text = 'x'; for (const one of ctx.args.list.slice(0, 23)) text += text; runtime.earlyReturn(text);");
    assert_eq!(message(&engine, &early, Handler::Request), expected);
    let stashed = code(
        "let text = 'x'; for (const one of ctx.args.list.slice(0, 22)) text += text;
        Object.assign(ctx.stash, { text, more: text }); return text.length;",
    );
    assert_eq!(message(&engine, &stashed, Handler::Request), "Returned(Number(4194304))");
}

#[test]
fn unsupported_globals_are_undefined() {
    let engine = Engine::new().expect("the engine starts");
    for name in ["eval", "Function", "Date", "RegExp", "Promise", "Map", "Symbol", "globalThis", "setTimeout", "native"]
    {
        let result = message(&engine, &code(&format!("return typeof {name};")), Handler::Request);
        assert_eq!(result, "Returned(String(\"undefined\"))", "{name}");
    }
    let constructor = code("return (() => 1).constructor === Object;");
    assert_eq!(message(&engine, &constructor, Handler::Request), "Returned(Bool(true))");
}
