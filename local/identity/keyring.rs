//! The keys that an issuer publishes, asked for when they are first needed.
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, Jwk},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

/// A key nobody knows has the issuer asked again, for it may be new; but not more often than this.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);
const ANSWER_TIME: Duration = Duration::from_secs(5);

pub struct Keyring {
    place: Place,
    http: reqwest::Client,
    /// By key id.
    keys: RwLock<HashMap<String, DecodingKey>>,
    asked: Mutex<Option<Instant>>,
}

/// Where an issuer publishes its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Keys(String),
    /// The issuer's discovery document knows.
    Discovery(String),
}

#[derive(Deserialize)]
struct Discovered {
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

impl Keyring {
    pub fn new(place: Place) -> Self {
        Self { place, http: reqwest::Client::new(), keys: RwLock::default(), asked: Mutex::default() }
    }

    pub async fn key(&self, id: &str) -> Option<DecodingKey> {
        match self.known(id) {
            Some(key) => Some(key),
            None => {
                self.ask().await;
                self.known(id)
            }
        }
    }

    fn known(&self, id: &str) -> Option<DecodingKey> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Whoever needs a key meanwhile waits for the same answer.
    async fn ask(&self) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < ASK_AGAIN_AFTER) {
            return;
        }
        *asked = Some(Instant::now());
        match self.published().await {
            Ok(keys) => *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys,
            Err(error) => tracing::warn!(?self.place, %error, "an issuer's keys cannot be read"),
        }
    }

    async fn published(&self) -> Result<HashMap<String, DecodingKey>, reqwest::Error> {
        let Published { keys } = match &self.place {
            Place::Keys(url) => self.get(url).await?,
            Place::Discovery(url) => self.get(&self.get::<Discovered>(url).await?.jwks_uri).await?,
        };
        Ok(keys.into_iter().filter_map(usable).collect())
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, reqwest::Error> {
        self.http.get(url).timeout(ANSWER_TIME).send().await?.error_for_status()?.json().await
    }
}

/// Of the keys that issuers publish, AppSync takes those of RSA that have an id.
fn usable(published: Value) -> Option<(String, DecodingKey)> {
    let key: Jwk = serde_json::from_value(published).ok()?;
    let is_rsa = matches!(key.algorithm, AlgorithmParameters::RSA(_));
    Some((key.common.key_id.clone()?, DecodingKey::from_jwk(&key).ok().filter(|_| is_rsa)?))
}
