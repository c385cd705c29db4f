//! Who may read a field, by the directives beside it: a field's own win over its type's; none at all means the
//! API's default mode.
use apollo_compiler::{ast, schema};

use crate::stack::AuthMode;

const DIRECTIVES: [&str; 5] = ["aws_api_key", "aws_iam", "aws_oidc", "aws_lambda", "aws_cognito_user_pools"];

pub fn admits(
    mode: AuthMode,
    default: Option<AuthMode>,
    field: &schema::FieldDefinition,
    parent: &schema::ObjectType,
) -> bool {
    let wanted = directive_of(mode);
    if names_a_mode(&field.directives) {
        return field.directives.has(wanted);
    }
    if parent.directives.iter().any(|directive| DIRECTIVES.contains(&directive.name.as_str())) {
        return parent.directives.has(wanted);
    }
    default == Some(mode)
}

fn directive_of(mode: AuthMode) -> &'static str {
    match mode {
        AuthMode::ApiKey => "aws_api_key",
        AuthMode::Iam => "aws_iam",
    }
}

fn names_a_mode(directives: &ast::DirectiveList) -> bool {
    directives.iter().any(|directive| DIRECTIVES.contains(&directive.name.as_str()))
}

#[cfg(test)]
mod tests {
    use apollo_compiler::ast::OperationType;

    use super::*;
    use crate::graphql::schema::Schema;

    const SCHEMA: &str = "
        type Query { open: Thing  keyed: Thing @aws_api_key  signed: Thing @aws_iam  both: Thing @aws_iam @aws_api_key }
        type Thing @aws_iam { inherited: Int  own: Int @aws_api_key }";

    fn may(mode: AuthMode, type_name: &str, field: &str) -> bool {
        let schema = Schema::load(SCHEMA).unwrap();
        let query = schema.root(OperationType::Query).unwrap();
        let parent = if type_name == "Query" { query } else { schema.definitions.get_object(type_name).unwrap() };
        admits(mode, Some(AuthMode::ApiKey), schema.field(type_name, field).unwrap(), parent)
    }

    #[test]
    fn a_field_without_directives_is_open_to_the_default_mode_only() {
        assert!(may(AuthMode::ApiKey, "Query", "open"));
        assert!(!may(AuthMode::Iam, "Query", "open"));
    }

    #[test]
    fn a_field_is_open_to_the_modes_beside_it() {
        assert!(!may(AuthMode::Iam, "Query", "keyed"));
        assert!(!may(AuthMode::ApiKey, "Query", "signed"));
        assert!(may(AuthMode::ApiKey, "Query", "both") && may(AuthMode::Iam, "Query", "both"));
    }

    #[test]
    fn a_field_overrides_its_type_and_else_inherits_from_it() {
        assert!(may(AuthMode::Iam, "Thing", "inherited") && !may(AuthMode::ApiKey, "Thing", "inherited"));
        assert!(may(AuthMode::ApiKey, "Thing", "own") && !may(AuthMode::Iam, "Thing", "own"));
    }
}
