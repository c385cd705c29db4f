//! Restricts a schema to the authorization modes that an API has.
use apollo_compiler::{
    Name, Node,
    ast::{Definition, DirectiveList, Document, FieldDefinition},
};

use super::authorization::{directive_of, is_auth_directive};
use crate::{graphql::definition_error::ApiDefinitionError, stack::AuthMode};

/// Removes the authorization directives of all other modes from the schema.
///
/// Fails if a type or field would lose its last authorization directive, because the API's default mode could
/// then read it.
pub fn restrict_to_modes(text: &str, modes: &[AuthMode]) -> Result<String, ApiDefinitionError> {
    let mut document = Document::parse(text, "schema.graphql")
        .map_err(|invalid| ApiDefinitionError::new(format!("schema.graphql is not a schema: {}", invalid.errors)))?;
    for definition in &mut document.definitions {
        match definition {
            Definition::ObjectTypeDefinition(object) => {
                let object = object.make_mut();
                restrict(&mut object.directives, modes, &object.name)?;
                restrict_fields(&mut object.fields, modes, &object.name)?;
            }
            Definition::InterfaceTypeDefinition(interface) => {
                let interface = interface.make_mut();
                restrict(&mut interface.directives, modes, &interface.name)?;
                restrict_fields(&mut interface.fields, modes, &interface.name)?;
            }
            Definition::ObjectTypeExtension(_) | Definition::InterfaceTypeExtension(_) => {
                let name = definition.name().map_or("a type", Name::as_str);
                return Err(ApiDefinitionError::new(format!(
                    "schema.graphql extends {name}; its authorization modes must be declared in one definition"
                )));
            }
            _ => {}
        }
    }
    Ok(document.to_string())
}

fn restrict_fields(
    fields: &mut [Node<FieldDefinition>],
    modes: &[AuthMode],
    type_name: &str,
) -> Result<(), ApiDefinitionError> {
    fields.iter_mut().try_for_each(|field| {
        let field = field.make_mut();
        restrict(&mut field.directives, modes, &format!("{type_name}.{}", field.name))
    })
}

fn restrict(directives: &mut DirectiveList, modes: &[AuthMode], coordinate: &str) -> Result<(), ApiDefinitionError> {
    let is_of_api = |name: &str| modes.iter().any(|mode| directive_of(*mode) == name);
    let has_auth_directive =
        |directives: &DirectiveList| directives.iter().any(|directive| is_auth_directive(&directive.name));
    let was_restricted = has_auth_directive(directives);
    directives.retain(|directive| !is_auth_directive(&directive.name) || is_of_api(&directive.name));
    if was_restricted && !has_auth_directive(directives) {
        return Err(ApiDefinitionError::new(format!(
            "{coordinate} is for modes that the API does not have, and would be open to its default"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = "type Query @aws_iam @aws_oidc {
  \"\"\"Whose?\"\"\"
  mine(id: ID!): Thing @aws_api_key @aws_iam @deprecated
}

type Thing @aws_iam @aws_cognito_user_pools(cognito_groups: [\"poets\"]) {
  name: String
}
";

    fn restricted(modes: &[AuthMode]) -> String {
        restrict_to_modes(SCHEMA, modes).unwrap()
    }

    #[test]
    fn only_directives_of_the_apis_modes_remain() {
        let all = [AuthMode::Iam, AuthMode::ApiKey, AuthMode::UserPool, AuthMode::OpenId];
        assert_eq!(restricted(&all), SCHEMA);
        let without_tokens = SCHEMA.replace(" @aws_oidc", "");
        let without_tokens = without_tokens.replace(" @aws_cognito_user_pools(cognito_groups: [\"poets\"])", "");
        assert_eq!(restricted(&[AuthMode::Iam, AuthMode::ApiKey]), without_tokens);
        assert_eq!(restricted(&[AuthMode::Iam]), without_tokens.replace(" @aws_api_key", ""));
    }

    #[test]
    fn field_or_type_without_remaining_mode_is_rejected() {
        let error = |modes| restrict_to_modes(SCHEMA, modes).unwrap_err().to_string();
        let sentence = "is for modes that the API does not have, and would be open to its default";
        assert_eq!(error(&[AuthMode::OpenId]), format!("Query.mine {sentence}"));
        assert_eq!(error(&[AuthMode::OpenId, AuthMode::ApiKey]), format!("Thing {sentence}"));
    }

    #[test]
    fn type_extension_is_rejected() {
        let schema = "type Query { a: ID } extend type Query { b: ID @aws_oidc }";
        let error = restrict_to_modes(schema, &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "schema.graphql extends Query; its authorization modes must be declared in one definition"
        );
    }

    #[test]
    fn invalid_schema_is_rejected() {
        let error = restrict_to_modes("type {", &[]).unwrap_err();
        assert!(error.to_string().starts_with("schema.graphql is not a schema: "));
    }
}
