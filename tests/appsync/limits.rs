//! Limits on query depth and resolver count.
use local::{graphql::ApiSettings, stack::Limits};
use serde_json::{Value, json};

use crate::fixture::{Server, api};

async fn server_with_limits(query_depth: Option<usize>, resolvers: usize) -> Server {
    let mut api = api();
    api.limits = Limits { query_depth, resolvers };
    Server::start_with(api, ApiSettings::default()).await
}

#[tokio::test]
async fn fields_beyond_the_depth_limit_are_null() {
    let server = server_with_limits(Some(2), 10).await;
    let response = server.execute("{ __typename thing(id: 1) { id deep: friend { id } } }", json!({})).await;
    assert_eq!(response["data"], json!({ "__typename": "Query", "thing": { "id": "1", "deep": null } }));
    let error = &response["errors"][0];
    assert_eq!(
        (&error["errorType"], &error["path"]),
        (&json!("QueryDepthLimitReached"), &json!(["thing", "deep", "id"]))
    );
    assert_eq!(response["errors"].as_array().unwrap().len(), 1);
    let within = server.execute("{ thing(id: 1) { id name } }", json!({})).await;
    assert_eq!(within.get("errors"), None);
}

#[tokio::test]
async fn list_items_are_as_deep_as_their_list() {
    let server = server_with_limits(Some(2), 10).await;
    let query = "query ($value: AWSJSON) { result(value: $value) { list required } }";
    let value = json!({ "list": ["a", "b"], "required": "r" });
    let response = server.execute(query, json!({ "value": value.to_string() })).await;
    assert_eq!(response, json!({ "data": { "result": value } }));
}

#[tokio::test]
async fn resolvers_beyond_the_limit_do_not_run() {
    let server = server_with_limits(None, 2).await;
    let response =
        server.execute("{ a: thing(id: 1) { id } b: thing(id: 2) { id } c: thing(id: 3) { id } }", json!({})).await;
    let resolved = ["a", "b", "c"].into_iter().filter(|alias| response["data"][alias] != Value::Null).count();
    assert_eq!(resolved, 2);
    let error = &response["errors"][0];
    assert_eq!(error["errorType"], "ResolverExecutionLimitReached");
    assert_eq!(error["message"], "Resolver invocation limit reached.");
}
