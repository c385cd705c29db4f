//! The RSA key that an issuer of a laptop signs with.
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
    id: String,
}

/// Why there is no key, or no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    #[error("a key cannot be drawn")]
    Undrawn,
    #[error("it holds no RSA key in the form PKCS #8")]
    Unreadable,
    #[error("the key cannot sign")]
    Unusable,
}

impl SigningKey {
    pub fn draw() -> Result<Self, KeyFault> {
        KeyPair::generate(KeySize::Rsa2048).map(Self::of).map_err(|Unspecified| KeyFault::Undrawn)
    }

    /// From PKCS #8, as `to_pkcs8` writes it.
    pub fn read(pkcs8: &[u8]) -> Result<Self, KeyFault> {
        KeyPair::from_pkcs8(pkcs8).map(Self::of).map_err(|_: KeyRejected| KeyFault::Unreadable)
    }

    pub fn to_pkcs8(&self) -> Result<Vec<u8>, KeyFault> {
        let written: Result<Pkcs8V1Der<'_>, Unspecified> = self.pair.as_der();
        written.map(|der| der.as_ref().to_vec()).map_err(|Unspecified| KeyFault::Unusable)
    }

    /// The same key under another id.
    pub fn named(self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half, as issuers publish it.
    pub fn published(&self) -> Value {
        let public = self.pair.public_key();
        let written = |number: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(number);
        let modulus = written(public.modulus().big_endian_without_leading_zero());
        let exponent = written(public.exponent().big_endian_without_leading_zero());
        json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, "n": modulus, "e": exponent })
    }

    /// A JSON Web Token that says this.
    pub fn sign(&self, claims: &Value) -> Result<String, KeyFault> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.id });
        let [header, claims] = [&header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        let written = self.pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature);
        written.map_err(|Unspecified| KeyFault::Unusable)?;
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Its id is drawn from its modulus, so that it is the same whenever the key is read.
    fn of(pair: KeyPair) -> Self {
        let modulus = pair.public_key().modulus().big_endian_without_leading_zero();
        let id = BASE64_URL_SAFE_NO_PAD.encode(modulus.get(..24).unwrap_or(modulus));
        Self { pair, id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_kept_is_the_same_key() {
        let key = SigningKey::draw().unwrap();
        let kept = SigningKey::read(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!((kept.id(), kept.published()), (key.id(), key.published()));
        let claims = json!({ "sub": "s" });
        assert_eq!(kept.sign(&claims), key.sign(&claims));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(SigningKey::read(b"key").err(), Some(KeyFault::Unreadable));
    }
}
