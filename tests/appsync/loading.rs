use local::{
    graphql::ApiSettings,
    stack::{Api, DataSource, Resolver},
};

use crate::api::{api, build, code, function, key, unit};

const FINE: &str = "export function request(ctx) { return {} }\nexport function response(ctx) { return null }";

async fn refused(change: impl FnOnce(&mut Api)) -> String {
    let mut api = api();
    change(&mut api);
    build(api, ApiSettings::default()).await.err().expect("the API is refused").to_string()
}

fn pipeline(functions: &[&str]) -> Resolver {
    let functions = functions.iter().map(|name| (*name).to_owned()).collect();
    Resolver::Pipeline { functions, code: code("pipe", FINE) }
}

#[tokio::test]
async fn wiring_that_leads_nowhere_is_one_sentence() {
    let unknown_type = refused(|api| drop(api.resolvers.insert(key("Nope", "f"), unit(&code("f", FINE))))).await;
    assert_eq!(unknown_type, "the resolver of Nope.f needs a type Nope, which schema.graphql does not have");
    let unknown_field = refused(|api| drop(api.resolvers.insert(key("Query", "f"), unit(&code("f", FINE))))).await;
    assert_eq!(unknown_field, "the resolver of Query.f needs that field, which schema.graphql does not have");
    let unknown_function = refused(|api| drop(api.resolvers.insert(key("Query", "thing"), pipeline(&["nope"])))).await;
    assert_eq!(
        unknown_function,
        "the resolver of Query.thing calls the function nope, which the template does not have"
    );
    let unknown_source = refused(|api| drop(api.data_sources.remove("none"))).await;
    assert!(
        unknown_source.ends_with("uses the data source none, which the template does not have"),
        "{unknown_source}"
    );
}

#[tokio::test]
async fn a_pipeline_of_eleven_functions_is_refused() {
    let refused = refused(|api| {
        api.functions.insert("fine".into(), function("fine", FINE));
        api.data_sources.insert("none".into(), DataSource::None);
        api.resolvers.insert(key("Query", "thing"), pipeline(&["fine"; 11]));
    });
    assert_eq!(refused.await, "the resolver of Query.thing calls 11 functions; a pipeline may call at most 10");
}

#[tokio::test]
async fn code_that_appsync_would_refuse_is_refused_with_its_place() {
    let thrown = "export function request(ctx) {\n  throw 'x';\n}\nexport function response(ctx) { return null }";
    let refused = refused(|api| drop(api.resolvers.insert(key("Query", "thing"), unit(&code("bad", thrown))))).await;
    assert!(refused.starts_with("resolvers/bad.js:2:3: "), "{refused}");
}

#[tokio::test]
async fn a_schema_that_does_not_hold_together_is_refused() {
    let broken = refused(|api| api.schema = "type Query { a: Missing }".into()).await;
    assert!(broken.starts_with("schema.graphql is not a valid schema: "), "{broken}");
    let schema = "type Query { a: Int } type Mutation { m: Int } type Subscription { s: String @aws_subscribe(mutations: [\"M\"]) }";
    let alone =
        |schema: String| async move { refused(|api| (api.schema, api.resolvers) = (schema, Default::default())).await };
    let unknown = alone(schema.replace("\"M\"", "\"x\"")).await;
    assert_eq!(unknown, "Subscription.s subscribes to Mutation.x, which is not in schema.graphql");
    let mismatched = alone(schema.replace("\"M\"", "\"m\"")).await;
    assert_eq!(mismatched, "Subscription.s returns String, but Mutation.m, which it subscribes to, returns Int");
}
