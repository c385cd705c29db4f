//! Requests to the token endpoint.
use super::{OAuthError, OAuthErrorCode, Parameters};
use crate::identity::LOCAL_CLIENT_ID;

/// A valid form.
#[derive(Debug, PartialEq, Eq)]
pub enum TokenRequest {
    /// A user's name without a password, because every client that reaches the port is trusted.
    User { name: String },
    /// The code of a sign-in.
    Code { code: String, redirect_uri: String, code_verifier: String },
    /// The refresh token of a sign-in.
    Refresh { refresh_token: String },
}

impl TokenRequest {
    pub fn parse(form: &[u8]) -> Result<Self, OAuthError> {
        let parameters = Parameters::parse(form);
        let required = |name| parameters.require(name).map(str::to_owned);
        match parameters.get("grant_type")? {
            None | Some("password") => {
                let name = parameters.get("username")?.map(str::to_owned);
                Ok(Self::User { name: name.ok_or(OAuthError::invalid_request("a form with a username is required"))? })
            }
            Some("authorization_code") => {
                check_client(&parameters)?;
                let (code, redirect_uri) = (required("code")?, required("redirect_uri")?);
                Ok(Self::Code { code, redirect_uri, code_verifier: required("code_verifier")? })
            }
            Some("refresh_token") => {
                check_client(&parameters)?;
                Ok(Self::Refresh { refresh_token: required("refresh_token")? })
            }
            Some(_) => {
                let description = "grant_type must be authorization_code or refresh_token";
                Err(OAuthError::new(OAuthErrorCode::UnsupportedGrantType, description))
            }
        }
    }
}

fn check_client(parameters: &Parameters) -> Result<(), OAuthError> {
    match parameters.require("client_id")? {
        LOCAL_CLIENT_ID => Ok(()),
        _ => Err(OAuthError::new(OAuthErrorCode::InvalidClient, "client_id must be local")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(form: &str) -> &'static str {
        TokenRequest::parse(form.as_bytes()).unwrap_err().code.as_str()
    }

    #[test]
    fn grant_type_decides() {
        let parse = |form: &str| TokenRequest::parse(form.as_bytes()).unwrap();
        let ada = TokenRequest::User { name: "ada".into() };
        assert_eq!((&parse("username=ada"), &parse("grant_type=password&username=ada")), (&ada, &ada));
        let code = parse(
            "grant_type=authorization_code&client_id=local&code=42&redirect_uri=http%3A%2F%2Flocalhost%2F&code_verifier=v",
        );
        let redirect_uri = "http://localhost/".into();
        assert_eq!(code, TokenRequest::Code { code: "42".into(), redirect_uri, code_verifier: "v".into() });
        let refresh = parse("grant_type=refresh_token&client_id=local&refresh_token=r");
        assert_eq!(refresh, TokenRequest::Refresh { refresh_token: "r".into() });
    }

    #[test]
    fn incomplete_forms_are_refused() {
        let code = "grant_type=authorization_code&client_id=local&code=42&redirect_uri=r&code_verifier=v";
        for parameter in ["client_id=local", "code=42", "redirect_uri=r", "code_verifier=v"] {
            assert_eq!(error(&code.replace(&format!("&{parameter}"), "")), "invalid_request", "{parameter}");
            assert_eq!(error(&format!("{code}&{parameter}")), "invalid_request", "{parameter} twice");
        }
        assert_eq!(error(&code.replace("local", "other")), "invalid_client");
        assert_eq!(error("grant_type=refresh_token&client_id=local"), "invalid_request");
        assert_eq!(error("grant_type=client_credentials"), "unsupported_grant_type");
        for form in ["", "user=ada", "username=", "username=a&username=b", "grant_type=password", "\u{0}"] {
            assert_eq!(error(form), "invalid_request", "{form:?}");
        }
    }
}
