//! Validates the client's documents against the schema that is deployed.
use apollo_compiler::{ExecutableDocument, Schema};
use client::documents;

/// The scalars and directives that AppSync adds to a schema.
const PRELUDE: &str = "
    scalar AWSDateTime
    scalar AWSJSON
    directive @aws_api_key on OBJECT | FIELD_DEFINITION
    directive @aws_cognito_user_pools(cognito_groups: [String!]) on OBJECT | FIELD_DEFINITION
    directive @aws_oidc on OBJECT | FIELD_DEFINITION
    directive @aws_iam on OBJECT | FIELD_DEFINITION
    directive @aws_subscribe(mutations: [String!]!) on FIELD_DEFINITION
";

#[test]
fn documents_are_valid() {
    let schema = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../schema.graphql")).unwrap();
    let schema = Schema::builder().parse(PRELUDE, "appsync.graphql").parse(schema, "schema.graphql").build().unwrap();
    let schema = schema.validate().unwrap();
    for document in documents::ALL {
        if let Err(invalid) = ExecutableDocument::parse_and_validate(&schema, document, "document.graphql") {
            panic!("{document}\n{}", invalid.errors);
        }
    }
}
