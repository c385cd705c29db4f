//! Execution of queries and mutations.
use std::time::Duration;

use local::graphql::ApiSettings;
use serde_json::{Value, json};

use crate::{
    fixture::{KEY, Server, api},
    http::post,
};

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
        if let Some(column) = case.get("column") {
            assert_eq!(&response["errors"][0]["locations"][0]["column"], column, "{query}");
        }
    }
}

#[tokio::test]
async fn arguments_are_coerced_to_their_types() {
    let query = "query($ids: [ID!], $input: ThingInput) { echo(ids: $ids, input: $input, kind: ROUND, json: \"{\\\"a\\\":[1]}\") }";
    let response = Server::start().await.execute(query, json!({ "ids": 5, "input": { "name": "n" } })).await;
    let coerced = json!({ "ids": ["5"], "input": { "name": "n", "size": 3 }, "kind": "ROUND",
        "json": { "a": [1] }, "size": 5 });
    assert_eq!(parse_json(&response["data"]["echo"]), coerced);
    let null = Server::start().await.execute("{ echo(number: null) }", json!({})).await;
    assert_eq!(parse_json(&null["data"]["echo"]), json!({ "number": null, "size": 5 }));
}

#[tokio::test]
async fn unsent_variable_is_an_explicit_null_argument() {
    let query = "query($number: Int, $kind: Kind = ROUND, $size: Int, $text: String) {
        echo(number: $number, kind: $kind, input: { name: \"n\", size: $size }) other: echo(text: $text, size: $size) }";
    let response = Server::start().await.execute(query, json!({})).await;
    let first = json!({ "number": null, "kind": "ROUND", "input": { "name": "n", "size": 3 }, "size": 5 });
    assert_eq!(parse_json(&response["data"]["echo"]), first, "{response}");
    assert_eq!(parse_json(&response["data"]["other"]), json!({ "text": null, "size": 5 }));
}

/// The arguments that the resolver of `echo` sees, with variables as JSON text.
async fn echoed(server: &Server, declarations: &str, arguments: &str, variables: &str) -> Value {
    let query = format!("query({declarations}) {{ echo({arguments}) }}");
    let body = format!("{{\"query\":{},\"variables\":{variables}}}", json!(query));
    let response = post(server, &[("x-api-key", KEY)], &body).await;
    let text = response.body["data"]["echo"].as_str();
    let mut arguments = match text {
        Some(text) => serde_json::from_str::<Value>(text).unwrap(),
        None => return response.body["errors"][0]["message"].clone(),
    };
    arguments.as_object_mut().unwrap().remove("size");
    arguments
}

#[tokio::test]
async fn whole_doubles_of_variables_are_whole_numbers() {
    let server = Server::start().await;
    for (number, expected) in [("20.0", 20), ("2e1", 20), ("1E1", 10), ("-0.0", 0), ("-0", 0), ("2000e-2", 20)] {
        let arguments = echoed(&server, "$n: Int", "number: $n", &format!("{{\"n\":{number}}}")).await;
        assert_eq!(arguments, json!({ "number": expected }), "{number}");
        let variables = format!("{{\"i\":{{\"name\":\"n\",\"size\":{number}}}}}");
        let arguments = echoed(&server, "$i: ThingInput", "input: $i", &variables).await;
        assert_eq!(arguments, json!({ "input": { "name": "n", "size": expected } }), "{number}");
        let arguments = echoed(&server, "$s: AWSTimestamp", "stamp: $s", &format!("{{\"s\":{number}}}")).await;
        assert_eq!(arguments, json!({ "stamp": expected }), "{number}");
    }
    for number in ["20.5", "2147483648", "-2147483649", "1e10", "1e400", "12345678901234567890"] {
        let message = echoed(&server, "$n: Int", "number: $n", &format!("{{\"n\":{number}}}")).await;
        assert!(
            message.as_str().is_some_and(|text| text.starts_with("Variable 'n' has an invalid value.")),
            "{message}"
        );
    }
}

#[tokio::test]
async fn id_is_the_text_of_a_whole_number_of_any_length() {
    let server = Server::start().await;
    let digits = "9".repeat(400);
    let numbers = ["7", "7.0", "-0", "1e2", "1234567890123456789012345", &digits];
    let expected = json!({ "ids": ["7", "7", "0", "100", "1234567890123456789012345", digits] });
    let variables = format!("{{\"ids\":[{}]}}", numbers.join(","));
    assert_eq!(echoed(&server, "$ids: [ID!]", "ids: $ids", &variables).await, expected);
    let literals = ["7", "\"7\"", "-0", "100", "1234567890123456789012345", &digits].join(",");
    assert_eq!(
        echoed(&server, "$x: Int", &format!("number: $x, ids: [{literals}]"), "{\"x\":1}").await["ids"],
        expected["ids"]
    );
    let arguments = echoed(&server, "$x: AWSTimestamp", "stamp: $x, number: -0, float: -0", "{\"x\":1}").await;
    assert_eq!((&arguments["number"], &arguments["float"]), (&json!(0), &json!(0)), "{arguments}");
    let message = echoed(&server, "$ids: [ID!]", "ids: $ids", "{\"ids\":[7.5]}").await;
    assert_eq!(message, "Variable 'ids' has an invalid value. Expected type 'ID' but was 'Double'.");
}

#[tokio::test]
async fn values_of_data_sources_are_coerced_as_graphql_java_does() {
    let server = Server::start().await;
    let cases = [
        ("flag", json!("FALSE"), json!(false)),
        ("flag", json!("tRue"), json!(true)),
        ("flag", json!(0.0), json!(false)),
        ("flag", json!(-2), json!(true)),
        ("number", json!("7.0"), json!(7)),
        ("number", json!("7e1"), json!(70)),
        ("number", json!("+7"), json!(7)),
        ("number", json!(7.0), json!(7)),
        ("float", json!("7"), json!(7.0)),
        ("float", json!("1e2"), json!(100.0)),
        ("float", json!(3), json!(3)),
        ("id", json!(7), json!("7")),
        ("id", json!(7.0), json!("7")),
        ("text", json!(7), json!("7")),
        ("text", json!(true), json!("true")),
        ("text", json!({ "b": [1, "x", null, 2.5], "a": {} }), json!("{a={}, b=[1, x, null, 2.5]}")),
        ("stamp", json!("7"), json!(7)),
    ];
    for (field, value, expected) in cases {
        let variables = json!({ "value": json!({ field: value }).to_string() });
        let query = format!("query($value: AWSJSON) {{ result(value: $value) {{ {field} }} }}");
        let response = server.execute(&query, variables).await;
        assert_eq!(response, json!({ "data": { "result": { field: expected } } }), "{field} {value}");
    }
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
            "flag",
            json!({ "b": 1 }),
            "Can't serialize value (/result/flag) : Expected type 'Boolean' but was 'LinkedHashMap'.",
        ),
        ("flag", json!([]), "Can't serialize value (/result/flag) : Expected type 'Boolean' but was 'ArrayList'."),
        ("flag", json!("yes"), "Can't serialize value (/result/flag) : Expected type 'Boolean' but was 'String'."),
        ("number", json!(7.5), "Can't serialize value (/result/number) : Expected type 'Int' but was 'Double'."),
        ("number", json!(" 7"), "Can't serialize value (/result/number) : Expected type 'Int' but was 'String'."),
        ("float", json!("NaN"), "Can't serialize value (/result/float) : Expected type 'Float' but was 'String'."),
        ("id", json!(7.5), "Can't serialize value (/result/id) : Expected type 'ID' but was 'Double'."),
        ("stamp", json!("x"), "Can't serialize value (/result/stamp) : Unable to serialize `x` as a valid timestamp."),
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
