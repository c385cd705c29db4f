//! The keys that an issuer publishes, asked for when they are first needed.
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, Jwk},
};
use reqwest::{Client, Url, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

/// A key nobody knows has the issuer asked again, for it may be new; but not more often than this.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// An issuer that could not be read is left alone for so long.
const PAUSE: Duration = Duration::from_secs(1);
/// Older keys are asked for again, for they may have been withdrawn.
const GOOD_FOR: Duration = Duration::from_secs(60 * 60);
const ANSWER_TIME: Duration = Duration::from_secs(5);
const ANSWER_BYTES: usize = 1 << 20;

/// Clones share the keys.
#[derive(Clone)]
pub struct Keyring(Arc<Shared>);

/// How an issuer publishes its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// Beside its discovery document.
    Keys,
    /// Where its discovery document says.
    Discovery,
}

struct Shared {
    issuer: String,
    publication: Publication,
    held: RwLock<Held>,
    asking: Mutex<()>,
}

/// What is known, and since when.
#[derive(Default)]
struct Held {
    /// By key id.
    keys: HashMap<String, DecodingKey>,
    read: Option<Instant>,
    failed: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Unanswered(#[from] reqwest::Error),
    #[error("the answer of {0} has more than {ANSWER_BYTES} bytes")]
    Long(Url),
    #[error("the answer of {0} is not what it should be: {1}")]
    Malformed(Url, serde_json::Error),
    #[error("{0} is neither of https nor on this machine")]
    Insecure(String),
    #[error("its discovery document is that of {0}")]
    OfAnother(String),
}

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

impl Keyring {
    pub fn new(issuer: &str, publication: Publication) -> Self {
        let (held, asking) = (RwLock::default(), Mutex::default());
        Self(Arc::new(Shared { issuer: issuer.to_owned(), publication, held, asking }))
    }

    pub async fn key(&self, id: &str) -> Option<DecodingKey> {
        if self.held(|held| !held.knows(id, Instant::now())) {
            let own = self.clone();
            drop(tokio::spawn(async move { own.ask().await }).await); // whoever leaves does not undo it
        }
        self.held(|held| held.keys.get(id).cloned())
    }

    /// Whoever needs a key meanwhile waits for the same answer.
    async fn ask(&self) {
        let _alone = self.0.asking.lock().await;
        if !self.held(|held| held.may_be_read(Instant::now())) {
            return;
        }
        let read = self.0.published().await;
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(keys) => *held = Held { keys, read: Some(Instant::now()), failed: None },
            Err(error) => {
                tracing::warn!(issuer = self.0.issuer, %error, "an issuer's keys cannot be read");
                held.failed = Some(Instant::now());
            }
        }
    }

    fn held<T>(&self, look: impl FnOnce(&Held) -> T) -> T {
        look(&self.0.held.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held {
    fn knows(&self, id: &str, now: Instant) -> bool {
        is_within(GOOD_FOR, self.read, now) && self.keys.contains_key(id)
    }

    fn may_be_read(&self, now: Instant) -> bool {
        !is_within(ASK_AGAIN_AFTER, self.read, now) && !is_within(PAUSE, self.failed, now)
    }
}

fn is_within(span: Duration, since: Option<Instant>, now: Instant) -> bool {
    since.is_some_and(|since| now.duration_since(since) < span)
}

impl Shared {
    async fn published(&self) -> Result<HashMap<String, DecodingKey>, Unread> {
        let http = self.client()?;
        let well_known = format!("{}/.well-known", self.issuer.trim_end_matches('/'));
        let place = match self.publication {
            Publication::Keys => format!("{well_known}/jwks.json"),
            Publication::Discovery => {
                let found: Discovered = self.get(&http, &format!("{well_known}/openid-configuration")).await?;
                if found.issuer != self.issuer {
                    return Err(Unread::OfAnother(found.issuer));
                }
                found.jwks_uri
            }
        };
        let Published { keys } = self.get(&http, &place).await?;
        Ok(keys.into_iter().filter_map(usable).collect())
    }

    fn client(&self) -> reqwest::Result<Client> {
        let builder = Client::builder().timeout(ANSWER_TIME).redirect(Policy::none());
        if self.is_local() { builder.no_proxy().build() } else { builder.build() }
    }

    async fn get<T: DeserializeOwned>(&self, http: &Client, place: &str) -> Result<T, Unread> {
        let insecure = || Unread::Insecure(place.to_owned());
        let url = Url::parse(place).map_err(|_| insecure())?;
        if url.scheme() != "https" && !self.is_local() {
            return Err(insecure());
        }
        let mut answer = http.get(url.clone()).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES {
                return Err(Unread::Long(url));
            }
        }
        serde_json::from_slice(&body).map_err(|error| Unread::Malformed(url, error))
    }

    fn is_local(&self) -> bool {
        Url::parse(&self.issuer).is_ok_and(|url| url.host_str() == Some("localhost"))
    }
}

/// Of the keys that issuers publish, AppSync takes those of RSA that have an id.
fn usable(published: Value) -> Option<(String, DecodingKey)> {
    let key: Jwk = serde_json::from_value(published).ok()?;
    let is_rsa = matches!(key.algorithm, AlgorithmParameters::RSA(_));
    Some((key.common.key_id.clone()?, DecodingKey::from_jwk(&key).ok().filter(|_| is_rsa)?))
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
    use crate::identity::SigningKey;

    static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::draw().unwrap());

    type Answer = watch::Receiver<Option<(StatusCode, Value)>>;

    /// An issuer that answers what it is told to, once it is told to.
    struct Stub {
        url: String,
        answers: watch::Sender<Option<(StatusCode, Value)>>,
        asked: Arc<AtomicUsize>,
        discovered: watch::Sender<Value>,
    }

    impl Stub {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
            let (answers, answer) = watch::channel(None);
            let (discovered, discovery) = watch::channel(Self::discovery(&url, &url));
            let asked = Arc::new(AtomicUsize::new(0));
            let keys = get(Self::answer).with_state((answer, asked.clone()));
            let found = async move |State(discovery): State<watch::Receiver<Value>>| Json(discovery.borrow().clone());
            let router = Router::new()
                .route("/.well-known/jwks.json", keys)
                .route("/.well-known/openid-configuration", get(found).with_state(discovery));
            tokio::spawn(async move { axum::serve(listener, router).await });
            Self { url, answers, asked, discovered }
        }

        async fn answer(State((mut answer, asked)): State<(Answer, Arc<AtomicUsize>)>) -> (StatusCode, Json<Value>) {
            asked.fetch_add(1, Ordering::SeqCst);
            let (status, body) = answer.wait_for(Option::is_some).await.unwrap().clone().unwrap();
            (status, Json(body))
        }

        fn discovery(issuer: &str, keys: &str) -> Value {
            json!({ "issuer": issuer, "jwks_uri": format!("{keys}/.well-known/jwks.json") })
        }

        fn publish(&self, keys: &[Value]) {
            self.answers.send_replace(Some((StatusCode::OK, json!({ "keys": keys }))));
        }

        fn ring(&self) -> Keyring {
            Keyring::new(&self.url, Publication::Discovery)
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    async fn pass(span: Duration) {
        time::pause();
        time::advance(span).await;
        time::resume();
    }

    #[tokio::test]
    async fn an_issuer_that_failed_is_asked_again_after_a_pause() {
        let stub = Stub::start().await;
        let ring = stub.ring();
        stub.answers.send_replace(Some((StatusCode::SERVICE_UNAVAILABLE, json!({ "keys": [KEY.published()] }))));
        assert!(ring.key(KEY.id()).await.is_none());
        stub.publish(&[KEY.published()]);
        assert!(ring.key(KEY.id()).await.is_none() && stub.asked() == 1, "it is left alone for a moment");
        pass(PAUSE).await;
        assert!(ring.key(KEY.id()).await.is_some());
    }

    #[tokio::test]
    async fn a_caller_who_leaves_does_not_undo_the_asking() {
        let stub = Stub::start().await;
        let ring = stub.ring();
        let mut first = Box::pin(ring.key(KEY.id()));
        while stub.asked() == 0 {
            assert!(first.as_mut().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        drop(first);
        stub.publish(&[KEY.published()]);
        assert!(ring.key(KEY.id()).await.is_some());
        assert_eq!(stub.asked(), 1);
    }

    #[tokio::test]
    async fn another_issuers_discovery_document_leads_to_no_keys() {
        let stub = Stub::start().await;
        stub.publish(&[KEY.published()]);
        stub.discovered.send_replace(Stub::discovery("https://id.example.com", &stub.url));
        assert!(stub.ring().key(KEY.id()).await.is_none());
        assert_eq!(stub.asked(), 0);
    }

    #[tokio::test]
    async fn a_key_that_was_withdrawn_is_good_for_an_hour_at_most() {
        let stub = Stub::start().await;
        let ring = stub.ring();
        stub.publish(&[KEY.published()]);
        assert!(ring.key(KEY.id()).await.is_some());
        stub.publish(&[]);
        pass(GOOD_FOR - ASK_AGAIN_AFTER).await;
        assert!(ring.key(KEY.id()).await.is_some() && stub.asked() == 1);
        pass(ASK_AGAIN_AFTER).await;
        assert!(ring.key(KEY.id()).await.is_none());
    }

    #[tokio::test]
    async fn an_answer_has_its_bounds() {
        let stub = Stub::start().await;
        stub.publish(&[KEY.published(), json!("k".repeat(ANSWER_BYTES))]);
        assert!(stub.ring().key(KEY.id()).await.is_none());
        stub.publish(&[KEY.published(), json!("k".repeat(ANSWER_BYTES / 2))]);
        assert!(stub.ring().key(KEY.id()).await.is_some());
    }

    #[tokio::test]
    async fn keys_from_elsewhere_come_over_https() {
        let ring = Keyring::new("https://id.example.com", Publication::Discovery);
        let insecure = ring.0.get::<Value>(&Client::new(), "http://id.example.com/keys").await.unwrap_err();
        assert_eq!(insecure.to_string(), "http://id.example.com/keys is neither of https nor on this machine");
    }

    #[test]
    fn an_issuer_is_not_asked_for_every_key_that_nobody_knows() {
        let now = Instant::now();
        let held = Held { read: Some(now), ..Held::default() };
        assert!(Held::default().may_be_read(now));
        assert!(!held.may_be_read(now + ASK_AGAIN_AFTER - PAUSE) && held.may_be_read(now + ASK_AGAIN_AFTER));
    }
}
