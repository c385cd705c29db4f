//! What an API answers to GraphQL, and what its subscribers are to hear.
//!
//! A request is authenticated (`identity`), made an operation (`validate`), allowed by IAM, and executed (`execute`):
//! each field is authorized and resolved (`fields`), by code and data sources (`pipeline`) or from its parent. What a
//! mutation resolved goes to its subscribers (`hub`) whose filters it passes (`filter`).
mod execution;
pub(crate) mod graphql_error;
mod http;
mod lone_surrogates;
mod operations;
mod schema;
mod subscriptions;
mod validation;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub(crate) use self::http::{router, seen as headers_seen};
pub use execution::data_sources::{Functions, Sources, Tables};
pub use execution::thread_engine::surround;
pub(crate) use operations::{Answer, Call, Rejection, Subscribed, Subscription};
pub use schema::auth_modes::with_modes;
pub(crate) use subscriptions::registry::{News, Registration, Seat, Update};
pub(crate) use validation::Request;

use crate::{
    fault_injection::FaultInjector,
    identity::Directory,
    stack::{Api, Limits},
};
use execution::bindings::Bindings;
use schema::Schema;
use subscriptions::registry::Hub;

/// AppSync's limit on a request.
const REQUEST_TIME: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const SENDING_TIME: Duration = Duration::from_secs(30);

/// Why an API cannot be served: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

/// How an API differs from what AppSync does by itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often an idle WebSocket hears that it is alive.
    pub keep_alive: Duration,
    /// How long a request may take; its body has as long to arrive.
    pub request_time: Duration,
    /// How long a WebSocket client may take to accept a frame.
    pub sending_time: Duration,
    /// What befalls updates on their way to subscribers.
    pub faults: FaultInjector,
}

/// One API, ready to answer.
pub(crate) struct Service {
    pub id: String,
    pub schema: Schema,
    pub bindings: Bindings,
    pub sources: Sources,
    pub directory: Directory,
    /// `ctx.env`.
    pub environment: Value,
    pub introspection: bool,
    pub limits: Limits,
    pub hub: Hub<Subscription>,
    pub settings: Settings,
    /// Whose turn it is to have a large document looked at.
    pub large_documents: Semaphore,
}

impl Service {
    pub fn new(api: Api, sources: Sources, directory: Directory, settings: Settings) -> Result<Self, Fault> {
        let schema = Schema::load(&api.schema)?;
        let bindings = Bindings::load(&api, &schema)?;
        Ok(Self {
            id: api.id,
            schema,
            bindings,
            sources,
            directory,
            environment: json!(api.environment),
            introspection: api.introspection,
            limits: api.limits,
            hub: Hub::new(settings.faults.clone()),
            settings,
            large_documents: Semaphore::new(1),
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep_alive: KEEP_ALIVE,
            request_time: REQUEST_TIME,
            sending_time: SENDING_TIME,
            faults: FaultInjector::default(),
        }
    }
}

impl Fault {
    fn new(sentence: String) -> Self {
        Self(sentence)
    }
}
