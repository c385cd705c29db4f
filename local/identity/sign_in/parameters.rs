//! Parameters of OAuth 2.0 in queries and forms.
use super::OAuthError;

/// Decoded parameters in their order.
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Parses `application/x-www-form-urlencoded`. Bytes that are no UTF-8 become U+FFFD.
    pub fn parse(encoded: &[u8]) -> Self {
        Self(serde_urlencoded::from_bytes(encoded).unwrap_or_default())
    }

    /// The value of a parameter. One without a value counts as left out (RFC 6749, section 3.1). Fails if the
    /// parameter is repeated.
    pub fn get(&self, name: &str) -> Result<Option<&str>, OAuthError> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let value = values.next();
        match values.next() {
            Some(_) => Err(OAuthError::invalid_request(format!("{name} is given more than once"))),
            None => Ok(value.filter(|value| !value.is_empty())),
        }
    }

    /// As `get`, of a parameter that must be there.
    pub fn require(&self, name: &str) -> Result<&str, OAuthError> {
        self.get(name)?.ok_or_else(|| OAuthError::invalid_request(format!("{name} is missing")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let parameters = Parameters::parse(b"state=a%20b+c%26&nonce=&scope=%ff");
        assert_eq!(parameters.get("state"), Ok(Some("a b c&")));
        assert_eq!(parameters.get("nonce"), Ok(None));
        assert_eq!(parameters.get("scope"), Ok(Some("\u{fffd}")));
        assert_eq!(parameters.get("code"), Ok(None));
        assert_eq!(parameters.require("code"), Err(OAuthError::invalid_request("code is missing")));
    }

    #[test]
    fn repeated_parameter_is_an_error() {
        let parameters = Parameters::parse(b"state=a&state=a&nonce=&nonce=");
        assert_eq!(parameters.get("state"), Err(OAuthError::invalid_request("state is given more than once")));
        assert!(parameters.get("nonce").is_err());
    }
}
