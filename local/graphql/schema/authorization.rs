//! Who may read a field, by the directives beside it: a field's own win over its type's; none at all means the
//! API's default mode.
use apollo_compiler::{
    Node,
    ast::{self, Directive, Value as Literal},
    schema,
};

use crate::{identity::Caller, stack::AuthMode};

const DIRECTIVES: [&str; 5] = ["aws_api_key", "aws_iam", "aws_oidc", "aws_lambda", "aws_cognito_user_pools"];

pub fn admits(
    caller: &Caller,
    default: Option<AuthMode>,
    field: &schema::FieldDefinition,
    parent: &schema::ObjectType,
) -> bool {
    let of_field = of_modes(&field.directives);
    let directives = if of_field.is_empty() { of_modes_of_type(parent) } else { of_field };
    if directives.is_empty() {
        return default == Some(caller.mode());
    }
    let wanted = directive_of(caller.mode());
    directives.into_iter().any(|directive| directive.name == wanted && is_for(directive, caller))
}

pub fn directive_of(mode: AuthMode) -> &'static str {
    match mode {
        AuthMode::ApiKey => "aws_api_key",
        AuthMode::Iam => "aws_iam",
        AuthMode::UserPool => "aws_cognito_user_pools",
        AuthMode::OpenId => "aws_oidc",
    }
}

pub fn is_of_a_mode(directive: &str) -> bool {
    DIRECTIVES.contains(&directive)
}

fn of_modes(directives: &ast::DirectiveList) -> Vec<&Node<Directive>> {
    directives.iter().filter(|directive| is_of_a_mode(&directive.name)).collect()
}

fn of_modes_of_type(parent: &schema::ObjectType) -> Vec<&Node<Directive>> {
    let directives = parent.directives.iter().map(|directive| &directive.node);
    directives.filter(|directive| is_of_a_mode(&directive.name)).collect()
}

/// A directive that names groups is for their members only.
fn is_for(directive: &Directive, caller: &Caller) -> bool {
    match directive.specified_argument_by_name("cognito_groups").map(|groups| &**groups) {
        Some(Literal::List(groups)) => {
            groups.iter().filter_map(|group| group.as_str()).any(|group| caller.is_of(group))
        }
        Some(Literal::String(group)) => caller.is_of(group),
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
            pooled: Thing @aws_cognito_user_pools  grouped: Thing @aws_cognito_user_pools(cognito_groups: [\"poets\", \"kings\"])
            trusted: Thing @aws_oidc  either: Thing @aws_iam @aws_cognito_user_pools(cognito_groups: \"kings\") }
        type Thing @aws_iam @aws_cognito_user_pools(cognito_groups: [\"kings\"]) { inherited: Int  own: Int @aws_api_key }";

    fn key() -> Caller {
        Caller::with_key()
    }

    fn signer() -> Caller {
        let root = Principal::administrator("123456789012", "root", "AKIAROOT".into(), "secret".into());
        Caller::signing(Arc::new(root), "eu-west-1", Vec::new())
    }

    fn user(groups: &[&str]) -> Caller {
        Caller::with_token(AuthMode::UserPool, serde_json::json!({ "groups": groups }))
    }

    fn may(caller: &Caller, type_name: &str, field: &str) -> bool {
        let schema = Schema::load(SCHEMA).unwrap();
        let query = schema.root(OperationType::Query).unwrap();
        let parent = if type_name == "Query" { query } else { schema.definitions.get_object(type_name).unwrap() };
        admits(caller, Some(AuthMode::ApiKey), schema.field(type_name, field).unwrap(), parent)
    }

    #[test]
    fn a_field_without_directives_is_open_to_the_default_mode_only() {
        assert!(may(&key(), "Query", "open"));
        assert!(!may(&signer(), "Query", "open") && !may(&user(&["kings"]), "Query", "open"));
    }

    #[test]
    fn a_field_is_open_to_the_modes_beside_it() {
        assert!(!may(&signer(), "Query", "keyed"));
        assert!(!may(&key(), "Query", "signed"));
        assert!(may(&key(), "Query", "both") && may(&signer(), "Query", "both"));
        assert!(may(&user(&[]), "Query", "pooled") && !may(&user(&[]), "Query", "trusted"));
        let of_provider = Caller::with_token(AuthMode::OpenId, serde_json::json!({ "groups": ["kings"] }));
        assert!(may(&of_provider, "Query", "trusted") && !may(&of_provider, "Query", "grouped"));
    }

    #[test]
    fn a_field_that_names_groups_is_open_to_their_members() {
        for (groups, expected) in
            [(&["kings"][..], true), (&["fools", "poets"], true), (&["fools"], false), (&[], false)]
        {
            assert_eq!(may(&user(groups), "Query", "grouped"), expected, "{groups:?}");
        }
        assert!(may(&signer(), "Query", "either") && may(&user(&["kings"]), "Query", "either"));
        assert!(!may(&user(&["poets"]), "Query", "either"));
    }

    #[test]
    fn a_field_overrides_its_type_and_else_inherits_from_it() {
        assert!(may(&signer(), "Thing", "inherited") && !may(&key(), "Thing", "inherited"));
        assert!(may(&key(), "Thing", "own") && !may(&signer(), "Thing", "own"));
        assert!(may(&user(&["kings"]), "Thing", "inherited") && !may(&user(&["poets"]), "Thing", "inherited"));
    }
}
