//! The ids of messages, which are their idempotency keys: the same message again has the same id.

/// The API takes no longer ids.
pub const MAX_ID_LENGTH: usize = 64;
/// All callers with the API key are one user, so a short id of a first message could be guessed.
const MIN_UNGUESSABLE_LENGTH: usize = 16;

/// `ID_RULE` of resolvers/shared.js.
pub const ID_RULE: &str = "1 to 64 of A-Z, a-z, 0-9, _ and -";

pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// The id of an event of AppSync Events, a UUID that is the same in every retry. Other characters than those
/// of ids are left out.
pub fn of_event(event_id: &str) -> String {
    shortened(event_id)
}

/// The id of a message on a WebSocket connection. Both parts have the characters of base64.
pub fn of_websocket_message(connection_id: &str, message_id: &str) -> String {
    shortened(&format!("{connection_id}{message_id}").replace('/', "_").replace('+', "-"))
}

/// Whether others could guess the id of a first message. The API refuses such an id with the API key.
pub fn is_guessable(id: &str) -> bool {
    id.len() < MIN_UNGUESSABLE_LENGTH
}

/// An id that others cannot guess, for an id of a client that they could. It is the same for the same
/// listener, a channel or a connection whose name only the client knows.
pub fn unique_for(listener: &str, client_id: &str) -> String {
    shortened(&format!("{}-{client_id}", listener.replace('/', "_").replace('+', "-")))
}

/// The last characters of an id, which differ most.
fn shortened(text: &str) -> String {
    let allowed: String =
        text.chars().filter(|character| character.is_ascii_alphanumeric() || "_-".contains(*character)).collect();
    allowed[allowed.len().saturating_sub(MAX_ID_LENGTH)..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_platforms_become_ids_of_messages() {
        assert_eq!(of_event("5f7dfbd1-b8ff-4c20-924e-23b42db467a0"), "5f7dfbd1-b8ff-4c20-924e-23b42db467a0");
        assert_eq!(of_websocket_message("Sy1hsd8/IAMCLAQ=", "Kf2dGd9+ywMCEng="), "Sy1hsd8_IAMCLAQKf2dGd9-ywMCEng");
        let long = of_websocket_message(&"c".repeat(128), "Kf2dGd9lywMCEng=");
        assert!(is_id(&long) && long.ends_with("Kf2dGd9lywMCEng"), "{long}");
    }

    #[test]
    fn guessable_id_is_unique_for_its_listener() {
        assert!(is_guessable("1732659999999") && !is_guessable("a-random-id-of-16"));
        assert_eq!(unique_for("Sy1hsd8/IAMCLAQ=", "1732659999999"), "Sy1hsd8_IAMCLAQ-1732659999999");
        let long = unique_for(&"c".repeat(50), "173265999999999");
        assert!(is_id(&long) && !is_guessable(&long) && long.ends_with("c-173265999999999"), "{long}");
    }

    #[test]
    fn ids_have_1_to_64_of_their_characters() {
        for (text, expected) in [("a", true), ("A_b-9", true), ("", false), ("a b", false), ("é", false), ("a=", false)]
        {
            assert_eq!(is_id(text), expected, "{text:?}");
        }
        assert!(is_id(&"a".repeat(64)) && !is_id(&"a".repeat(65)));
    }
}
