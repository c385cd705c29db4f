//! Queries and what they are answered.
use std::time::Duration;

use local::graphql::ApiSettings;
use serde_json::{Value, json};

use crate::api::{Server, api};

async fn check(query: &str, variables: Value, expected: Value) {
    let answer = Server::start().await.ask(query, variables).await;
    assert_eq!(answer, expected, "{query}");
}

fn parsed(answer: &Value) -> Value {
    serde_json::from_str(answer.as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn an_invalid_document_is_told_with_its_place() {
    let message = "Validation error of type FieldUndefined: Field 'badfield' in type 'Query' is undefined @ 'badfield'";
    let location = json!({ "line": 1, "column": 2, "sourceName": null });
    let error = json!({ "path": null, "locations": [location], "message": message });
    check("{badfield}", json!({}), json!({ "data": null, "errors": [error] })).await;
}

#[tokio::test]
async fn documents_and_variables_are_refused_in_appsyncs_words() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("refused.json")).unwrap();
    let server = Server::start().await;
    for case in cases {
        let query = case["query"].as_str().unwrap();
        let answer = server.ask(query, case.get("variables").cloned().unwrap_or(json!({}))).await;
        assert_eq!((&answer["data"], &answer["errors"][0]["path"]), (&Value::Null, &Value::Null), "{query}");
        assert_eq!(answer["errors"][0]["message"], case["message"], "{query}");
    }
}

#[tokio::test]
async fn arguments_reach_resolvers_as_the_schema_types_them() {
    let query = "query($ids: [ID!], $input: ThingInput) { echo(ids: $ids, input: $input, kind: ROUND, json: \"{\\\"a\\\":[1]}\") }";
    let answer = Server::start().await.ask(query, json!({ "ids": 5, "input": { "name": "n" } })).await;
    let seen = json!({ "ids": ["5"], "input": { "name": "n", "size": 3 }, "kind": "ROUND", "json": { "a": [1] } });
    assert_eq!(parsed(&answer["data"]["echo"]), seen);
    let left_out = Server::start().await.ask("query($number: Int) { echo(number: $number) }", json!({})).await;
    assert_eq!(parsed(&left_out["data"]["echo"]), json!({}));
    let null = Server::start().await.ask("{ echo(number: null) }", json!({})).await;
    assert_eq!(parsed(&null["data"]["echo"]), json!({ "number": null }));
}

#[tokio::test]
async fn a_field_without_a_resolver_is_its_parents_property() {
    let query = "{ a: thing(id: 1) { ...F friend { ...F } } b: thing(id: 2) { id name @skip(if: true) } } fragment F on Thing { id title: name }";
    let thing = json!({ "id": "1", "title": "one", "friend": { "id": "2", "title": "two" } });
    check(query, json!({}), json!({ "data": { "a": thing, "b": { "id": "2" } } })).await;
}

#[tokio::test]
async fn a_raised_error_carries_type_info_and_the_selected_part_of_its_data() {
    let error = json!({ "path": ["it"], "data": { "id": 7, "title": "n" }, "errorType": "Refused",
        "errorInfo": { "why": "because" }, "locations": [{ "line": 2, "column": 3, "sourceName": null }], "message": "No." });
    check("{\n  it: raise { id title: name } }", json!({}), json!({ "data": { "it": null }, "errors": [error] })).await;
}

#[tokio::test]
async fn an_appended_error_keeps_the_data() {
    let answer = Server::start().await.ask("{ append { id } }", json!({})).await;
    assert_eq!(answer["data"], json!({ "append": { "id": "a" } }));
    let error = &answer["errors"][0];
    assert_eq!(
        (&error["errorType"], &error["errorInfo"], &error["message"]),
        (&json!("Warned"), &json!({ "n": 1 }), &json!("Almost."))
    );
}

#[tokio::test]
async fn a_field_of_another_mode_is_denied_and_the_rest_is_answered() {
    let denial = |field: &str, parent: &str, column: u64, path: Value| {
        json!({ "path": path, "data": null,
        "errorType": "Unauthorized", "errorInfo": null, "locations": [{ "line": 1, "column": column, "sourceName": null }],
        "message": format!("Not Authorized to access {field} on type {parent}") })
    };
    let data = json!({ "locked": null, "thing": { "id": "1", "secret": null } });
    let errors = json!([
        denial("locked", "Query", 3, json!(["locked"])),
        denial("secret", "Thing", 35, json!(["thing", "secret"]))
    ]);
    check("{ locked { id } thing(id: 1) { id secret } }", json!({}), json!({ "data": data, "errors": errors })).await;
    let refused = json!({ "data": { "refuse": null }, "errors": [denial("refuse", "Query", 3, json!(["refuse"]))] });
    check("{ refuse { id } }", json!({}), refused).await;
}

#[tokio::test]
async fn a_fault_of_the_code_is_an_error_of_its_field() {
    let answer = Server::start().await.ask("{ broken { id } thing(id: 1) { id } }", json!({})).await;
    assert_eq!(answer["data"], json!({ "broken": null, "thing": { "id": "1" } }));
    assert_eq!(answer["errors"][0]["errorType"], "Code");
}

#[tokio::test]
async fn a_pipeline_hands_on_results_and_stash_and_can_be_left_early() {
    let first = json!({ "saw": { "from": "before" } });
    let cases = [
        ("", json!({ "saw": first }), json!(["before", "first", "answered", "second"])),
        ("one", json!({ "saw": { "early": "one" } }), json!(["before", "first", "second"])),
        ("all", json!({ "early": "all" }), json!(["before", "first"])),
        ("resolver", json!({ "early": "resolver" }), json!(["before"])),
    ];
    for (end, last, steps) in cases {
        let answer = Server::start().await.ask("query($end: String) { piped(end: $end) }", json!({ "end": end })).await;
        let expected = json!({ "prev": last, "result": last, "steps": steps });
        assert_eq!(parsed(&answer["data"]["piped"]), expected, "{end}");
    }
}

#[tokio::test]
async fn a_value_that_does_not_fit_the_schema_is_an_error_at_its_path() {
    let cases = [
        ("number", json!("many"), "Can't serialize value (/result/number) : Expected type 'Int' but was 'String'."),
        (
            "kind",
            json!("OVAL"),
            "Can't serialize value (/result/kind) : Invalid input for Enum 'Kind'. Unknown value 'OVAL'",
        ),
        (
            "date",
            json!("now"),
            "Can't serialize value (/result/date) : Unable to serialize `now` as a valid DateTime Object.",
        ),
        (
            "list",
            json!({ "a": 1 }),
            "Can't resolve value (/result/list) : type mismatch error, expected type LIST, got OBJECT",
        ),
        (
            "list",
            json!(["a", { "b": 1 }]),
            "Can't serialize value (/result/list[1]) : Expected type 'String' but was 'Map'.",
        ),
    ];
    let server = Server::start().await;
    for (field, value, message) in cases {
        let variables = json!({ "value": json!({ field: value }).to_string() });
        let query = format!("query($value: AWSJSON) {{ result(value: $value) {{ {field} }} }}");
        let answer = server.ask(&query, variables).await;
        assert_eq!(answer["errors"][0]["message"], message, "{answer}");
        assert_eq!((&answer["errors"][0]["path"][1], &answer["errors"][0]["locations"]), (&json!(field), &Value::Null));
        assert!(answer["data"]["result"].is_object(), "{answer}");
    }
}

#[tokio::test]
async fn null_where_the_schema_forbids_it_empties_the_parent() {
    let message = "Cannot return null for non-nullable type: 'String' within parent 'Strict' (/nothing/value)";
    let error = json!({ "path": ["nothing", "value"], "locations": null, "message": message });
    check("{ nothing { value } }", json!({}), json!({ "data": { "nothing": null }, "errors": [error] })).await;
}

#[tokio::test]
async fn a_union_is_what_its_value_names() {
    let query = "{ pet { __typename ... on Dog { name } ... on Cat { lives } } }";
    check(query, json!({}), json!({ "data": { "pet": { "__typename": "Dog", "name": "Rex" } } })).await;
}

#[tokio::test]
async fn a_resolver_knows_what_was_selected() {
    let query = "query($input: ThingInput) { info(input: $input) { name ...F } } fragment F on Thing { buddy: friend { id kind } }";
    let answer = Server::start().await.ask(query, json!({ "input": { "name": "n" } })).await;
    let info = parsed(&answer["data"]["info"]["name"]);
    assert_eq!(info["list"], json!(["name", "buddy", "buddy/id", "buddy/kind"]));
    assert_eq!((&info["field"], &info["parent"]), (&json!("info"), &json!("Query")));
    assert_eq!(info["variables"], json!({ "input": { "name": "n" } }));
    assert!(info["graphql"].as_str().unwrap().starts_with("{\n  name\n"), "{info}");
}

#[tokio::test]
async fn a_response_handler_sees_a_tables_answer_and_its_refusal() {
    let server = Server::start().await;
    let first = server.ask("{ put(size: 1) }", json!({})).await;
    assert_eq!(parsed(&first["data"]["put"])["result"], json!({ "id": "one", "size": 1 }));
    let second = server.ask("{ put(size: 2) }", json!({})).await;
    let seen = json!({ "result": { "id": "one", "size": 1 }, "type": "DynamoDB:ConditionalCheckFailedException" });
    assert_eq!((parsed(&second["data"]["put"]), second.get("errors")), (seen, None));
}

#[tokio::test]
async fn an_event_is_queued_and_answered_with_null() {
    let answer = Server::start().await.ask("{ call(kind: \"Event\") }", json!({})).await;
    assert_eq!(parsed(&answer["data"]["call"]), json!({ "result": null, "error": null }));
}

#[tokio::test]
async fn a_request_a_data_source_does_not_know_is_refused_by_name() {
    let server = Server::start().await;
    let refused = |query: &'static str| {
        let answer = server.ask(query, json!({}));
        async move { answer.await["errors"][0].clone() }
    };
    let error = refused("{ call(operation: \"Dance\") }").await;
    let message = "Operation 'Dance' is not supported for a Lambda data source here; 'Invoke' is.";
    assert_eq!((&error["errorType"], &error["message"]), (&json!("MappingTemplate"), &json!(message)));
    let error = refused("{ call(kind: \"Later\") }").await;
    let message = "Invocation type 'Later' is neither 'RequestResponse' nor 'Event'.";
    assert_eq!((&error["errorType"], &error["message"]), (&json!("MappingTemplate"), &json!(message)));
}

/// A server whose requests have little time. The engine is not part of it: it has already run the query.
async fn hurried(query: &str, request_timeout: Duration) -> Server {
    let server = Server::start_with(api(), ApiSettings { request_timeout, ..ApiSettings::default() }).await;
    server.ask(query, json!({})).await;
    server
}

fn timed_out(field: &str, column: usize) -> Value {
    json!({ "path": [field], "data": null, "errorType": "ExecutionTimeout", "errorInfo": null,
        "locations": [{ "line": 1, "column": column, "sourceName": null }], "message": "Execution timed out." })
}

#[tokio::test]
async fn a_request_that_takes_too_long_loses_the_fields_that_are_not_done() {
    let query = "{ call thing(id: 1) { id } }";
    let answer = hurried(query, Duration::from_secs(1)).await.ask(query, json!({})).await;
    assert_eq!(answer["data"], json!({ "call": null, "thing": { "id": "1" } }));
    assert_eq!(answer["errors"], json!([timed_out("call", 3)]));
}

#[tokio::test]
async fn a_handler_is_stopped_when_the_time_is_over_and_no_further_mutation_runs() {
    let server = hurried("mutation { publish(id: 0) { id } }", Duration::from_secs(1)).await;
    let query = "mutation { publish(id: 1) { id } dawdle(id: 2) { id } kick(id: 3) { id } }";
    let answer = server.ask(query, json!({})).await;
    assert_eq!(answer["data"], json!({ "publish": { "id": "1" }, "dawdle": null, "kick": null }));
    assert_eq!(answer["errors"], json!([timed_out("dawdle", 34), timed_out("kick", 55)]));
}

#[tokio::test]
async fn a_request_may_invalidate_subscriptions_five_times() {
    let kicks: String = (1..=6).map(|number| format!("k{number}: kick(id: {number}) {{ id }} ")).collect();
    let answer = Server::start().await.ask(&format!("mutation {{ {kicks} }}"), json!({})).await;
    let kicked: Vec<_> = (1..=6).filter(|number| !answer["data"][format!("k{number}")].is_null()).collect();
    assert_eq!(kicked, [1, 2, 3, 4, 5], "{answer}");
    let message = "A request may invalidate subscriptions 5 times; this one does so more often.";
    assert_eq!((&answer["errors"][0]["path"], &answer["errors"][0]["message"]), (&json!(["k6"]), &json!(message)));
}
