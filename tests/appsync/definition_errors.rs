//! Errors of API definitions.
use local::{
    graphql::ApiSettings,
    stack::{Api, DataSource, Resolver},
};

use crate::fixture::{api, build, code, function, key, unit_resolver};

const VALID_CODE: &str = "export function request(ctx) { return {} }\nexport function response(ctx) { return null }";

async fn definition_error(change: impl FnOnce(&mut Api)) -> String {
    let mut api = api();
    change(&mut api);
    build(api, ApiSettings::default()).await.err().expect("the API is invalid").to_string()
}

fn pipeline(functions: &[&str]) -> Resolver {
    let functions = functions.iter().map(|name| (*name).to_owned()).collect();
    Resolver::Pipeline { functions, code: code("pipe", VALID_CODE) }
}

#[tokio::test]
async fn unknown_references_are_named_in_the_error() {
    let unknown_type =
        definition_error(|api| drop(api.resolvers.insert(key("Nope", "f"), unit_resolver(&code("f", VALID_CODE)))))
            .await;
    assert_eq!(unknown_type, "the resolver of Nope.f needs a type Nope, which schema.graphql does not have");
    let unknown_field =
        definition_error(|api| drop(api.resolvers.insert(key("Query", "f"), unit_resolver(&code("f", VALID_CODE)))))
            .await;
    assert_eq!(unknown_field, "the resolver of Query.f needs that field, which schema.graphql does not have");
    let unknown_function =
        definition_error(|api| drop(api.resolvers.insert(key("Query", "thing"), pipeline(&["nope"])))).await;
    assert_eq!(
        unknown_function,
        "the resolver of Query.thing calls the function nope, which the template does not have"
    );
    let unknown_source = definition_error(|api| drop(api.data_sources.remove("none"))).await;
    assert!(
        unknown_source.ends_with("uses the data source none, which the template does not have"),
        "{unknown_source}"
    );
}

#[tokio::test]
async fn pipeline_of_eleven_functions_is_rejected() {
    let error = definition_error(|api| {
        api.functions.insert("fine".into(), function("fine", VALID_CODE));
        api.data_sources.insert("none".into(), DataSource::None);
        api.resolvers.insert(key("Query", "thing"), pipeline(&["fine"; 11]));
    });
    assert_eq!(error.await, "the resolver of Query.thing calls 11 functions; a pipeline may call at most 10");
}

#[tokio::test]
async fn unsupported_code_is_rejected_with_its_position() {
    let thrown = "export function request(ctx) {\n  throw 'x';\n}\nexport function response(ctx) { return null }";
    let resolver = unit_resolver(&code("bad", thrown));
    let error = definition_error(|api| drop(api.resolvers.insert(key("Query", "thing"), resolver))).await;
    assert!(error.starts_with("resolvers/bad.js:2:3: "), "{error}");
}

#[tokio::test]
async fn invalid_schema_is_rejected() {
    let invalid = definition_error(|api| api.schema = "type Query { a: Missing }".into()).await;
    assert!(invalid.starts_with("schema.graphql is not a valid schema: "), "{invalid}");
    let schema = "type Query { a: Int } type Mutation { m: Int } type Subscription { s: String @aws_subscribe(mutations: [\"M\"]) }";
    let schema_error = |schema: String| async move {
        definition_error(|api| {
            api.schema = schema;
            api.resolvers.clear();
        })
        .await
    };
    let unknown = schema_error(schema.replace("\"M\"", "\"x\"")).await;
    assert_eq!(unknown, "Subscription.s subscribes to Mutation.x, which is not in schema.graphql");
    let mismatched = schema_error(schema.replace("\"M\"", "\"m\"")).await;
    assert_eq!(mismatched, "Subscription.s returns String, but Mutation.m, which it subscribes to, returns Int");
}
