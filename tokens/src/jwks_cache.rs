//! A cache of the JSON Web Keys that an issuer publishes, filled when a key is first needed.
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use api::{
    limited_body::{BodyError, read_limited},
    object_only::ObjectOnly,
};
use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, Jwk},
};
use reqwest::{Client, Url, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use crate::issuer_url;

/// The time without fetches after a failed one.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The age after which keys are fetched again, because they may have been withdrawn.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// Clones share the keys.
#[derive(Clone)]
pub(crate) struct JwksCache(Arc<Shared>);

/// The largest number of successful fetches within an interval. An unknown key id triggers a fetch at once,
/// because the issuer may have begun to sign with a new key; forged key ids must not become as many requests
/// to the issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimit {
    /// At least 1.
    pub fetches: usize,
    pub interval: Duration,
}

/// Why there is no key of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// The issuer does not publish such a key, or may not be asked again yet.
    #[error("the key is unknown")]
    Unknown,
    /// The issuer's keys could not be read.
    #[error("the issuer's keys cannot be read")]
    Unavailable,
}

/// Where an issuer publishes its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JwksLocation {
    /// At `/.well-known/jwks.json`.
    WellKnown,
    /// At the `jwks_uri` of its discovery document.
    Discovery,
}

struct Shared {
    issuer: String,
    location: JwksLocation,
    limit: FetchLimit,
    state: RwLock<CacheState>,
    /// Held during a fetch, so that concurrent callers wait for one fetch.
    fetching: Mutex<()>,
}

#[derive(Default)]
struct CacheState {
    /// By key id.
    keys: HashMap<String, DecodingKey>,
    /// The times of the newest successful fetches, oldest first; at most `FetchLimit::fetches`.
    fetches: VecDeque<Instant>,
    failed_at: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the response of {0}: {1}")]
    Body(Url, BodyError),
    #[error("the response of {0} is malformed: {1}")]
    Malformed(Url, serde_json::Error),
    #[error("{0} is neither an https address nor on this machine")]
    Insecure(String),
    #[error("its discovery document is that of {0}")]
    WrongIssuer(String),
}

#[derive(Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl JwksCache {
    pub fn new(issuer: &str, location: JwksLocation, limit: FetchLimit) -> Self {
        let (state, fetching) = (RwLock::default(), Mutex::default());
        Self(Arc::new(Shared { issuer: issuer.to_owned(), location, limit, state, fetching }))
    }

    /// Returns a key by its id. Fetches the keys first if the id is unknown or the keys are too old.
    pub async fn key(&self, key_id: &str) -> Result<DecodingKey, KeyError> {
        if !self.read(|state| state.has_fresh_key(key_id, Instant::now())) {
            let (cache, id) = (self.clone(), key_id.to_owned());
            // The fetch runs in a task of its own, so that it completes even if the caller is cancelled.
            drop(tokio::spawn(async move { cache.fetch_key(&id).await }).await);
        }
        self.read(|state| match (state.keys.get(key_id), state.failed_at) {
            (Some(key), _) => Ok(key.clone()),
            (None, Some(_)) => Err(KeyError::Unavailable),
            (None, None) => Err(KeyError::Unknown),
        })
    }

    /// Fetches the keys unless another caller has fetched this key meanwhile.
    async fn fetch_key(&self, key_id: &str) {
        let _guard = self.0.fetching.lock().await;
        let now = Instant::now();
        if self.read(|state| state.has_fresh_key(key_id, now) || !state.may_fetch(self.0.limit, now)) {
            return;
        }
        let fetched = self.0.fetch_keys().await;
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        match fetched {
            Ok(keys) => state.store(keys, self.0.limit, Instant::now()),
            Err(error) => {
                tracing::warn!(issuer = self.0.issuer, %error, "an issuer's keys cannot be read");
                state.failed_at = Some(Instant::now());
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&CacheState) -> T) -> T {
        read(&self.0.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CacheState {
    fn has_fresh_key(&self, key_id: &str, now: Instant) -> bool {
        is_within(MAX_AGE, self.fetches.back(), now) && self.keys.contains_key(key_id)
    }

    fn may_fetch(&self, limit: FetchLimit, now: Instant) -> bool {
        let recent = self.fetches.iter().filter(|fetch| is_within(limit.interval, Some(fetch), now)).count();
        recent < limit.fetches && !is_within(RETRY_DELAY, self.failed_at.as_ref(), now)
    }

    fn store(&mut self, keys: HashMap<String, DecodingKey>, limit: FetchLimit, now: Instant) {
        self.keys = keys;
        self.failed_at = None;
        if self.fetches.len() >= limit.fetches {
            self.fetches.pop_front();
        }
        self.fetches.push_back(now);
    }
}

fn is_within(span: Duration, since: Option<&Instant>, now: Instant) -> bool {
    since.is_some_and(|since| now.duration_since(*since) < span)
}

impl Shared {
    async fn fetch_keys(&self) -> Result<HashMap<String, DecodingKey>, FetchError> {
        let client = self.client()?;
        let well_known = format!("{}/.well-known", self.issuer.trim_end_matches('/'));
        let jwks_url = match self.location {
            JwksLocation::WellKnown => format!("{well_known}/jwks.json"),
            JwksLocation::Discovery => {
                let url = format!("{well_known}/openid-configuration");
                let document: DiscoveryDocument = self.get(&client, &url).await?;
                if !issuer_url::is_same(&document.issuer, &self.issuer) {
                    return Err(FetchError::WrongIssuer(document.issuer));
                }
                document.jwks_uri
            }
        };
        let KeySet { keys } = self.get(&client, &jwks_url).await?;
        Ok(keys.into_iter().filter_map(parse_rsa_key).collect())
    }

    fn client(&self) -> reqwest::Result<Client> {
        let builder = Client::builder().timeout(FETCH_TIMEOUT).redirect(Policy::none());
        if self.is_local() { builder.no_proxy().build() } else { builder.build() }
    }

    async fn get<T: DeserializeOwned>(&self, client: &Client, address: &str) -> Result<T, FetchError> {
        let insecure = || FetchError::Insecure(address.to_owned());
        let url = Url::parse(address).map_err(|_| insecure())?;
        if url.scheme() != "https" && !self.is_local() {
            return Err(insecure());
        }
        let response = client.get(url.clone()).send().await?.error_for_status()?;
        let body = match read_limited(response, MAX_RESPONSE_BYTES).await {
            Ok(body) => body,
            Err(error) => return Err(FetchError::Body(url, error)),
        };
        match serde_json::from_slice(&body) {
            Ok(ObjectOnly(document)) => Ok(document),
            Err(error) => Err(FetchError::Malformed(url, error)),
        }
    }

    fn is_local(&self) -> bool {
        Url::parse(&self.issuer).is_ok_and(|url| url.host_str() == Some("localhost"))
    }
}

/// Parses a JSON Web Key. AppSync uses only RSA keys that have an id.
fn parse_rsa_key(json: Value) -> Option<(String, DecodingKey)> {
    let jwk: Jwk = serde_json::from_value(json).ok()?;
    if !matches!(jwk.algorithm, AlgorithmParameters::RSA(_)) {
        return None;
    }
    let key_id = jwk.common.key_id.clone()?;
    Some((key_id, DecodingKey::from_jwk(&jwk).ok()?))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
    use futures::FutureExt;
    use serde_json::json;
    use tokio::{net::TcpListener, sync::watch, time};

    use super::*;
    use crate::SigningKey;

    const LIMIT: FetchLimit = FetchLimit { fetches: 5, interval: Duration::from_secs(30) };

    static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());

    type JwksResponse = watch::Receiver<Option<(StatusCode, Value)>>;

    /// An issuer that holds back its keys until a response is set.
    struct StubIssuer {
        url: String,
        jwks_response: watch::Sender<Option<(StatusCode, Value)>>,
        jwks_requests: Arc<AtomicUsize>,
        discovery_document: watch::Sender<Value>,
    }

    impl StubIssuer {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
            let (jwks_response, response) = watch::channel(None);
            let (discovery_document, discovery) = watch::channel(Self::discovery(&url, &url));
            let jwks_requests = Arc::new(AtomicUsize::new(0));
            let jwks = get(Self::handle_jwks).with_state((response, jwks_requests.clone()));
            let handle_discovery =
                async move |State(discovery): State<watch::Receiver<Value>>| Json(discovery.borrow().clone());
            let router = Router::new()
                .route("/.well-known/jwks.json", jwks)
                .route("/.well-known/openid-configuration", get(handle_discovery).with_state(discovery));
            tokio::spawn(async move { axum::serve(listener, router).await });
            Self { url, jwks_response, jwks_requests, discovery_document }
        }

        async fn handle_jwks(
            State((mut response, requests)): State<(JwksResponse, Arc<AtomicUsize>)>,
        ) -> (StatusCode, Json<Value>) {
            requests.fetch_add(1, Ordering::SeqCst);
            let (status, body) = response.wait_for(Option::is_some).await.unwrap().clone().unwrap();
            (status, Json(body))
        }

        fn discovery(issuer: &str, keys: &str) -> Value {
            json!({ "issuer": issuer, "jwks_uri": format!("{keys}/.well-known/jwks.json") })
        }

        fn publish(&self, keys: &[Value]) {
            self.jwks_response.send_replace(Some((StatusCode::OK, json!({ "keys": keys }))));
        }

        fn cache(&self) -> JwksCache {
            JwksCache::new(&self.url, JwksLocation::Discovery, LIMIT)
        }

        fn request_count(&self) -> usize {
            self.jwks_requests.load(Ordering::SeqCst)
        }
    }

    async fn advance(span: Duration) {
        time::pause();
        time::advance(span).await;
        time::resume();
    }

    #[tokio::test]
    async fn failed_fetch_is_retried_after_a_delay() {
        let stub = StubIssuer::start().await;
        let cache = stub.cache();
        stub.jwks_response.send_replace(Some((StatusCode::SERVICE_UNAVAILABLE, json!({ "keys": [KEY.to_jwk()] }))));
        assert_eq!(cache.key(KEY.key_id()).await.err(), Some(KeyError::Unavailable));
        stub.publish(&[KEY.to_jwk()]);
        assert!(cache.key(KEY.key_id()).await.is_err() && stub.request_count() == 1, "no fetch before the delay");
        advance(RETRY_DELAY).await;
        assert!(cache.key(KEY.key_id()).await.is_ok());
    }

    #[tokio::test]
    async fn cancelled_caller_does_not_cancel_the_fetch() {
        let stub = StubIssuer::start().await;
        let cache = stub.cache();
        let mut first = Box::pin(cache.key(KEY.key_id()));
        while stub.request_count() == 0 {
            assert!(first.as_mut().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        drop(first);
        stub.publish(&[KEY.to_jwk()]);
        assert!(cache.key(KEY.key_id()).await.is_ok());
        assert_eq!(stub.request_count(), 1);
    }

    #[tokio::test]
    async fn discovery_document_of_another_issuer_is_rejected() {
        let stub = StubIssuer::start().await;
        stub.publish(&[KEY.to_jwk()]);
        stub.discovery_document.send_replace(StubIssuer::discovery("https://id.example.com", &stub.url));
        assert!(stub.cache().key(KEY.key_id()).await.is_err());
        assert_eq!(stub.request_count(), 0);
    }

    #[tokio::test]
    async fn withdrawn_key_is_valid_for_one_hour_at_most() {
        let stub = StubIssuer::start().await;
        let cache = stub.cache();
        stub.publish(&[KEY.to_jwk()]);
        assert!(cache.key(KEY.key_id()).await.is_ok());
        stub.publish(&[]);
        advance(MAX_AGE - RETRY_DELAY).await;
        assert!(cache.key(KEY.key_id()).await.is_ok() && stub.request_count() == 1);
        advance(RETRY_DELAY).await;
        assert!(cache.key(KEY.key_id()).await.is_err());
    }

    #[tokio::test]
    async fn response_size_is_limited() {
        let stub = StubIssuer::start().await;
        stub.publish(&[KEY.to_jwk(), json!("k".repeat(MAX_RESPONSE_BYTES))]);
        assert!(stub.cache().key(KEY.key_id()).await.is_err());
        stub.publish(&[KEY.to_jwk(), json!("k".repeat(MAX_RESPONSE_BYTES / 2))]);
        assert!(stub.cache().key(KEY.key_id()).await.is_ok());
    }

    #[tokio::test]
    async fn remote_keys_require_https() {
        let cache = JwksCache::new("https://id.example.com", JwksLocation::Discovery, LIMIT);
        let insecure = cache.0.get::<Value>(&Client::new(), "http://id.example.com/keys").await.unwrap_err();
        assert_eq!(insecure.to_string(), "http://id.example.com/keys is neither an https address nor on this machine");
    }

    #[tokio::test]
    async fn unknown_key_id_is_fetched_at_once() {
        let stub = StubIssuer::start().await;
        let cache = stub.cache();
        stub.publish(&[KEY.to_jwk()]);
        assert!(cache.key(KEY.key_id()).await.is_ok());
        let rotated = SigningKey::generate().unwrap();
        stub.publish(&[KEY.to_jwk(), rotated.to_jwk()]);
        assert!(cache.key(rotated.key_id()).await.is_ok(), "a key that was published after the first fetch");
        assert_eq!(stub.request_count(), 2);
    }

    #[tokio::test]
    async fn burst_of_unknown_key_ids_is_limited() {
        let stub = StubIssuer::start().await;
        let cache = stub.cache();
        stub.publish(&[KEY.to_jwk()]);
        for number in 0..100 {
            assert_eq!(cache.key(&format!("unknown-{number}")).await.err(), Some(KeyError::Unknown));
        }
        assert_eq!(stub.request_count(), LIMIT.fetches);
        advance(LIMIT.interval).await;
        assert!(cache.key("unknown").await.is_err());
        assert_eq!(stub.request_count(), LIMIT.fetches + 1);
        assert!(cache.key(KEY.key_id()).await.is_ok() && stub.request_count() == LIMIT.fetches + 1);
    }

    #[tokio::test]
    async fn trailing_slash_of_the_issuer_is_ignored() {
        let stub = StubIssuer::start().await;
        stub.publish(&[KEY.to_jwk()]);
        stub.discovery_document.send_replace(StubIssuer::discovery(&format!("{}/", stub.url), &stub.url));
        assert!(stub.cache().key(KEY.key_id()).await.is_ok());
        let with_slash = JwksCache::new(&format!("{}/", stub.url), JwksLocation::Discovery, LIMIT);
        stub.discovery_document.send_replace(StubIssuer::discovery(&stub.url, &stub.url));
        assert!(with_slash.key(KEY.key_id()).await.is_ok());
    }
}
