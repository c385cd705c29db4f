//! The API under test: its stack, callers, functions and server.
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures::future::{BoxFuture, pending, ready};
use local::{
    dynamodb::DynamoDb,
    events_api::EventsApi,
    fault_injection::{FaultInjector, FaultPlan},
    graphql::{ApiSettings, DataSources, FunctionBackend},
    identity::{self, Authenticator, CognitoIdentity, LocalIssuer, LocalIssuers, PoolUser, Principal},
    lambda::{InvocationType, InvokeError},
    template::{ACCOUNT, Deployment, load},
};
use serde_json::{Value, json};

use crate::signer::Signer;

pub const KEY: &str = "da2-events";
const REGION: &str = "us-east-1";
pub const ADMINISTRATOR: Signer = Signer { access_key: "AKIAROOT", secret: "root-secret", token: None, region: REGION };
/// The role of the stack that may publish to the namespaces `observed` and `responses` only.
pub const PUBLISHER: Signer =
    Signer { access_key: "ASIAPUBLISHER", secret: "publisher-secret", token: Some("publisher-token"), region: REGION };

/// A user of a Cognito identity pool.
pub const POOLED: Signer =
    Signer { access_key: "ASIAPOOLED", secret: "pooled-secret", token: Some("pooled-token"), region: REGION };

/// Longer than any expected event takes.
pub const TIMEOUT: Duration = Duration::from_secs(20);

pub fn stack_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/events/stack")
}

pub struct Server {
    pub address: SocketAddr,
    pub functions: Functions,
    pub client: reqwest::Client,
    issuers: LocalIssuers,
}

/// An HTTP response.
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

/// The function `Worker`: it records its invocations and returns what the test has chosen, null at first.
#[derive(Clone, Default)]
pub struct Functions {
    pub invocations: Arc<Mutex<Vec<(InvocationType, Value)>>>,
    response: Arc<Mutex<Option<Response>>>,
    hangs: Arc<AtomicBool>,
}

type Response = Box<dyn Fn(&Value) -> Result<Value, InvokeError> + Send>;

impl Functions {
    /// From now on, invocations with RequestResponse have this result.
    pub fn respond(&self, response: impl Fn(&Value) -> Result<Value, InvokeError> + Send + 'static) {
        *self.response.lock().unwrap() = Some(Box::new(response));
    }

    /// From now on, invocations with RequestResponse have no result.
    pub fn hang(&self) {
        self.hangs.store(true, Ordering::Relaxed);
    }

    pub fn taken_invocations(&self) -> Vec<(InvocationType, Value)> {
        std::mem::take(&mut self.invocations.lock().unwrap())
    }
}

impl FunctionBackend for Functions {
    fn invoke<'a>(
        &'a self,
        function: &'a str,
        kind: InvocationType,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, InvokeError>> {
        assert_eq!(function, "arn:aws:lambda:us-east-1:000000000000:function:parlance-EventsEntry-Worker");
        self.invocations.lock().unwrap().push((kind, payload.clone()));
        if kind == InvocationType::RequestResponse && self.hangs.load(Ordering::Relaxed) {
            return Box::pin(pending());
        }
        let response = self.response.lock().unwrap();
        let result = match (kind, &*response) {
            (InvocationType::RequestResponse, Some(response)) => response(&payload),
            _ => Ok(Value::Null),
        };
        Box::pin(ready(result))
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(ApiSettings::default()).await
    }

    pub async fn start_with_faults(plan: &FaultPlan) -> Self {
        Self::start_with(ApiSettings { faults: FaultInjector::new(plan), ..ApiSettings::default() }).await
    }

    pub async fn start_with(settings: ApiSettings) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let base_url = format!("http://localhost:{}", address.port());
        let parameters = BTreeMap::from([("OidcIssuer".to_owned(), LocalIssuers::oidc_url(&base_url))]);
        let deployment = Deployment { events_api_key: KEY.into(), ..Deployment::at(&base_url, parameters) };
        let stack = load(&stack_folder(), &deployment).unwrap();
        let api = stack.events_api.unwrap();
        let users = vec![PoolUser::named("ada"), PoolUser::named("bob")];
        let issuers = LocalIssuers::load(&api.issuers, &base_url, users, None).unwrap();

        let authenticator =
            Authenticator::new(api.modes.clone(), api.keys.clone()).with_trusted_issuers(api.issuers.clone());
        let administrator = Principal::administrator(ACCOUNT, "root", "AKIAROOT".into(), "root-secret".into());
        authenticator.add_principal(administrator);
        let role = &stack.roles["parlance-PublisherRole"];
        let credentials = ["ASIAPUBLISHER".into(), "publisher-secret".into(), "publisher-token".into()];
        authenticator.add_principal(Principal::role_session(&role.arn, "run", credentials, &role.statements));
        authenticator.add_principal(pooled_user());

        let functions = Functions::default();
        let sources = DataSources::new(DynamoDb::open(None).unwrap(), functions.clone());
        let events = EventsApi::new(api, sources, authenticator, settings).unwrap();
        let router = events.router().merge(identity::router(&issuers));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { address, functions, client: reqwest::Client::new(), issuers }
    }

    pub fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    pub fn url(&self) -> String {
        format!("http://{}/event", self.address)
    }

    pub fn key_headers(&self) -> Value {
        json!({ "host": self.host(), "x-api-key": KEY })
    }

    pub fn user_headers(&self, name: &str) -> Value {
        self.token_headers(&self.issuers.pool, name)
    }

    /// As `user_headers`, of a user of the OpenID Connect provider.
    pub fn oidc_headers(&self, name: &str) -> Value {
        self.token_headers(&self.issuers.oidc, name)
    }

    fn token_headers(&self, issuer: &Option<Arc<LocalIssuer>>, name: &str) -> Value {
        let tokens = issuer.as_ref().unwrap().issue_tokens(name, SystemTime::now()).unwrap();
        json!({ "host": self.host(), "Authorization": tokens.access_token })
    }

    /// The headers of a signature of a body that is posted, or not sent at all.
    pub fn signed_headers(&self, signer: Signer, body: &str) -> Value {
        Value::Object(signer.headers("appsync", "POST", &self.host(), "/event", body.as_bytes()))
    }

    /// Posts a body with headers given as a JSON object.
    pub async fn post(&self, headers: &Value, body: &str) -> Reply {
        let mut request = self.client.post(self.url()).body(body.to_owned());
        for (name, value) in headers.as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, text: response.text().await.unwrap() }
    }

    /// Publishes with the API key.
    pub async fn publish(&self, channel: &str, events: &[&str]) -> Reply {
        self.post(&self.key_headers(), &body(channel, events)).await
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The status, `x-amzn-ErrorType` and the body of an error.
    pub fn error(&self) -> (u16, &str, Value) {
        (self.status, self.headers["x-amzn-errortype"].to_str().unwrap(), self.json())
    }

    /// The indexes of the events in a list of the response.
    pub fn indexes(&self, list: &str) -> Vec<u64> {
        let events = self.json()[list].as_array().unwrap().clone();
        events.iter().map(|event| event["index"].as_u64().unwrap()).collect()
    }
}

fn pooled_user() -> Principal {
    let identity = CognitoIdentity {
        pool_id: "us-east-1:pool".into(),
        identity_id: "us-east-1:5f7dfbd1-b8ff-4c20-924e-23b42db467a0".into(),
        provider: Some("cognito-idp.us-east-1.amazonaws.com/us-east-1_a:CognitoSignIn:somebody".into()),
    };
    let credentials = ["ASIAPOOLED", "pooled-secret", "pooled-token"].map(str::to_owned);
    let publish = json!({ "Effect": "Allow", "Action": "appsync:EventPublish", "Resource": "*" });
    let role = format!("arn:aws:iam::{ACCOUNT}:role/Authenticated");
    Principal::identity_pool_user(identity, &role, credentials, &[publish])
}

/// The `sub` of a user.
pub fn subject(name: &str) -> String {
    PoolUser::named(name).subject()
}

/// The body of a publish.
pub fn body(channel: &str, events: &[&str]) -> String {
    json!({ "channel": channel, "events": events }).to_string()
}

/// The body of an error without a message.
pub fn error_without_message(error_type: &str) -> Value {
    json!({ "errors": [{ "errorType": error_type }] })
}

/// The body of an error.
pub fn error(error_type: &str, message: &str) -> Value {
    json!({ "errors": [{ "errorType": error_type, "message": message }] })
}
