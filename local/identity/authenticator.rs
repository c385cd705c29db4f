//! Authentication of requests.
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, Uri, header::AUTHORIZATION};
use tokens::{FetchLimit, Token, TrustedIssuer, constant_time};

use super::{
    assumed_role::AssumedRole,
    auth_error::AuthError,
    auth_request::AuthRequest,
    caller::Caller,
    presigned_url::{PresignedUrl, PresignedUrlError},
    principal::Principal,
    signature::{self, Signature},
};
use crate::stack::{AuthMode, TokenIssuer};

const API_KEY: &str = "x-api-key";
/// AppSync does not document its own.
const KEY_FETCHES: FetchLimit = FetchLimit { fetches: 5, interval: Duration::from_secs(30) };

/// Authenticates the callers of an API by its keys, principals and issuers. Clones share the principals.
#[derive(Clone)]
pub struct Authenticator {
    modes: Vec<AuthMode>,
    api_keys: Vec<String>,
    /// By access key id.
    principals: Arc<RwLock<HashMap<String, Arc<Principal>>>>,
    trusted_issuers: Arc<[TrustedIssuer]>,
}

impl Authenticator {
    /// The first mode is the API's default.
    pub fn new(modes: Vec<AuthMode>, api_keys: Vec<String>) -> Self {
        Self { modes, api_keys, principals: Arc::default(), trusted_issuers: Arc::default() }
    }

    /// Accepts the tokens of these issuers.
    pub fn with_trusted_issuers(self, issuers: Vec<TokenIssuer>) -> Self {
        Self {
            trusted_issuers: issuers.into_iter().map(|issuer| TrustedIssuer::new(issuer, KEY_FETCHES)).collect(),
            ..self
        }
    }

    /// An authenticator of another API that has the same principals.
    pub fn for_other_api(&self, modes: Vec<AuthMode>, api_keys: Vec<String>, issuers: Vec<TokenIssuer>) -> Self {
        let other = Self { modes, api_keys, principals: self.principals.clone(), trusted_issuers: Arc::default() };
        other.with_trusted_issuers(issuers)
    }

    /// Accepts the principal's signatures from now on.
    pub fn add_principal(&self, principal: Principal) {
        let mut principals = self.principals.write().unwrap_or_else(PoisonError::into_inner);
        principals.insert(principal.access_key_id.clone(), Arc::new(principal));
    }

    /// The role whose temporary credentials signed the request. Does not verify the signature.
    pub fn assumed_role(&self, headers: &HeaderMap) -> Option<AssumedRole> {
        let principal = self.signer(headers)?;
        let has_temporary_credentials = principal.session_token.is_some();
        has_temporary_credentials.then(|| AssumedRole::from_principal(&principal))
    }

    /// As `assumed_role`, and also of a user with long-lived credentials, such as the administrator.
    pub fn assumed_role_or_user(&self, headers: &HeaderMap) -> Option<AssumedRole> {
        Some(AssumedRole::from_principal(self.signer(headers)?.as_ref()))
    }

    /// The role or user whose credentials have signed the query of a GET of S3.
    pub fn authenticate_presigned_url(
        &self,
        host: &str,
        uri: &Uri,
        now: SystemTime,
    ) -> Result<AssumedRole, PresignedUrlError> {
        let url = PresignedUrl::parse(uri)?;
        let principals = self.principals.read().unwrap_or_else(PoisonError::into_inner);
        let principal = principals.get(&url.access_key_id).cloned().ok_or(PresignedUrlError::UnknownAccessKey)?;
        drop(principals);
        url.verify(host, uri.path(), &principal, now)?;
        Ok(AssumedRole::from_principal(&principal))
    }

    /// The principal whose access key a signature names.
    fn signer(&self, headers: &HeaderMap) -> Option<Arc<Principal>> {
        let authorization = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (_, credential) = authorization.split_once("Credential=")?;
        let principals = self.principals.read().unwrap_or_else(PoisonError::into_inner);
        principals.get(credential.split('/').next()?).cloned()
    }

    pub fn default_mode(&self) -> Option<AuthMode> {
        self.modes.first().copied()
    }

    /// Authenticates a request by its API key, or else by its `Authorization` header. An API without the mode
    /// of API keys ignores the key. `Authorization` holds a signature if the API has the IAM mode and the
    /// header has the form of one; otherwise it holds a token.
    pub async fn authenticate(&self, request: &AuthRequest<'_>) -> Result<Caller, AuthError> {
        if self.modes.contains(&AuthMode::ApiKey)
            && let Some(key) = request.headers.get(API_KEY)
        {
            return self.authenticate_api_key(key);
        }
        let has_iam_mode = self.modes.contains(&AuthMode::Iam);
        match request.headers.get(AUTHORIZATION) {
            Some(authorization) if signature::is_signature(authorization) && has_iam_mode => {
                self.authenticate_signature(request)
            }
            Some(authorization) if !self.trusted_issuers.is_empty() => {
                self.authenticate_token(authorization, request).await
            }
            _ => Err(AuthError::CredentialsMissing),
        }
    }

    fn authenticate_api_key(&self, key: &HeaderValue) -> Result<Caller, AuthError> {
        let is_known = self.api_keys.iter().any(|known| constant_time::equal(known.as_bytes(), key.as_bytes()));
        if is_known { Ok(Caller::from_api_key()) } else { Err(AuthError::NotAuthorized) }
    }

    async fn authenticate_token(
        &self,
        authorization: &HeaderValue,
        request: &AuthRequest<'_>,
    ) -> Result<Caller, AuthError> {
        let token = Token::parse(authorization.to_str().map_err(|_| AuthError::TokenMalformed)?)?;
        let issuer = self.trusted_issuers.iter().find(|issuer| issuer.is_issuer_of(&token));
        let Some(issuer) = issuer else {
            let trusted: Vec<_> = self.trusted_issuers.iter().map(TrustedIssuer::url).collect();
            tracing::warn!(?trusted, "a token of an issuer that the API does not trust is refused");
            return Err(AuthError::NotAuthorized);
        };
        let claims = issuer.verify(&token, request.now).await?;
        let identity = claims.into_identity(issuer.kind(), request.source_addresses());
        Ok(Caller::from_token(issuer.kind().into(), identity))
    }

    fn authenticate_signature(&self, request: &AuthRequest<'_>) -> Result<Caller, AuthError> {
        let signature = signature::parse(request.headers, signature::APPSYNC)?;
        let principal = self.verify_signature(&signature, request)?;
        Ok(Caller::from_signature(principal, signature.region, request.source_addresses()))
    }

    /// Authenticates a request to another service of AWS by its signature.
    pub fn authenticate_signer(&self, request: &AuthRequest<'_>, service: &str) -> Result<AssumedRole, AuthError> {
        let signature = signature::parse(request.headers, service)?;
        let principal = self.verify_signature(&signature, request)?;
        Ok(AssumedRole::from_principal(&principal))
    }

    fn verify_signature(&self, signature: &Signature, request: &AuthRequest<'_>) -> Result<Arc<Principal>, AuthError> {
        let principals = self.principals.read().unwrap_or_else(PoisonError::into_inner);
        let principal = principals.get(signature.access_key_id).cloned().ok_or(AuthError::ClientUnknown)?;
        drop(principals);
        signature.verify(request, &principal)?;
        Ok(principal)
    }
}
