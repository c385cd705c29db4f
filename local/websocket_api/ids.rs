//! Ids of connections, messages and requests.
use base64::{Engine, engine::general_purpose::URL_SAFE};
use uuid::Uuid;

/// The bytes of an id. Encoded they are 15 characters and `=`.
const ID_BYTES: usize = 11;
/// The fewest bytes of an id that API Gateway could have given.
const MIN_ID_BYTES: usize = 8;
const MAX_ID_LENGTH: usize = 64;

/// An id in API Gateway's form, such as `Qyi07eCbtjMCJKw=`.
pub fn new_id() -> String {
    URL_SAFE.encode(&Uuid::new_v4().as_bytes()[..ID_BYTES])
}

/// Whether a text has the form of an id.
pub fn is_id(text: &str) -> bool {
    text.len() <= MAX_ID_LENGTH && URL_SAFE.decode(text).is_ok_and(|bytes| bytes.len() >= MIN_ID_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_api_gateway() {
        let (id, other) = (new_id(), new_id());
        assert!(is_id(&id) && id.len() == 16 && id.ends_with('=') && id != other, "{id}");
        assert!(is_id("Qyi07eCbtjMCJKw=") && is_id("Sy1hsd8_IAMCLAQ="));
        for malformed in ["", "x", "Qyi07eCbtjMCJKw", "Qyi07eCbtjMCJKw==", "a/b", "Qyi07e CbtjMCJK=", &"A".repeat(400)]
        {
            assert!(!is_id(malformed), "{malformed}");
        }
    }
}
