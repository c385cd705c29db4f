//! The codes and the refresh tokens of an issuer.
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tokens::constant_time;

use super::{OAuthError, authorization_request::AuthorizationRequest, expiring_store::ExpiringStore};

const CODE_LIFETIME: Duration = Duration::from_secs(60);
/// Cognito's default.
const REFRESH_TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The codes, and the refresh tokens, that an issuer keeps. A new one ends the oldest.
const MAX_GRANTS: usize = 1_000;

/// What users have signed in to. It is in memory, so that all sign in again after a restart.
pub struct Grants {
    codes: ExpiringStore<CodeGrant>,
    refresh_tokens: ExpiringStore<SignIn>,
}

/// A user who has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    pub name: String,
    pub time: SystemTime,
    /// The nonce of the first ID token. Refreshed ones have none (OpenID Connect Core, section 12.2).
    pub nonce: Option<String>,
}

struct CodeGrant {
    sign_in: SignIn,
    redirect_uri: String,
    code_challenge: String,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            codes: ExpiringStore::new(CODE_LIFETIME, MAX_GRANTS),
            refresh_tokens: ExpiringStore::new(REFRESH_TOKEN_LIFETIME, MAX_GRANTS),
        }
    }
}

impl Grants {
    /// A code for the tokens of a user, which is valid once.
    pub fn issue_code(&mut self, request: &AuthorizationRequest, name: &str, now: SystemTime) -> String {
        let sign_in = SignIn { name: name.to_owned(), time: now, nonce: request.nonce.clone() };
        let redirect_uri = request.callback.redirect_uri.clone();
        self.codes.insert(CodeGrant { sign_in, redirect_uri, code_challenge: request.code_challenge.clone() }, now)
    }

    /// The sign-in of a code, which is spent by this whatever the result is.
    pub fn redeem_code(
        &mut self,
        code: &str,
        redirect_uri: &str,
        code_verifier: &str,
        now: SystemTime,
    ) -> Result<SignIn, OAuthError> {
        let grant = self.codes.remove(code, now);
        let grant = grant.ok_or_else(|| OAuthError::invalid_grant("the code is unknown, used or expired"))?;
        if grant.redirect_uri != redirect_uri {
            return Err(OAuthError::invalid_grant("redirect_uri is not that of the authorization request"));
        }
        let hash = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, code_verifier.as_bytes()));
        if !is_verifier(code_verifier) || !constant_time::equal(hash.as_bytes(), grant.code_challenge.as_bytes()) {
            return Err(OAuthError::invalid_grant("code_verifier does not match the code_challenge"));
        }
        Ok(grant.sign_in)
    }

    pub fn issue_refresh_token(&mut self, sign_in: SignIn, now: SystemTime) -> String {
        self.refresh_tokens.insert(SignIn { nonce: None, ..sign_in }, now)
    }

    /// The sign-in of a refresh token, which stays valid: two tabs may use it at once.
    pub fn refresh(&self, refresh_token: &str, now: SystemTime) -> Result<SignIn, OAuthError> {
        let sign_in = self.refresh_tokens.get(refresh_token, now).cloned();
        sign_in.ok_or_else(|| OAuthError::invalid_grant("the refresh token is unknown, revoked or expired"))
    }

    pub fn revoke(&mut self, refresh_token: &str, now: SystemTime) {
        self.refresh_tokens.remove(refresh_token, now);
    }
}

/// RFC 7636, section 4.1.
fn is_verifier(text: &str) -> bool {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    (43..=128).contains(&text.len()) && text.bytes().all(is_unreserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const REDIRECT_URI: &str = "http://localhost:4000/";
    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn request(challenge: &str) -> AuthorizationRequest {
        let query = format!(
            "client_id=local&response_type=code&redirect_uri={REDIRECT_URI}&code_challenge={challenge}\
             &code_challenge_method=S256&nonce=n"
        );
        AuthorizationRequest::parse(&query).unwrap()
    }

    #[test]
    fn code_is_redeemed_once_and_within_a_minute() {
        let mut grants = Grants::default();
        let code = grants.issue_code(&request(CHALLENGE), "ada", NOW);
        let sign_in = grants.redeem_code(&code, REDIRECT_URI, VERIFIER, NOW + Duration::from_secs(59)).unwrap();
        assert_eq!(sign_in, SignIn { name: "ada".into(), time: NOW, nonce: Some("n".into()) });
        let unknown = OAuthError::invalid_grant("the code is unknown, used or expired");
        assert_eq!(grants.redeem_code(&code, REDIRECT_URI, VERIFIER, NOW), Err(unknown.clone()));
        let code = grants.issue_code(&request(CHALLENGE), "ada", NOW);
        assert_eq!(grants.redeem_code(&code, REDIRECT_URI, VERIFIER, NOW + CODE_LIFETIME), Err(unknown));
    }

    #[test]
    fn code_needs_its_verifier_and_its_redirect_uri() {
        let mut grants = Grants::default();
        let long = "v".repeat(129);
        let hash_of_long = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, long.as_bytes()));
        let other = VERIFIER.replace('d', "e");
        for (challenge, redirect_uri, verifier) in [
            (CHALLENGE, "http://localhost:4000", VERIFIER),
            (CHALLENGE, REDIRECT_URI, &other),
            (CHALLENGE, REDIRECT_URI, CHALLENGE),
            (CHALLENGE, REDIRECT_URI, ""),
            (&hash_of_long, REDIRECT_URI, &long),
        ] {
            let code = grants.issue_code(&request(challenge), "ada", NOW);
            let refused = grants.redeem_code(&code, redirect_uri, verifier, NOW).unwrap_err();
            assert_eq!(refused.code.as_str(), "invalid_grant");
            let again = grants.redeem_code(&code, REDIRECT_URI, VERIFIER, NOW).unwrap_err();
            assert_eq!(again.description, "the code is unknown, used or expired", "a failed attempt spends the code");
        }
    }

    #[test]
    fn refresh_token_is_valid_until_it_is_revoked_or_expires() {
        let mut grants = Grants::default();
        let sign_in = SignIn { name: "ada".into(), time: NOW, nonce: Some("n".into()) };
        let token = grants.issue_refresh_token(sign_in.clone(), NOW);
        let refreshed = Ok(SignIn { nonce: None, ..sign_in });
        assert_eq!((grants.refresh(&token, NOW), grants.refresh(&token, NOW)), (refreshed.clone(), refreshed));
        assert!(grants.refresh(&token, NOW + REFRESH_TOKEN_LIFETIME).is_err());
        grants.revoke(&token, NOW);
        assert_eq!(grants.refresh(&token, NOW).unwrap_err().code.as_str(), "invalid_grant");
    }
}
