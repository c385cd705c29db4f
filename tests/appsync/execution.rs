//! Execution of queries and mutations.
use std::time::Duration;

use local::graphql::ApiSettings;
use serde_json::{Value, json};

use crate::fixture::{Server, api};

async fn check_response(query: &str, variables: Value, expected: Value) {
    let response = Server::start().await.execute(query, variables).await;
    assert_eq!(response, expected, "{query}");
}

fn parse_json(text: &Value) -> Value {
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn validation_error_has_the_location() {
    let message = "Validation error of type FieldUndefined: Field 'badfield' in type 'Query' is undefined @ 'badfield'";
    let location = json!({ "line": 1, "column": 2, "sourceName": null });
    let error = json!({ "path": null, "locations": [location], "message": message });
    check_response("{badfield}", json!({}), json!({ "data": null, "errors": [error] })).await;
}

#[tokio::test]
async fn validation_errors_have_appsyncs_messages() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("validation_errors.json")).unwrap();
    let server = Server::start().await;
    for case in cases {
        let query = case["query"].as_str().unwrap();
        let response = server.execute(query, case.get("variables").cloned().unwrap_or(json!({}))).await;
        assert_eq!((&response["data"], &response["errors"][0]["path"]), (&Value::Null, &Value::Null), "{query}");
        assert_eq!(response["errors"][0]["message"], case["message"], "{query}");
    }
}

#[tokio::test]
async fn arguments_are_coerced_to_their_types() {
    let query = "query($ids: [ID!], $input: ThingInput) { echo(ids: $ids, input: $input, kind: ROUND, json: \"{\\\"a\\\":[1]}\") }";
    let response = Server::start().await.execute(query, json!({ "ids": 5, "input": { "name": "n" } })).await;
    let coerced = json!({ "ids": ["5"], "input": { "name": "n", "size": 3 }, "kind": "ROUND", "json": { "a": [1] } });
    assert_eq!(parse_json(&response["data"]["echo"]), coerced);
    let absent = Server::start().await.execute("query($number: Int) { echo(number: $number) }", json!({})).await;
    assert_eq!(parse_json(&absent["data"]["echo"]), json!({}));
    let null = Server::start().await.execute("{ echo(number: null) }", json!({})).await;
    assert_eq!(parse_json(&null["data"]["echo"]), json!({ "number": null }));
}

#[tokio::test]
async fn field_without_resolver_is_the_parents_property() {
    let query = "{ a: thing(id: 1) { ...F friend { ...F } } b: thing(id: 2) { id name @skip(if: true) } } fragment F on Thing { id title: name }";
    let thing = json!({ "id": "1", "title": "one", "friend": { "id": "2", "title": "two" } });
    check_response(query, json!({}), json!({ "data": { "a": thing, "b": { "id": "2" } } })).await;
}

#[tokio::test]
async fn raised_error_has_type_info_and_selected_data() {
    let error = json!({ "path": ["it"], "data": { "id": 7, "title": "n" }, "errorType": "Refused",
        "errorInfo": { "why": "because" }, "locations": [{ "line": 2, "column": 3, "sourceName": null }], "message": "No." });
    check_response(
        "{\n  it: raise { id title: name } }",
        json!({}),
        json!({ "data": { "it": null }, "errors": [error] }),
    )
    .await;
}

#[tokio::test]
async fn appended_error_keeps_the_data() {
    let response = Server::start().await.execute("{ append { id } }", json!({})).await;
    assert_eq!(response["data"], json!({ "append": { "id": "a" } }));
    let error = &response["errors"][0];
    assert_eq!(
        (&error["errorType"], &error["errorInfo"], &error["message"]),
        (&json!("Warned"), &json!({ "n": 1 }), &json!("Almost."))
    );
}

#[tokio::test]
async fn unauthorized_field_is_null_and_others_are_resolved() {
    let unauthorized = |field: &str, parent: &str, column: u64, path: Value| {
        json!({ "path": path, "data": null,
        "errorType": "Unauthorized", "errorInfo": null, "locations": [{ "line": 1, "column": column, "sourceName": null }],
        "message": format!("Not Authorized to access {field} on type {parent}") })
    };
    let data = json!({ "locked": null, "thing": { "id": "1", "secret": null } });
    let errors = json!([
        unauthorized("locked", "Query", 3, json!(["locked"])),
        unauthorized("secret", "Thing", 35, json!(["thing", "secret"]))
    ]);
    check_response(
        "{ locked { id } thing(id: 1) { id secret } }",
        json!({}),
        json!({ "data": data, "errors": errors }),
    )
    .await;
    let expected =
        json!({ "data": { "refuse": null }, "errors": [unauthorized("refuse", "Query", 3, json!(["refuse"]))] });
    check_response("{ refuse { id } }", json!({}), expected).await;
}

#[tokio::test]
async fn exception_in_code_is_an_error_of_its_field() {
    let response = Server::start().await.execute("{ broken { id } thing(id: 1) { id } }", json!({})).await;
    assert_eq!(response["data"], json!({ "broken": null, "thing": { "id": "1" } }));
    assert_eq!(response["errors"][0]["errorType"], "Code");
}

#[tokio::test]
async fn pipeline_passes_results_and_stash_and_supports_early_return() {
    let first = json!({ "previous": { "from": "before" } });
    let cases = [
        ("", json!({ "previous": first }), json!(["before", "first", "first responded", "second"])),
        ("one", json!({ "previous": { "early": "one" } }), json!(["before", "first", "second"])),
        ("all", json!({ "early": "all" }), json!(["before", "first"])),
        ("resolver", json!({ "early": "resolver" }), json!(["before"])),
    ];
    for (end, result, calls) in cases {
        let response =
            Server::start().await.execute("query($end: String) { pipeline(end: $end) }", json!({ "end": end })).await;
        let expected = json!({ "prev": result, "result": result, "calls": calls });
        assert_eq!(parse_json(&response["data"]["pipeline"]), expected, "{end}");
    }
}

#[tokio::test]
async fn value_of_wrong_type_is_an_error_at_its_path() {
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
        let response = server.execute(&query, variables).await;
        assert_eq!(response["errors"][0]["message"], message, "{response}");
        assert_eq!(
            (&response["errors"][0]["path"][1], &response["errors"][0]["locations"]),
            (&json!(field), &Value::Null)
        );
        assert!(response["data"]["result"].is_object(), "{response}");
    }
}

#[tokio::test]
async fn null_of_non_null_field_makes_the_parent_null() {
    let message = "Cannot return null for non-nullable type: 'String' within parent 'Strict' (/nothing/value)";
    let error = json!({ "path": ["nothing", "value"], "locations": null, "message": message });
    check_response("{ nothing { value } }", json!({}), json!({ "data": { "nothing": null }, "errors": [error] })).await;
}

#[tokio::test]
async fn union_type_is_the_values_typename() {
    let query = "{ pet { __typename ... on Dog { name } ... on Cat { lives } } }";
    check_response(query, json!({}), json!({ "data": { "pet": { "__typename": "Dog", "name": "Rex" } } })).await;
}

#[tokio::test]
async fn resolver_info_describes_the_selection() {
    let query = "query($input: ThingInput) { info(input: $input) { name ...F } } fragment F on Thing { buddy: friend { id kind } }";
    let response = Server::start().await.execute(query, json!({ "input": { "name": "n" } })).await;
    let info = parse_json(&response["data"]["info"]["name"]);
    assert_eq!(info["list"], json!(["name", "buddy", "buddy/id", "buddy/kind"]));
    assert_eq!((&info["field"], &info["parent"]), (&json!("info"), &json!("Query")));
    assert_eq!(info["variables"], json!({ "input": { "name": "n" } }));
    assert!(info["graphql"].as_str().unwrap().starts_with("{\n  name\n"), "{info}");
}

#[tokio::test]
async fn response_handler_sees_table_result_and_error() {
    let server = Server::start().await;
    let first = server.execute("{ put(size: 1) }", json!({})).await;
    assert_eq!(parse_json(&first["data"]["put"])["result"], json!({ "id": "one", "size": 1 }));
    let second = server.execute("{ put(size: 2) }", json!({})).await;
    let expected = json!({ "result": { "id": "one", "size": 1 }, "type": "DynamoDB:ConditionalCheckFailedException" });
    assert_eq!((parse_json(&second["data"]["put"]), second.get("errors")), (expected, None));
}

#[tokio::test]
async fn event_invocation_returns_null() {
    let response = Server::start().await.execute("{ call(kind: \"Event\") }", json!({})).await;
    assert_eq!(parse_json(&response["data"]["call"]), json!({ "result": null }));
}

#[tokio::test]
async fn unsupported_data_source_request_is_named_in_the_error() {
    let server = Server::start().await;
    let first_error = |query: &'static str| {
        let response = server.execute(query, json!({}));
        async move { response.await["errors"][0].clone() }
    };
    let error = first_error("{ call(operation: \"Dance\") }").await;
    let message = "Operation 'Dance' is not supported for a Lambda data source here; 'Invoke' is.";
    assert_eq!((&error["errorType"], &error["message"]), (&json!("MappingTemplate"), &json!(message)));
    let error = first_error("{ call(kind: \"Later\") }").await;
    let message = "Invocation type 'Later' is neither 'RequestResponse' nor 'Event'.";
    assert_eq!((&error["errorType"], &error["message"]), (&json!("MappingTemplate"), &json!(message)));
}

/// A server with a short request timeout. Its JavaScript engine has started, because it has run the query
/// once.
async fn server_with_timeout(query: &str, request_timeout: Duration) -> Server {
    let server = Server::start_with(api(), ApiSettings { request_timeout, ..ApiSettings::default() }).await;
    server.execute(query, json!({})).await;
    server
}

fn timed_out(field: &str, column: usize) -> Value {
    json!({ "path": [field], "data": null, "errorType": "ExecutionTimeout", "errorInfo": null,
        "locations": [{ "line": 1, "column": column, "sourceName": null }], "message": "Execution timed out." })
}

#[tokio::test]
async fn unfinished_fields_are_null_after_the_timeout() {
    let query = "{ call thing(id: 1) { id } }";
    let response = server_with_timeout(query, Duration::from_secs(1)).await.execute(query, json!({})).await;
    assert_eq!(response["data"], json!({ "call": null, "thing": { "id": "1" } }));
    assert_eq!(response["errors"], json!([timed_out("call", 3)]));
}

#[tokio::test]
async fn timeout_stops_the_handler_and_later_mutations() {
    let server = server_with_timeout("mutation { publish(id: 0) { id } }", Duration::from_secs(1)).await;
    let query = "mutation { publish(id: 1) { id } runSlowly(id: 2) { id } invalidate(id: 3) { id } }";
    let response = server.execute(query, json!({})).await;
    assert_eq!(response["data"], json!({ "publish": { "id": "1" }, "runSlowly": null, "invalidate": null }));
    assert_eq!(response["errors"], json!([timed_out("runSlowly", 34), timed_out("invalidate", 58)]));
}

#[tokio::test]
async fn request_may_invalidate_subscriptions_five_times() {
    let fields: String = (1..=6).map(|number| format!("k{number}: invalidate(id: {number}) {{ id }} ")).collect();
    let response = Server::start().await.execute(&format!("mutation {{ {fields} }}"), json!({})).await;
    let succeeded: Vec<_> = (1..=6).filter(|number| !response["data"][format!("k{number}")].is_null()).collect();
    assert_eq!(succeeded, [1, 2, 3, 4, 5], "{response}");
    let message = "A request may invalidate subscriptions 5 times; this one does so more often.";
    assert_eq!((&response["errors"][0]["path"], &response["errors"][0]["message"]), (&json!(["k6"]), &json!(message)));
}
