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
    for document in [
        documents::CREATE_CONVERSATION,
        documents::UPDATE_CONVERSATION,
        documents::DELETE_CONVERSATION,
        documents::GET_CONVERSATION,
        documents::LIST_CONVERSATIONS,
        documents::GET_EVENTS,
        documents::GET_PARTICIPANTS,
        documents::SHARE_CONVERSATION,
        documents::UNSHARE_CONVERSATION,
        documents::SEND_MESSAGE,
        documents::CANCEL_TURN,
        documents::RETRY_TURN,
        documents::CONTINUE_TURN,
        documents::GET_TURN,
        documents::PUT_AGENT,
        documents::GET_AGENT,
        documents::LIST_AGENTS,
        documents::GET_CALLER,
        documents::ON_CONVERSATION_UPDATE,
    ] {
        if let Err(invalid) = ExecutableDocument::parse_and_validate(&schema, document, "document.graphql") {
            panic!("{document}\n{}", invalid.errors);
        }
    }
}
