//! The schema for an API that lacks some of the modes it speaks of.
use apollo_compiler::{
    Name, Node,
    ast::{Definition, DirectiveList, Document, FieldDefinition},
};

use crate::graphql::{
    Fault,
    schema::authorization::{directive_of, is_of_a_mode},
};
use crate::stack::AuthMode;

/// The same schema with the directives of these modes only. A type or field that is left without any would be open to
/// the default mode, and is refused.
pub fn with_modes(text: &str, modes: &[AuthMode]) -> Result<String, Fault> {
    let mut document = Document::parse(text, "schema.graphql")
        .map_err(|fault| Fault::new(format!("schema.graphql is not a schema: {}", fault.errors)))?;
    for definition in &mut document.definitions {
        match definition {
            Definition::ObjectTypeDefinition(object) => {
                let object = object.make_mut();
                keep(&mut object.directives, modes, &object.name)?;
                keep_of_fields(&mut object.fields, modes, &object.name)?;
            }
            Definition::InterfaceTypeDefinition(interface) => {
                let interface = interface.make_mut();
                keep(&mut interface.directives, modes, &interface.name)?;
                keep_of_fields(&mut interface.fields, modes, &interface.name)?;
            }
            Definition::ObjectTypeExtension(_) | Definition::InterfaceTypeExtension(_) => {
                let name = definition.name().map_or("a type", Name::as_str);
                return Err(Fault::new(format!(
                    "schema.graphql extends {name}, of which the modes must stand together"
                )));
            }
            _ => {}
        }
    }
    Ok(document.to_string())
}

fn keep_of_fields(fields: &mut [Node<FieldDefinition>], modes: &[AuthMode], owner: &str) -> Result<(), Fault> {
    fields.iter_mut().try_for_each(|field| {
        let field = field.make_mut();
        keep(&mut field.directives, modes, &format!("{owner}.{}", field.name))
    })
}

fn keep(directives: &mut DirectiveList, modes: &[AuthMode], place: &str) -> Result<(), Fault> {
    let was_closed = directives.iter().any(|directive| is_of_a_mode(&directive.name));
    let is_kept = |name: &str| modes.iter().any(|mode| directive_of(*mode) == name);
    directives.retain(|directive| !is_of_a_mode(&directive.name) || is_kept(&directive.name));
    if was_closed && !directives.iter().any(|directive| is_of_a_mode(&directive.name)) {
        return Err(Fault::new(format!(
            "{place} is for modes that the API does not have, and would be open to its default"
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

    fn kept(modes: &[AuthMode]) -> String {
        with_modes(SCHEMA, modes).unwrap()
    }

    #[test]
    fn only_the_directives_of_the_apis_modes_are_left() {
        let all = [AuthMode::Iam, AuthMode::ApiKey, AuthMode::UserPool, AuthMode::OpenId];
        assert_eq!(kept(&all), SCHEMA);
        let without_tokens = SCHEMA.replace(" @aws_oidc", "");
        let without_tokens = without_tokens.replace(" @aws_cognito_user_pools(cognito_groups: [\"poets\"])", "");
        assert_eq!(kept(&[AuthMode::Iam, AuthMode::ApiKey]), without_tokens);
        assert_eq!(kept(&[AuthMode::Iam]), without_tokens.replace(" @aws_api_key", ""));
    }

    #[test]
    fn nothing_is_opened_to_the_default_mode() {
        let refused = |modes| with_modes(SCHEMA, modes).unwrap_err().to_string();
        let sentence = "is for modes that the API does not have, and would be open to its default";
        assert_eq!(refused(&[AuthMode::OpenId]), format!("Query.mine {sentence}"));
        assert_eq!(refused(&[AuthMode::OpenId, AuthMode::ApiKey]), format!("Thing {sentence}"));
    }

    #[test]
    fn a_type_in_pieces_is_refused() {
        let refused = with_modes("type Query { a: ID } extend type Query { b: ID @aws_oidc }", &[]).unwrap_err();
        assert_eq!(refused.to_string(), "schema.graphql extends Query, of which the modes must stand together");
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        assert!(with_modes("type {", &[]).unwrap_err().to_string().starts_with("schema.graphql is not a schema: "));
    }
}
