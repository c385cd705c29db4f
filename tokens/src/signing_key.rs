//! The RSA keys of local token issuers.
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    error::{KeyRejected, Unspecified},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

pub struct SigningKey {
    pair: KeyPair,
    key_id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    #[error("a key cannot be generated")]
    GenerationFailed,
    #[error("it holds no RSA key in the form PKCS #8")]
    InvalidKey,
    #[error("the key cannot sign")]
    SigningFailed,
}

impl SigningKey {
    pub fn generate() -> Result<Self, SigningKeyError> {
        KeyPair::generate(KeySize::Rsa2048)
            .map(Self::from_pair)
            .map_err(|Unspecified| SigningKeyError::GenerationFailed)
    }

    /// Reads a key that `to_pkcs8` has written.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, SigningKeyError> {
        KeyPair::from_pkcs8(pkcs8).map(Self::from_pair).map_err(|_: KeyRejected| SigningKeyError::InvalidKey)
    }

    pub fn to_pkcs8(&self) -> Result<Vec<u8>, SigningKeyError> {
        let der: Result<Pkcs8V1Der<'_>, Unspecified> = self.pair.as_der();
        der.map(|der| der.as_ref().to_vec()).map_err(|Unspecified| SigningKeyError::SigningFailed)
    }

    /// The same key with another key id.
    pub fn with_key_id(self, key_id: &str) -> Self {
        Self { key_id: key_id.to_owned(), ..self }
    }

    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The public key as a JSON Web Key.
    pub fn to_jwk(&self) -> Value {
        let public = self.pair.public_key();
        let modulus = BASE64_URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
        let exponent = BASE64_URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
        json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.key_id, "n": modulus, "e": exponent })
    }

    /// Signs a JSON Web Token with these claims.
    pub fn sign(&self, claims: &Value) -> Result<String, SigningKeyError> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id });
        let [header, claims] = [&header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = format!("{header}.{claims}");
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        let result = self.pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature);
        result.map_err(|Unspecified| SigningKeyError::SigningFailed)?;
        Ok(format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Derives the key id from the modulus, so that a stored key keeps its id.
    fn from_pair(pair: KeyPair) -> Self {
        let modulus = pair.public_key().modulus().big_endian_without_leading_zero();
        let key_id = BASE64_URL_SAFE_NO_PAD.encode(modulus.get(..24).unwrap_or(modulus));
        Self { pair, key_id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_key_keeps_its_id_and_signatures() {
        let key = SigningKey::generate().unwrap();
        let stored = SigningKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!((stored.key_id(), stored.to_jwk()), (key.key_id(), key.to_jwk()));
        let claims = json!({ "sub": "s" });
        assert_eq!(stored.sign(&claims), key.sign(&claims));
    }

    #[test]
    fn invalid_key_is_rejected() {
        assert_eq!(SigningKey::from_pkcs8(b"key").err(), Some(SigningKeyError::InvalidKey));
    }
}
