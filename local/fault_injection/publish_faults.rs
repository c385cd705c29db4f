//! Injects faults into the publishes of functions: latency, errors with and without effect, repetition,
//! outages.
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header::AUTHORIZATION, header::CONTENT_TYPE, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use fastrand::Rng;
use futures::{future::ready, stream::once};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Fault, FaultInjector, FaultPlan};

/// More than AppSync accepts.
const BODY_BYTES: usize = 10 << 20;
const EVENT_FIELD: &str = "agentPublishEvent";
const METADATA_FIELD: &str = "agentPublishMetadata";

#[derive(Clone)]
struct PublishFaults {
    latency: Duration,
    reply_latency: Duration,
    outage: Duration,
    faults: FaultInjector,
    /// The end of the current outage.
    outage_end: Arc<Mutex<Option<Instant>>>,
}

/// The same routes, with publish faults injected by middleware.
pub fn wrap_router(router: Router, plan: &FaultPlan, faults: &FaultInjector) -> Router {
    let state = PublishFaults {
        latency: plan.publish_latency,
        reply_latency: plan.reply_latency,
        outage: plan.outage,
        faults: faults.clone(),
        outage_end: Arc::default(),
    };
    router.layer(middleware::from_fn_with_state(state, handle_request))
}

/// Publishes are the signed mutations of functions, and replies their signed messages to clients of other
/// entry points; any other request passes unchanged.
async fn handle_request(State(state): State<PublishFaults>, request: Request, next: Next) -> Response {
    if is_reply(&request) {
        tracing::trace!("reply");
        sleep(state.reply_latency).await;
    }
    if !request.headers().contains_key(AUTHORIZATION) || request.uri().path() != "/graphql" {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    match [METADATA_FIELD, EVENT_FIELD].into_iter().find(|field| contains(&body, field)) {
        Some(field) => state.publish(parts, body, field, next).await,
        None => next.run(Request::from_parts(parts, Body::from(body))).await,
    }
}

fn is_reply(request: &Request) -> bool {
    let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let is_signed = authorization.is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256"));
    let path = request.uri().path();
    is_signed && request.method() == Method::POST && (path == "/event" || path.contains("connections/"))
}

impl PublishFaults {
    async fn publish(&self, parts: Parts, body: Bytes, field: &str, next: Next) -> Response {
        tracing::trace!(bytes = body.len(), "publish");
        sleep(self.latency).await;
        if self.is_in_outage() {
            return error_response(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException");
        }
        if let Some(rng) = self.faults.sample(Fault::PublishRefused) {
            return refused(rng, field);
        }
        let request = || Request::from_parts(parts.clone(), Body::from(body.clone()));
        if self.faults.should_inject(Fault::PublishTwice) {
            drop(next.clone().run(request()).await);
        }
        let response = next.run(request()).await;
        match self.faults.sample(Fault::PublishUnconfirmed) {
            Some(rng) => unconfirmed(rng, field),
            None => response,
        }
    }

    fn is_in_outage(&self) -> bool {
        let mut outage_end = self.outage_end.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if self.faults.should_inject(Fault::PublishOutage) {
            outage_end.get_or_insert(now + self.outage);
        }
        outage_end.take_if(|end| *end <= now);
        outage_end.is_some()
    }
}

/// The response to a publish that was not executed.
fn refused(mut rng: Rng, field: &str) -> Response {
    match rng.u8(..3) {
        0 => error_response(StatusCode::TOO_MANY_REQUESTS, "LimitExceededException"),
        1 => error_response(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailureException"),
        _ => execution_timeout(field),
    }
}

/// The response to a publish that was executed.
fn unconfirmed(mut rng: Rng, field: &str) -> Response {
    match rng.u8(..3) {
        0 => error_response(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailureException"),
        1 => execution_timeout(field),
        _ => connection_reset(),
    }
}

fn error_response(status: StatusCode, error_type: &'static str) -> Response {
    let body = json!({ "errors": [{ "errorType": error_type, "message": null }] });
    (status, [("x-amzn-errortype", error_type)], body.to_string()).into_response()
}

/// AppSync's response after 30 seconds.
fn execution_timeout(field: &str) -> Response {
    let error = json!({
        "path": [field], "data": null, "errorType": "ExecutionTimeout", "errorInfo": null,
        "locations": [{ "line": 1, "column": 1, "sourceName": null }], "message": "Execution timed out.",
    });
    let body = json!({ "data": { field: null }, "errors": [error] });
    ([(CONTENT_TYPE, "application/json;charset=UTF-8")], body.to_string()).into_response()
}

fn connection_reset() -> Response {
    let error = io::Error::from(io::ErrorKind::ConnectionReset);
    Body::from_stream(once(ready(Err::<Bytes, _>(error)))).into_response()
}

fn contains(body: &[u8], word: &str) -> bool {
    body.windows(word.len()).any(|window| window == word.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::routing::post;
    use serde_json::Value;
    use tokio::net::TcpListener;

    use super::*;

    /// An API that counts the publishes it executes.
    struct TestApi {
        url: String,
        executed: Arc<AtomicU64>,
    }

    impl TestApi {
        async fn start(plan: FaultPlan) -> Self {
            let executed = Arc::new(AtomicU64::new(0));
            let count = executed.clone();
            let execute = move || {
                count.fetch_add(1, Ordering::Relaxed);
                ready("{}")
            };
            let router = Router::new().route("/graphql", post(execute));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/graphql", listener.local_addr().unwrap());
            let router = wrap_router(router, &plan, &FaultInjector::new(&plan));
            tokio::spawn(async move { axum::serve(listener, router).await });
            Self { url, executed }
        }

        /// The status and the error type of the response to a publish; none when the connection broke.
        async fn publish(&self) -> Option<(u16, Value)> {
            let request = reqwest::Client::new().post(&self.url).header(AUTHORIZATION, "signed");
            let response = request.body(r#"{"query":"mutation { agentPublishEvent }"}"#).send().await.ok()?;
            let status = response.status().as_u16();
            let body: Value = serde_json::from_slice(&response.bytes().await.ok()?).unwrap();
            Some((status, body["errors"][0]["errorType"].clone()))
        }

        fn executed(&self) -> u64 {
            self.executed.load(Ordering::Relaxed)
        }
    }

    fn always(fault: Fault) -> FaultPlan {
        FaultPlan { rates: [(fault, 1.0)].into(), ..FaultPlan::default() }
    }

    #[tokio::test]
    async fn refused_publish_has_no_effect() {
        let api = TestApi::start(always(Fault::PublishRefused)).await;
        for _ in 0..10 {
            let (status, error_type) = api.publish().await.unwrap();
            assert!(matches!(status, 429 | 500) || error_type == "ExecutionTimeout", "{status} {error_type}");
        }
        assert_eq!(api.executed(), 0);
    }

    #[tokio::test]
    async fn unconfirmed_publish_takes_effect() {
        let api = TestApi::start(always(Fault::PublishUnconfirmed)).await;
        for _ in 0..10 {
            let response = api.publish().await;
            assert!(response.is_none_or(|(status, error)| status == 500 || error == "ExecutionTimeout"));
        }
        assert_eq!(api.executed(), 10);
    }

    #[tokio::test]
    async fn planned_publish_is_executed_twice() {
        let plan = FaultPlan { on_hits: [(Fault::PublishTwice, 2)].into(), ..FaultPlan::default() };
        let api = TestApi::start(plan).await;
        for executed in [1, 3, 4] {
            assert_eq!(api.publish().await, Some((200, Value::Null)));
            assert_eq!(api.executed(), executed);
        }
    }

    #[tokio::test]
    async fn outage_ends_after_its_duration() {
        let on_hits = [(Fault::PublishOutage, 2)].into();
        let outage = Duration::from_millis(200);
        let api = TestApi::start(FaultPlan { on_hits, outage, ..FaultPlan::default() }).await;
        assert_eq!(api.publish().await, Some((200, Value::Null)));
        let began = Instant::now();
        while api.publish().await.unwrap().0 == 503 {}
        assert!(began.elapsed() >= outage);
        assert_eq!(api.executed(), 2);
    }
}
