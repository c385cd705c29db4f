//! How much one request may ask for.
use local::{graphql::ApiSettings, stack::Limits};
use serde_json::{Value, json};

use crate::api::{Server, api};

async fn limited(query_depth: Option<usize>, resolvers: usize) -> Server {
    let mut api = api();
    api.limits = Limits { query_depth, resolvers };
    Server::start_with(api, ApiSettings::default()).await
}

#[tokio::test]
async fn fields_beyond_the_depth_are_null_with_an_error_and_the_others_are_answered() {
    let server = limited(Some(2), 10).await;
    let answer = server.ask("{ __typename thing(id: 1) { id deep: friend { id } } }", json!({})).await;
    assert_eq!(answer["data"], json!({ "__typename": "Query", "thing": { "id": "1", "deep": null } }));
    let error = &answer["errors"][0];
    assert_eq!(
        (&error["errorType"], &error["path"]),
        (&json!("QueryDepthLimitReached"), &json!(["thing", "deep", "id"]))
    );
    assert_eq!(answer["errors"].as_array().unwrap().len(), 1);
    let within = server.ask("{ thing(id: 1) { id name } }", json!({})).await;
    assert_eq!(within.get("errors"), None);
}

#[tokio::test]
async fn items_of_a_list_are_as_deep_as_the_list() {
    let server = limited(Some(2), 10).await;
    let query = "query ($value: AWSJSON) { result(value: $value) { list required } }";
    let value = json!({ "list": ["a", "b"], "required": "r" });
    let answer = server.ask(query, json!({ "value": value.to_string() })).await;
    assert_eq!(answer, json!({ "data": { "result": value } }));
}

#[tokio::test]
async fn resolvers_beyond_the_count_do_not_run() {
    let server = limited(None, 2).await;
    let answer =
        server.ask("{ a: thing(id: 1) { id } b: thing(id: 2) { id } c: thing(id: 3) { id } }", json!({})).await;
    let answered = ["a", "b", "c"].into_iter().filter(|alias| answer["data"][alias] != Value::Null).count();
    assert_eq!(answered, 2);
    let error = &answer["errors"][0];
    assert_eq!(error["errorType"], "ResolverExecutionLimitReached");
    assert_eq!(error["message"], "Resolver invocation limit reached.");
}
