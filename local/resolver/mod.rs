//! APPSYNC_JS: the JavaScript runtime of AppSync's resolvers and functions.
mod allowlist;
mod assignment_lint;
mod bindings;
mod code_check;
mod engine;
mod engine_environment;
mod function_value_lint;
mod id_generators;
mod instrumentation;
mod java_text;
mod lint_error;
mod native_functions;
mod nesting;
mod nullish_lint;
mod spread_lint;
mod subset_lint;
mod time;
mod time_limit;

pub use code_check::{ChannelHandlers, CodeError, HandlerForm, check, check_channel_handlers};
pub use engine::{Engine, EngineError};
pub use engine_environment::EngineEnvironment;

use serde::Deserialize;
use serde_json::Value;

/// A function that AppSync calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    Request,
    Response,
    /// Of a channel namespace of the Events API.
    Channel(ChannelHandler, HandlerPart),
}

/// The export of a channel namespace's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelHandler {
    OnPublish,
    OnSubscribe,
}

/// The function of a channel namespace's handler: the handler itself, or one of its two functions if it has a
/// data source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandlerPart {
    Whole,
    Request,
    Response,
}

impl Handler {
    /// The name of the export.
    pub fn export(self) -> &'static str {
        match self {
            Handler::Channel(handler, _) => handler.name(),
            Handler::Request | Handler::Response => self.name(),
        }
    }

    /// The name of the function.
    pub fn name(self) -> &'static str {
        match self {
            Handler::Request | Handler::Channel(_, HandlerPart::Request) => "request",
            Handler::Response | Handler::Channel(_, HandlerPart::Response) => "response",
            Handler::Channel(handler, HandlerPart::Whole) => handler.name(),
        }
    }
}

impl ChannelHandler {
    pub fn name(self) -> &'static str {
        match self {
            ChannelHandler::OnPublish => "onPublish",
            ChannelHandler::OnSubscribe => "onSubscribe",
        }
    }
}

/// The outcome and the effects of one call of a handler.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandlerReport {
    pub outcome: Outcome,
    /// `ctx.args` after the call. Later handlers of the same resolver see its changes.
    pub arguments: Value,
    /// `ctx.stash` after the call.
    pub stash: Value,
    /// The errors of `util.appendError`, in order.
    pub appended: Vec<HandlerError>,
    /// The lines of `console.log` and `console.error`, in order.
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
    /// `util.error` was called, or the code failed (error type `Code`).
    Raised(HandlerError),
    /// `util.unauthorized` was called.
    Unauthorized,
}

/// `skipTo` of `runtime.earlyReturn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SkipTo {
    #[default]
    Unspecified,
    Next,
    End,
}

/// An entry of the response's `errors`, without its path and location.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandlerError {
    pub message: String,
    pub error_type: Option<String>,
    /// Reduced to the query's selection before it is sent.
    pub data: Value,
    /// Sent as `errorInfo`, unchanged.
    pub info: Value,
}

/// The arguments of `extensions.invalidateSubscriptions`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invalidation {
    pub subscription_field: String,
    pub payload: Value,
}
