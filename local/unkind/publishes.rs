//! AppSync, as unkind to the mutations of functions as it can be.
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header::AUTHORIZATION, header::CONTENT_TYPE, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures::{future::ready, stream::once};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Fates, Lot, Mishap, Unkindness};

/// More than AppSync takes.
const BODY_BYTES: usize = 10 << 20;
const EVENT: &str = "agentPublishEvent";
const METADATA: &str = "agentPublishMetadata";

#[derive(Clone)]
struct Treatment {
    latency: Duration,
    outage: Duration,
    fates: Fates,
    /// When AppSync is up again, if it is down.
    up_at: Arc<Mutex<Option<Instant>>>,
}

/// The same routes, treated unkindly.
pub fn treat(router: Router, plan: &Unkindness, fates: &Fates) -> Router {
    let treatment =
        Treatment { latency: plan.publish_latency, outage: plan.outage, fates: fates.clone(), up_at: Arc::default() };
    router.layer(middleware::from_fn_with_state(treatment, meet))
}

async fn meet(State(treatment): State<Treatment>, request: Request, next: Next) -> Response {
    if !request.headers().contains_key(AUTHORIZATION) || request.uri().path() != "/graphql" {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let field = [METADATA, EVENT].into_iter().find(|field| contains(&body, field));
    match field {
        Some(field) => treatment.publish(parts, body, field, next).await,
        None => next.run(Request::from_parts(parts, Body::from(body))).await,
    }
}

impl Treatment {
    async fn publish(&self, parts: Parts, body: Bytes, field: &str, next: Next) -> Response {
        tracing::trace!(bytes = body.len(), "publish");
        sleep(self.latency).await;
        if self.is_down() {
            return failed(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException");
        }
        if let Some(lot) = self.fates.strike(Mishap::PublishRefused) {
            return refused(lot, field);
        }
        let request = || Request::from_parts(parts.clone(), Body::from(body.clone()));
        if self.fates.strike(Mishap::PublishTwice).is_some() {
            drop(next.clone().run(request()).await);
        }
        let answer = next.run(request()).await;
        match self.fates.strike(Mishap::PublishUnconfirmed) {
            Some(lot) => unconfirmed(lot, field),
            None => answer,
        }
    }

    fn is_down(&self) -> bool {
        let mut up_at = self.up_at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if self.fates.strike(Mishap::PublishOutage).is_some() {
            up_at.get_or_insert(now + self.outage);
        }
        up_at.take_if(|up_at| *up_at <= now);
        up_at.is_some()
    }
}

/// Without effect.
fn refused(lot: Lot, field: &str) -> Response {
    match lot.among(3) {
        0 => failed(StatusCode::TOO_MANY_REQUESTS, "LimitExceededException"),
        1 => failed(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailureException"),
        _ => timed_out(field),
    }
}

/// With effect.
fn unconfirmed(lot: Lot, field: &str) -> Response {
    match lot.among(3) {
        0 => failed(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailureException"),
        1 => timed_out(field),
        _ => Body::from_stream(once(ready(Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset)))))
            .into_response(),
    }
}

fn failed(status: StatusCode, error_type: &'static str) -> Response {
    let body = json!({ "errors": [{ "errorType": error_type, "message": null }] });
    (status, [("x-amzn-errortype", error_type)], body.to_string()).into_response()
}

/// What AppSync says after 30 seconds.
fn timed_out(field: &str) -> Response {
    let error = json!({
        "path": [field], "data": null, "errorType": "ExecutionTimeout", "errorInfo": null,
        "locations": [{ "line": 1, "column": 1, "sourceName": null }], "message": "Execution timed out.",
    });
    let body = json!({ "data": { field: null }, "errors": [error] });
    ([(CONTENT_TYPE, "application/json;charset=UTF-8")], body.to_string()).into_response()
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

    /// An AppSync that counts what it carries out.
    struct Unkind {
        url: String,
        executed: Arc<AtomicU64>,
    }

    impl Unkind {
        async fn serving(plan: Unkindness) -> Self {
            let executed = Arc::new(AtomicU64::new(0));
            let count = executed.clone();
            let carry_out = move || {
                count.fetch_add(1, Ordering::Relaxed);
                ready("{}")
            };
            let router = Router::new().route("/graphql", post(carry_out));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/graphql", listener.local_addr().unwrap());
            let treated = treat(router, &plan, &Fates::of(&plan));
            tokio::spawn(async move { axum::serve(listener, treated).await });
            Self { url, executed }
        }

        /// The status and the error type of a publish's answer; nothing when the connection broke.
        async fn publish(&self) -> Option<(u16, Value)> {
            let request = reqwest::Client::new().post(&self.url).header(AUTHORIZATION, "signed");
            let answer = request.body(r#"{"query":"mutation { agentPublishEvent }"}"#).send().await.ok()?;
            let status = answer.status().as_u16();
            let body: Value = serde_json::from_slice(&answer.bytes().await.ok()?).unwrap();
            Some((status, body["errors"][0]["errorType"].clone()))
        }

        fn executed(&self) -> u64 {
            self.executed.load(Ordering::Relaxed)
        }
    }

    fn always(mishap: Mishap) -> Unkindness {
        Unkindness { rates: [(mishap, 1.0)].into(), ..Unkindness::default() }
    }

    #[tokio::test]
    async fn a_refused_publish_has_no_effect() {
        let appsync = Unkind::serving(always(Mishap::PublishRefused)).await;
        for _ in 0..10 {
            let (status, error_type) = appsync.publish().await.unwrap();
            assert!(matches!(status, 429 | 500) || error_type == "ExecutionTimeout", "{status} {error_type}");
        }
        assert_eq!(appsync.executed(), 0);
    }

    #[tokio::test]
    async fn an_unconfirmed_publish_took_effect() {
        let appsync = Unkind::serving(always(Mishap::PublishUnconfirmed)).await;
        for _ in 0..10 {
            let answer = appsync.publish().await;
            assert!(answer.is_none_or(|(status, error)| status == 500 || error == "ExecutionTimeout"));
        }
        assert_eq!(appsync.executed(), 10);
    }

    #[tokio::test]
    async fn a_publish_is_executed_twice_when_it_is_to_be() {
        let plan = Unkindness { exactly: [(Mishap::PublishTwice, 2)].into(), ..Unkindness::default() };
        let appsync = Unkind::serving(plan).await;
        for executed in [1, 3, 4] {
            assert_eq!(appsync.publish().await, Some((200, Value::Null)));
            assert_eq!(appsync.executed(), executed);
        }
    }

    #[tokio::test]
    async fn an_outage_lasts_its_time() {
        let exactly = [(Mishap::PublishOutage, 2)].into();
        let outage = Duration::from_millis(200);
        let appsync = Unkind::serving(Unkindness { exactly, outage, ..Unkindness::default() }).await;
        assert_eq!(appsync.publish().await, Some((200, Value::Null)));
        let began = Instant::now();
        while appsync.publish().await.unwrap().0 == 503 {}
        assert!(began.elapsed() >= outage);
        assert_eq!(appsync.executed(), 2);
    }
}
