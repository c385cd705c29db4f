//! What AWS does unkindly, on demand.
use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};

/// More than AppSync takes.
const BODY_BYTES: usize = 10 << 20;

#[derive(Clone, Copy, Debug, Default)]
pub struct Unkindness {
    /// How long a mutation of the handler takes before AppSync looks at it.
    pub publish_latency: Duration,
}

/// The same routes, treated unkindly.
pub fn treat(router: Router, unkindness: Unkindness) -> Router {
    router.layer(middleware::from_fn_with_state(unkindness, delay_publishes))
}

async fn delay_publishes(State(unkindness): State<Unkindness>, request: Request, next: Next) -> Response {
    if !request.headers().contains_key(AUTHORIZATION) || request.uri().path() != "/graphql" {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let is_publish = body.windows(b"agentPublish".len()).any(|window| window == b"agentPublish");
    if is_publish {
        tracing::trace!(bytes = body.len(), "publish");
        tokio::time::sleep(unkindness.publish_latency).await;
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}
