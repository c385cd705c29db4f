//! Fields of the handler's own API that no tool may call.
use crate::{graphql_document::Document, graphql_urls::GraphqlUrls};

const STARTS_A_TURN: &str = "it starts a turn, so an agent could start turns without end";
const PUBLISHES: &str = "only the handler may publish";

/// The fields and the reasons, each of which goes on after a colon.
const REFUSED_FIELDS: [(&str, &str); 7] = [
    ("sendMessage", STARTS_A_TURN),
    ("retryTurn", STARTS_A_TURN),
    ("continueTurn", STARTS_A_TURN),
    ("answerToolCall", "it answers tool calls, so an agent could approve its own"),
    ("agentPublishMetadata", PUBLISHES),
    ("agentPublishEvent", PUBLISHES),
    ("agentPublishTitle", PUBLISHES),
];

/// A field that no tool may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The document must not have the field {name}: {reason}.")]
pub struct RefusedField {
    name: &'static str,
    reason: &'static str,
}

/// Looks at the fields of every level and of every fragment, so no alias, fragment or second field hides one.
/// The API has these names nowhere else.
pub fn check_fields(document: &Document, url: Option<&str>, urls: &GraphqlUrls) -> Result<(), RefusedField> {
    if !urls.is_of_own_api(url) {
        return Ok(());
    }
    let is_used = |name: &str| document.fields.iter().any(|field| field == name);
    match REFUSED_FIELDS.into_iter().find(|(name, _)| is_used(name)) {
        Some((name, reason)) => Err(RefusedField { name, reason }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use graphql_parser::schema::{Definition, TypeDefinition, parse_schema};

    use super::*;
    use crate::graphql_document::parse;

    const OWN_URL: &str = "https://own.example/graphql";
    const OTHER_URL: &str = "https://other.example/graphql";

    fn check(document: &str, url: Option<&str>) -> Option<&'static str> {
        let urls = GraphqlUrls::from_list(OWN_URL, OTHER_URL).unwrap();
        check_fields(&parse(document).unwrap(), url, &urls).err().map(|field| field.name)
    }

    #[test]
    fn refused_field_is_found_wherever_it_stands() {
        for (document, expected) in [
            ("mutation { sendMessage { id } }", Some("sendMessage")),
            ("mutation { cancelTurn: sendMessage { id } }", Some("sendMessage")),
            ("mutation { cancelTurn { id } retryTurn { id } }", Some("retryTurn")),
            ("mutation { ...A } fragment A on Mutation { continueTurn { id } }", Some("continueTurn")),
            (
                "mutation { ...A } fragment A on Mutation { ...B } fragment B on Mutation { retryTurn { id } }",
                Some("retryTurn"),
            ),
            (
                "mutation { ... on Mutation { ... @include(if: true) { answerToolCall { id } } } }",
                Some("answerToolCall"),
            ),
            ("mutation { x: agentPublishEvent { turnId } }", Some("agentPublishEvent")),
            ("mutation { agentPublishMetadata { turnId } }", Some("agentPublishMetadata")),
            ("mutation { sendMessage: cancelTurn { id } }", None),
            ("mutation sendMessage($sendMessage: ID!) { updateConversation(input: {id: $sendMessage}) { id } }", None),
            ("query { getTurn(id: \"sendMessage\") { id } } # sendMessage", None),
        ] {
            assert_eq!(check(document, None), expected, "{document}");
            assert_eq!(check(document, Some(OWN_URL)), expected, "{document}");
            assert_eq!(check(document, Some(OTHER_URL)), None, "{document}");
        }
    }

    #[test]
    fn every_field_that_starts_a_turn_or_publishes_is_refused() {
        let schema = parse_schema::<&str>(include_str!("../../schema.graphql")).unwrap();
        let mutation = schema.definitions.iter().find_map(|definition| match definition {
            Definition::TypeDefinition(TypeDefinition::Object(found)) if found.name == "Mutation" => Some(found),
            _ => None,
        });
        let changes_turns = |returned: &str| returned == "Turn" || returned == "ConversationUpdate";
        let fields = mutation.unwrap().fields.iter().filter(|field| changes_turns(&field.field_type.to_string()));
        let mut names: Vec<_> = fields.map(|field| field.name).filter(|name| *name != "cancelTurn").collect();
        let mut refused: Vec<_> = REFUSED_FIELDS.map(|(name, _)| name).into();
        names.sort_unstable();
        refused.sort_unstable();
        assert_eq!(names, refused);
    }
}
