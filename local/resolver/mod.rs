//! APPSYNC_JS: the JavaScript runtime of AppSync's resolvers and functions.
mod ambient;
mod bindings;
mod code;
mod depth;
mod engine;
mod identifiers;
mod iterations;
mod java;
mod names;
mod native;
mod refused;
mod stopwatch;
mod subset;
mod time;

pub use ambient::Ambient;
pub use code::{Fault, check};
pub use engine::{Engine, EngineFault};

use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    Request,
    Response,
}

impl Handler {
    /// As the file exports it.
    pub fn name(self) -> &'static str {
        match self {
            Handler::Request => "request",
            Handler::Response => "response",
        }
    }
}

/// What one call of a handler did.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    pub outcome: Outcome,
    /// `ctx.args` as the handler left it: later handlers of the same resolver see it so.
    pub arguments: Value,
    pub stash: Value,
    /// By `util.appendError`, in order.
    pub appended: Vec<Raised>,
    /// By `console.log` and `console.error`, in order.
    pub logs: Vec<String>,
    pub subscription_filter: Option<Value>,
    pub invalidation_filter: Option<Value>,
    pub invalidations: Vec<Invalidation>,
    pub response_headers: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Returned(Value),
    EarlyReturn {
        value: Value,
        #[serde(rename = "skipTo")]
        skip_to: SkipTo,
    },
    /// By `util.error`, or by a fault of the code (error type `Code`).
    Raised(Raised),
    Unauthorized,
}

/// Where `runtime.earlyReturn` continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SkipTo {
    #[default]
    Unsaid,
    Next,
    End,
}

/// One entry of the response's `errors`, as far as the handler decides it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Raised {
    pub message: String,
    pub error_type: Option<String>,
    /// Filtered by the query's selection before it is sent.
    pub data: Value,
    /// Sent as `errorInfo`, unfiltered.
    pub info: Value,
}

/// By `extensions.invalidateSubscriptions`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invalidation {
    pub subscription_field: String,
    pub payload: Value,
}
