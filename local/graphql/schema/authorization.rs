//! Authorization of a caller for a field, by the directives of the schema.
//!
//! The directives of a field override those of its type. A field without any is open to the API's default
//! mode.
use apollo_compiler::{
    Node,
    ast::{self, Directive, Value as Literal},
    schema,
};

use crate::{identity::Caller, stack::AuthMode};

const DIRECTIVES: [&str; 5] = ["aws_api_key", "aws_iam", "aws_oidc", "aws_lambda", "aws_cognito_user_pools"];

pub fn is_authorized(
    caller: &Caller,
    default_mode: Option<AuthMode>,
    field: &schema::FieldDefinition,
    parent_type: &schema::ObjectType,
) -> bool {
    let own_directives = field_directives(&field.directives);
    let directives = if own_directives.is_empty() { type_directives(parent_type) } else { own_directives };
    if directives.is_empty() {
        return default_mode == Some(caller.mode());
    }
    let required = directive_of(caller.mode());
    directives.into_iter().any(|directive| directive.name == required && allows_groups_of(directive, caller))
}

pub fn directive_of(mode: AuthMode) -> &'static str {
    match mode {
        AuthMode::ApiKey => "aws_api_key",
        AuthMode::Iam => "aws_iam",
        AuthMode::UserPool => "aws_cognito_user_pools",
        AuthMode::OpenId => "aws_oidc",
    }
}

pub fn is_auth_directive(name: &str) -> bool {
    DIRECTIVES.contains(&name)
}

fn field_directives(directives: &ast::DirectiveList) -> Vec<&Node<Directive>> {
    directives.iter().filter(|directive| is_auth_directive(&directive.name)).collect()
}

fn type_directives(object_type: &schema::ObjectType) -> Vec<&Node<Directive>> {
    let directives = object_type.directives.iter().map(|directive| &directive.node);
    directives.filter(|directive| is_auth_directive(&directive.name)).collect()
}

/// A directive with `cognito_groups` allows only the members of one of the groups.
fn allows_groups_of(directive: &Directive, caller: &Caller) -> bool {
    match directive.specified_argument_by_name("cognito_groups").map(|groups| &**groups) {
        Some(Literal::List(groups)) => {
            groups.iter().filter_map(|group| group.as_str()).any(|group| caller.is_in_group(group))
        }
        Some(Literal::String(group)) => caller.is_in_group(group),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use apollo_compiler::ast::OperationType;

    use super::*;
    use crate::{graphql::schema::Schema, identity::Principal};

    const SCHEMA: &str = "
        type Query { open: Thing  keyed: Thing @aws_api_key  signed: Thing @aws_iam  both: Thing @aws_iam @aws_api_key
            pooled: Thing @aws_cognito_user_pools  grouped: Thing @aws_cognito_user_pools(cognito_groups: [\"authors\", \"editors\"])
            trusted: Thing @aws_oidc  either: Thing @aws_iam @aws_cognito_user_pools(cognito_groups: \"editors\") }
        type Thing @aws_iam @aws_cognito_user_pools(cognito_groups: [\"editors\"]) { inherited: Int  own: Int @aws_api_key }";

    fn key_caller() -> Caller {
        Caller::from_api_key()
    }

    fn iam_caller() -> Caller {
        let root = Principal::administrator("123456789012", "root", "AKIAROOT".into(), "secret".into());
        Caller::from_signature(Arc::new(root), "eu-west-1", Vec::new())
    }

    fn pool_caller(groups: &[&str]) -> Caller {
        Caller::from_token(AuthMode::UserPool, serde_json::json!({ "groups": groups }))
    }

    fn is_allowed(caller: &Caller, type_name: &str, field: &str) -> bool {
        let schema = Schema::load(SCHEMA).unwrap();
        let query = schema.root_type(OperationType::Query).unwrap();
        let parent = if type_name == "Query" { query } else { schema.definitions.get_object(type_name).unwrap() };
        is_authorized(caller, Some(AuthMode::ApiKey), schema.field(type_name, field).unwrap(), parent)
    }

    #[test]
    fn field_without_directives_is_open_to_the_default_mode_only() {
        assert!(is_allowed(&key_caller(), "Query", "open"));
        assert!(!is_allowed(&iam_caller(), "Query", "open"));
        assert!(!is_allowed(&pool_caller(&["editors"]), "Query", "open"));
    }

    #[test]
    fn field_is_open_to_the_modes_of_its_directives() {
        assert!(!is_allowed(&iam_caller(), "Query", "keyed"));
        assert!(!is_allowed(&key_caller(), "Query", "signed"));
        assert!(is_allowed(&key_caller(), "Query", "both") && is_allowed(&iam_caller(), "Query", "both"));
        assert!(is_allowed(&pool_caller(&[]), "Query", "pooled"));
        assert!(!is_allowed(&pool_caller(&[]), "Query", "trusted"));
        let oidc_caller = Caller::from_token(AuthMode::OpenId, serde_json::json!({ "groups": ["editors"] }));
        assert!(is_allowed(&oidc_caller, "Query", "trusted") && !is_allowed(&oidc_caller, "Query", "grouped"));
    }

    #[test]
    fn field_with_groups_is_open_to_their_members() {
        for (groups, expected) in
            [(&["editors"][..], true), (&["guests", "authors"], true), (&["guests"], false), (&[], false)]
        {
            assert_eq!(is_allowed(&pool_caller(groups), "Query", "grouped"), expected, "{groups:?}");
        }
        assert!(is_allowed(&iam_caller(), "Query", "either"));
        assert!(is_allowed(&pool_caller(&["editors"]), "Query", "either"));
        assert!(!is_allowed(&pool_caller(&["authors"]), "Query", "either"));
    }

    #[test]
    fn field_directives_override_type_directives() {
        assert!(is_allowed(&iam_caller(), "Thing", "inherited") && !is_allowed(&key_caller(), "Thing", "inherited"));
        assert!(is_allowed(&key_caller(), "Thing", "own") && !is_allowed(&iam_caller(), "Thing", "own"));
        assert!(is_allowed(&pool_caller(&["editors"]), "Thing", "inherited"));
        assert!(!is_allowed(&pool_caller(&["authors"]), "Thing", "inherited"));
    }
}
