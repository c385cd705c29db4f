//! The operations of the API that the gateway calls. Every value is passed as a variable.
use std::sync::LazyLock;

use serde_json::{Value, json};

/// All operations and their fragments. A request has one operation with the fragments that it uses.
pub const DOCUMENTS: &str = include_str!("operations.graphql");

/// The documents of the operations in the order of [`Operation`].
static REQUEST_DOCUMENTS: LazyLock<[String; 7]> = LazyLock::new(|| {
    [
        request_document("mutation SendMessage"),
        request_document("mutation CancelTurn"),
        request_document("mutation RetryTurn"),
        request_document("mutation ContinueTurn"),
        request_document("mutation AnswerToolCall"),
        request_document("query GetTurn"),
        request_document("query ListEvents"),
    ]
});

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    SendMessage,
    CancelTurn,
    RetryTurn,
    ContinueTurn,
    AnswerToolCall,
    GetTurn,
    ListEvents,
}

impl Operation {
    pub const ALL: [Self; 7] = [
        Self::SendMessage,
        Self::CancelTurn,
        Self::RetryTurn,
        Self::ContinueTurn,
        Self::AnswerToolCall,
        Self::GetTurn,
        Self::ListEvents,
    ];

    /// The operation with its fragments, without line breaks and indentation.
    pub fn document(self) -> &'static str {
        &REQUEST_DOCUMENTS[self as usize]
    }

    /// The root field of the response.
    pub const fn field(self) -> &'static str {
        match self {
            Self::SendMessage => "sendMessage",
            Self::CancelTurn => "cancelTurn",
            Self::RetryTurn => "retryTurn",
            Self::ContinueTurn => "continueTurn",
            Self::AnswerToolCall => "answerToolCall",
            Self::GetTurn => "getTurn",
            Self::ListEvents => "getConversation",
        }
    }

    /// The body of a request.
    pub fn body(self, variables: &Value) -> String {
        json!({ "query": self.document(), "variables": variables }).to_string()
    }
}

/// The definition that begins with this text, and the fragments that it uses. The file has no strings and no
/// comments, and a blank line between definitions.
fn request_document(beginning: &str) -> String {
    let definitions: Vec<&str> = DOCUMENTS.split("\n\n").map(str::trim).collect();
    let begins =
        |definition: &&&str| definition.strip_prefix(beginning).is_some_and(|rest| rest.starts_with(['(', ' ']));
    let operation = definitions.iter().find(begins).copied().unwrap_or_default();
    let mut used = vec![operation];
    let mut next = 0;
    while let Some(definition) = used.get(next).copied() {
        for name in definition.split("...").skip(1) {
            let name: String = name.chars().take_while(|character| character.is_ascii_alphanumeric()).collect();
            let fragment = format!("fragment {name} on ");
            let found = definitions.iter().find(|definition| definition.starts_with(&fragment));
            used.extend(found.filter(|found| !used.contains(found)));
        }
        next += 1;
    }
    used.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use apollo_compiler::{ExecutableDocument, Schema, executable::Selection};

    use super::*;

    #[test]
    fn documents_fit_the_schema_and_have_all_their_fragments() {
        let prelude = include_str!("../../../local/graphql/schema/prelude.graphql");
        let schema = include_str!("../../../schema.graphql");
        let schema = Schema::builder().parse(prelude, "prelude.graphql").parse(schema, "schema.graphql");
        let schema = schema.build().unwrap().validate().unwrap();
        let mut operations = 0;
        for operation in Operation::ALL {
            let document =
                ExecutableDocument::parse_and_validate(&schema, operation.document(), "request.graphql").unwrap();
            let definition = document.operations.get(None).unwrap();
            let [Selection::Field(field)] = &definition.selection_set.selections[..] else { panic!() };
            assert_eq!((field.name.as_str(), field.alias.is_none()), (operation.field(), true));
            assert!(field.arguments.iter().any(|argument| argument.name == "onBehalfOf"), "{operation:?}");
            operations += 1;
        }
        assert_eq!(operations, DOCUMENTS.matches("\nquery ").count() + DOCUMENTS.matches("mutation ").count());
    }

    #[test]
    fn short_operations_have_no_fragments() {
        assert!(!Operation::SendMessage.document().contains("fragment"));
        assert!(Operation::GetTurn.document().matches("fragment ").count() == 5);
        assert!(!Operation::ListEvents.document().contains("fragment Metadata"));
    }
}
