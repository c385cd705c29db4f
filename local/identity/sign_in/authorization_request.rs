//! Requests to the authorization endpoint: RFC 6749, section 4.1, PKCE (RFC 7636), and OpenID Connect Core,
//! section 3.1.2.
use reqwest::Url;

use super::{OAuthError, OAuthErrorCode, Parameters};
use crate::{identity::LOCAL_CLIENT_ID, localhost::is_local_url};

/// The longest request, with all its parameters.
pub const MAX_REQUEST_BYTES: usize = 8 << 10;
/// The length of a SHA-256 hash in base64url without padding.
const CHALLENGE_LENGTH: usize = 43;

/// A valid request.
#[derive(Debug)]
pub struct AuthorizationRequest {
    pub callback: Callback,
    /// A hash of the secret that redeems the code.
    pub code_challenge: String,
    /// Becomes a claim of the ID token.
    pub nonce: Option<String>,
}

/// Where the browser goes with the response.
#[derive(Debug)]
pub struct Callback {
    /// As the client writes it: the token request must repeat it.
    pub redirect_uri: String,
    url: Url,
    state: Option<String>,
}

#[derive(Debug)]
pub enum AuthorizationError {
    /// The client or its redirect URI is not known, so that the user must be told, and nothing be sent there.
    Untrusted(&'static str),
    /// The client is told, at this URL.
    Refused(Url),
}

impl AuthorizationRequest {
    /// Parses a query, or a form with the same parameters.
    pub fn parse(query: &str) -> Result<Self, AuthorizationError> {
        if query.len() > MAX_REQUEST_BYTES {
            return Err(AuthorizationError::Untrusted("The request is too long."));
        }
        let parameters = Parameters::parse(query.as_bytes());
        let callback = Callback::parse(&parameters)?;
        match parse_grant(&parameters) {
            Ok((code_challenge, nonce)) => Ok(Self { callback, code_challenge, nonce }),
            Err(error) => Err(AuthorizationError::Refused(callback.error_url(&error))),
        }
    }
}

impl Callback {
    fn parse(parameters: &Parameters) -> Result<Self, AuthorizationError> {
        let untrusted = AuthorizationError::Untrusted;
        if parameters.get("client_id") != Ok(Some(LOCAL_CLIENT_ID)) {
            return Err(untrusted("The client is not known: its client_id must be “local”."));
        }
        let redirect_uri = parameters.require("redirect_uri").ok();
        let redirect_uri = redirect_uri.ok_or(untrusted("The request must have one redirect_uri."))?.to_owned();
        let url = Url::parse(&redirect_uri).ok().filter(|url| is_local_url(url) && url.fragment().is_none());
        let url = url.ok_or(untrusted(
            "The redirect_uri must be an http or https address at localhost or 127.0.0.1, without a fragment.",
        ))?;
        // A repeated state is reported without one.
        let state = parameters.get("state").ok().flatten().map(str::to_owned);
        Ok(Self { redirect_uri, url, state })
    }

    pub fn code_url(&self, code: &str) -> Url {
        self.response_url(&[("code", code)])
    }

    pub fn error_url(&self, error: &OAuthError) -> Url {
        self.response_url(&[("error", error.code.as_str()), ("error_description", &error.description)])
    }

    /// The redirect URI keeps its own query.
    fn response_url(&self, parameters: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        let state = self.state.as_deref().map(|state| ("state", state));
        url.query_pairs_mut().extend_pairs(parameters.iter().copied().chain(state));
        url
    }
}

/// The code challenge and the nonce.
fn parse_grant(parameters: &Parameters) -> Result<(String, Option<String>), OAuthError> {
    use OAuthErrorCode::{
        InvalidScope, LoginRequired, RequestNotSupported, RequestUriNotSupported, UnsupportedResponseType,
    };
    parameters.get("state")?;
    if parameters.require("response_type")? != "code" {
        return Err(OAuthError::new(UnsupportedResponseType, "response_type must be code"));
    }
    if parameters.get("response_mode")?.is_some_and(|mode| mode != "query") {
        return Err(OAuthError::invalid_request("response_mode must be query"));
    }
    if parameters.get("request")?.is_some() {
        return Err(OAuthError::new(RequestNotSupported, "request objects are not supported"));
    }
    if parameters.get("request_uri")?.is_some() {
        return Err(OAuthError::new(RequestUriNotSupported, "request objects are not supported"));
    }
    // Without a scope, Cognito grants all that the client has.
    if parameters.get("scope")?.is_some_and(|scope| !scope.split(' ').any(|scope| scope == "openid")) {
        return Err(OAuthError::new(InvalidScope, "scope must include openid"));
    }
    if parameters.get("code_challenge_method")? != Some("S256") {
        return Err(OAuthError::invalid_request("code_challenge_method must be S256"));
    }
    let challenge = parameters.require("code_challenge")?;
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if challenge.len() != CHALLENGE_LENGTH || !challenge.bytes().all(is_base64url) {
        return Err(OAuthError::invalid_request("code_challenge must be a SHA-256 hash in base64url"));
    }
    let nonce = parameters.get("nonce")?.map(str::to_owned);
    if parameters.get("prompt")? == Some("none") {
        return Err(OAuthError::new(LoginRequired, "the user must choose who signs in"));
    }
    Ok((challenge.to_owned(), nonce))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    /// A valid request with some parameters changed, added, or left out where the value is empty.
    fn query(changes: &[(&str, &str)]) -> String {
        let valid = [
            ("client_id", "local"),
            ("redirect_uri", "http://localhost:5173/?view=chat"),
            ("response_type", "code"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("scope", "openid email"),
            ("state", "a b&c"),
        ];
        let unchanged = valid.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        serde_urlencoded::to_string(Vec::from_iter(unchanged.chain(changes).copied())).unwrap()
    }

    fn refused(query: &str) -> String {
        match AuthorizationRequest::parse(query) {
            Err(AuthorizationError::Refused(url)) => url.into(),
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn response_goes_to_the_redirect_uri_with_the_state() {
        let request = AuthorizationRequest::parse(&query(&[("nonce", "n")])).unwrap();
        assert_eq!((request.code_challenge.as_str(), request.nonce.as_deref()), (CHALLENGE, Some("n")));
        assert_eq!(request.callback.redirect_uri, "http://localhost:5173/?view=chat");
        let url = request.callback.code_url("42").to_string();
        assert_eq!(url, "http://localhost:5173/?view=chat&code=42&state=a+b%26c");
        let without = AuthorizationRequest::parse(&query(&[("state", ""), ("scope", "")])).unwrap();
        assert_eq!(without.callback.code_url("42").as_str(), "http://localhost:5173/?view=chat&code=42");
    }

    #[test]
    fn nothing_is_sent_to_a_client_or_address_that_is_not_known() {
        let cases = [
            vec![("client_id", "")],
            vec![("client_id", "other")],
            vec![("client_id", "local"), ("client_id", "local")],
            vec![("redirect_uri", "")],
            vec![("redirect_uri", "https://evil.example/")],
            vec![("redirect_uri", "http://localhost@evil.example/")],
            vec![("redirect_uri", "http://localhost:5173/#fragment")],
            vec![("redirect_uri", "//localhost/")],
            vec![("redirect_uri", "javascript:alert(1)")],
            vec![("redirect_uri", "http://localhost/"), ("redirect_uri", "http://localhost/")],
        ];
        for changes in cases {
            let parsed = AuthorizationRequest::parse(&query(&changes));
            assert!(matches!(parsed, Err(AuthorizationError::Untrusted(_))), "{changes:?}: {parsed:?}");
        }
        let long = query(&[("nonce", &"n".repeat(MAX_REQUEST_BYTES))]);
        assert!(matches!(AuthorizationRequest::parse(&long), Err(AuthorizationError::Untrusted(_))));
    }

    #[test]
    fn client_is_told_what_is_wrong() {
        let long = "x".repeat(CHALLENGE_LENGTH + 1);
        for (changes, error) in [
            (vec![("response_type", "")], "invalid_request"),
            (vec![("response_type", "token")], "unsupported_response_type"),
            (vec![("response_mode", "fragment")], "invalid_request"),
            (vec![("request", "e30.e30.")], "request_not_supported"),
            (vec![("request_uri", "https://localhost/")], "request_uri_not_supported"),
            (vec![("scope", "email")], "invalid_scope"),
            (vec![("code_challenge_method", "")], "invalid_request"),
            (vec![("code_challenge_method", "plain")], "invalid_request"),
            (vec![("code_challenge", "")], "invalid_request"),
            (vec![("code_challenge", "short")], "invalid_request"),
            (vec![("code_challenge", &long)], "invalid_request"),
            (vec![("code_challenge", &CHALLENGE.replace('-', "+"))], "invalid_request"),
            (vec![("prompt", "none")], "login_required"),
            (vec![("nonce", "a"), ("nonce", "b")], "invalid_request"),
        ] {
            let url = refused(&query(&changes));
            assert!(url.starts_with(&format!("http://localhost:5173/?view=chat&error={error}&")), "{changes:?}: {url}");
            assert!(url.ends_with("&state=a+b%26c"), "{changes:?}: {url}");
        }
        assert!(refused(&query(&[("state", "a"), ("state", "b")])).ends_with("state+is+given+more+than+once"));
    }
}
