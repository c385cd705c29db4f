use std::time::Duration;

use local::resolver::{Ambient, Engine, Handler, Outcome};
use local::stack::Code;
use serde_json::json;

fn code(request: &str) -> Code {
    let text = format!("export function request(ctx) {{\n{request}\n}}\nexport const response = () => 'still here';\n");
    Code { path: "code.js".into(), text }
}

fn message(engine: &Engine, code: &Code, handler: Handler) -> String {
    match engine.run(code, handler, json!({ "arguments": { "list": (0..1001).collect::<Vec<_>>() } })).outcome {
        Outcome::Raised(raised) => raised.message,
        other => format!("{other:?}"),
    }
}

#[test]
fn a_handler_makes_at_most_1000_iterations() {
    let engine = Engine::new().expect("the engine starts");
    let refused = "A handler may make 1000 loop iterations; this one makes more.";
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
        assert_eq!(message(&engine, &code(body), Handler::Request), refused, "{body}");
    }
    let enough = code("return ctx.args.list.slice(1).map((one) => one).length;");
    assert_eq!(message(&engine, &enough, Handler::Request), "Returned(Number(1000))");
}

#[test]
fn utilities_do_not_count_as_iterations() {
    let engine = Engine::new().expect("the engine starts");
    let large = code("return util.dynamodb.toDynamoDB(ctx.args.list).L.length;");
    assert_eq!(message(&engine, &large, Handler::Request), "Returned(Number(1001))");
}

#[test]
fn a_handler_that_asks_for_too_much_memory_ends_and_the_engine_lives_on() {
    let engine = Engine::new().expect("the engine starts");
    let greedy = code("let text = 'x'; for (const one of ctx.args.list.slice(0, 40)) text += text; return text;");
    assert!(
        message(&engine, &greedy, Handler::Request).starts_with("code.js"),
        "{}",
        message(&engine, &greedy, Handler::Request)
    );
    assert_eq!(message(&engine, &greedy, Handler::Response), "Returned(String(\"still here\"))");
}

#[test]
fn a_handler_that_calls_itself_without_end_ends_and_the_engine_lives_on() {
    let engine = Engine::new().expect("the engine starts");
    let endless = code("const again = () => again() + 1; return again();");
    let message_of_endless = message(&engine, &endless, Handler::Request);
    assert!(message_of_endless.contains("stack"), "{message_of_endless}");
    assert_eq!(message(&engine, &endless, Handler::Response), "Returned(String(\"still here\"))");
}

#[test]
fn a_handler_that_never_ends_is_stopped() {
    let ambient = Ambient { handler_time: Duration::from_millis(50), ..Ambient::default() };
    let engine = Engine::with_ambient(ambient).expect("the engine starts");
    let endless = code("while (true) {}");
    assert_eq!(message(&engine, &endless, Handler::Request), "The handler ran longer than 50ms.");
    let slow = code(
        "let text = 'ab'; for (const one of ctx.args.list.slice(0, 18)) text += text;
        for (const one of ctx.args.list.slice(0, 900)) text.split('a');",
    );
    assert_eq!(message(&engine, &slow, Handler::Request), "The handler ran longer than 50ms.");
    assert_eq!(message(&engine, &endless, Handler::Response), "Returned(String(\"still here\"))");
}

#[test]
fn a_result_has_at_most_5_megabytes() {
    let engine = Engine::new().expect("the engine starts");
    let large = code("let text = 'x'; for (const one of ctx.args.list.slice(0, 23)) text += text; return text;");
    let refused = "A handler may evaluate to 5242880 bytes, not to 8388610.";
    assert_eq!(message(&engine, &large, Handler::Request), refused);
    let early =
        code("let text = 'x'; for (const one of ctx.args.list.slice(0, 23)) text += text; runtime.earlyReturn(text);");
    assert_eq!(message(&engine, &early, Handler::Request), refused);
    let stashed = code(
        "let text = 'x'; for (const one of ctx.args.list.slice(0, 22)) text += text;
        Object.assign(ctx.stash, { text, more: text }); return text.length;",
    );
    assert_eq!(message(&engine, &stashed, Handler::Request), "Returned(Number(4194304))");
}

#[test]
fn what_the_runtime_lacks_is_not_there() {
    let engine = Engine::new().expect("the engine starts");
    for name in ["eval", "Function", "Date", "RegExp", "Promise", "Map", "Symbol", "globalThis", "setTimeout", "native"]
    {
        let found = message(&engine, &code(&format!("return typeof {name};")), Handler::Request);
        assert_eq!(found, "Returned(String(\"undefined\"))", "{name}");
    }
    let constructor = code("return (() => 1).constructor === Object;");
    assert_eq!(message(&engine, &constructor, Handler::Request), "Returned(Bool(true))");
}
