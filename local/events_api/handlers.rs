//! Runs the handlers of channel namespaces: APPSYNC_JS code, data sources, functions.
use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    task::yield_now,
    time::{Instant, timeout_at},
};

use super::{channel, events_error::EventsError, namespaces::NamespaceHandler};
use crate::{
    graphql::{BoundDataSource, DataSourceResult, DataSources, ResolverError, run_handler},
    lambda::InvocationType,
    resolver::{ChannelHandler, Handler, HandlerPart, Outcome},
    stack::Code,
};

/// One publish or subscription, as its handler sees it.
pub struct HandlerCall<'a> {
    pub handler: ChannelHandler,
    /// The path of the channel, or of the pattern of a subscription.
    pub path: &'a str,
    pub identity: &'a Value,
    pub request: &'a Value,
    /// `ctx.events`, null for a subscription.
    pub events: Value,
    /// The end of the request's time.
    pub deadline: Instant,
}

/// What a handler decided.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// There is no handler, or its result does not count.
    Accepted,
    /// The list of events that a handler returned.
    Returned(Value),
}

/// Runs a handler. Fails if it refuses the request.
pub async fn run(
    handler: &NamespaceHandler,
    sources: &DataSources,
    call: HandlerCall<'_>,
) -> Result<Decision, EventsError> {
    match handler {
        NamespaceHandler::None => Ok(Decision::Accepted),
        NamespaceHandler::Function(code) => {
            CodeRun::new(code, &call).call(HandlerPart::Whole, None).await.map(|value| Decision::Returned(value.into()))
        }
        NamespaceHandler::WithDataSource(code, source) => {
            let value = CodeRun::new(code, &call).run_with_data_source(source, sources).await;
            value.map(Decision::Returned)
        }
        NamespaceHandler::Direct(source, InvocationType::Event) => {
            invoke_asynchronously(source, sources, &call).await;
            Ok(Decision::Accepted)
        }
        NamespaceHandler::Direct(source, InvocationType::RequestResponse) => {
            invoke(source, sources, &call).await.map(Decision::Returned)
        }
    }
}

/// The value of a handler and how it was returned.
enum HandlerValue {
    Returned(Value),
    EarlyReturn(Value),
}

impl From<HandlerValue> for Value {
    fn from(value: HandlerValue) -> Self {
        let (HandlerValue::Returned(value) | HandlerValue::EarlyReturn(value)) = value;
        value
    }
}

struct CodeRun<'a> {
    code: &'a Code,
    call: &'a HandlerCall<'a>,
    stash: Value,
}

impl<'a> CodeRun<'a> {
    fn new(code: &'a Code, call: &'a HandlerCall<'a>) -> Self {
        Self { code, call, stash: json!({}) }
    }

    async fn run_with_data_source(
        mut self,
        source: &BoundDataSource,
        sources: &DataSources,
    ) -> Result<Value, EventsError> {
        let request = match self.call(HandlerPart::Request, None).await? {
            HandlerValue::Returned(request) => request,
            HandlerValue::EarlyReturn(value) => return Ok(value),
        };
        let result = send(source, sources, &request, self.call.deadline).await?;
        self.call(HandlerPart::Response, Some(result)).await.map(Value::from)
    }

    /// Calls a function of the code on the current thread. It blocks its thread, so other tasks run first.
    async fn call(&mut self, part: HandlerPart, result: Option<DataSourceResult>) -> Result<HandlerValue, EventsError> {
        yield_now().await;
        let time_left = self.call.deadline.saturating_duration_since(Instant::now());
        if time_left == Duration::ZERO {
            return Err(fail("the handler used up the time of the request"));
        }
        let handler = Handler::Channel(self.call.handler, part);
        let context = self.context(result.unwrap_or_default()).to_string();
        let report = run_handler(self.code, handler, &context, time_left).map_err(|error| fail(&error))?;
        for line in &report.logs {
            tracing::debug!(path = self.code.path, "{line}");
        }
        self.stash = report.stash;
        match report.outcome {
            Outcome::Returned(value) => Ok(HandlerValue::Returned(value)),
            Outcome::EarlyReturn { value, .. } => Ok(HandlerValue::EarlyReturn(value)),
            Outcome::Raised(error) => Err(EventsError::RaisedByHandler(error)),
            Outcome::Unauthorized => Err(EventsError::RefusedByHandler),
        }
    }

    fn context(&self, DataSourceResult { result, error }: DataSourceResult) -> Value {
        let HandlerCall { path, identity, request, events, .. } = self.call;
        json!({
            "channel": path,
            "events": events,
            "identity": identity,
            "info": info(self.call),
            "request": request,
            "stash": self.stash,
            "result": result,
            "error": error,
        })
    }
}

/// Invokes a function that decides: `{"events": […], "error": "…"}` for a publish, null or `{"error": "…"}`
/// for a subscription.
async fn invoke(source: &BoundDataSource, sources: &DataSources, call: &HandlerCall<'_>) -> Result<Value, EventsError> {
    let request = json!({ "operation": "Invoke", "payload": direct_payload(call) });
    let DataSourceResult { result, error } = send(source, sources, &request, call.deadline).await?;
    if let Some(error) = error.as_ref().or(result.get("error")).filter(|error| !error.is_null()) {
        return Err(fail(&error.to_string()));
    }
    Ok(result.get("events").cloned().unwrap_or_default())
}

/// Queues an invocation whose outcome does not count, also if it cannot be queued.
async fn invoke_asynchronously(source: &BoundDataSource, sources: &DataSources, call: &HandlerCall<'_>) {
    let request = json!({ "operation": "Invoke", "invocationType": "Event", "payload": direct_payload(call) });
    if let Ok(DataSourceResult { error: Some(error), .. }) = send(source, sources, &request, call.deadline).await {
        tracing::warn!(channel = call.path, %error, "the function of a channel namespace was not invoked");
    }
}

async fn send(
    source: &BoundDataSource,
    sources: &DataSources,
    request: &Value,
    deadline: Instant,
) -> Result<DataSourceResult, EventsError> {
    let response = timeout_at(deadline, sources.send(source, request)).await;
    match response.unwrap_or(Err(ResolverError::TimedOut)) {
        Ok(result) => Ok(result),
        Err(ResolverError::Raised(error)) => Err(EventsError::RaisedByHandler(error)),
        Err(ResolverError::Unauthorized) => Err(EventsError::RefusedByHandler),
        Err(ResolverError::TimedOut) => Err(fail("the data source did not answer in the time of the request")),
    }
}

/// Logs why a handler failed.
fn fail(reason: &str) -> EventsError {
    tracing::warn!(reason, "a handler of a channel namespace failed");
    EventsError::HandlerFailed
}

fn info(call: &HandlerCall<'_>) -> Value {
    let segments = channel::segments(call.path);
    let operation = match call.handler {
        ChannelHandler::OnPublish => "PUBLISH",
        ChannelHandler::OnSubscribe => "SUBSCRIBE",
    };
    json!({
        "channel": { "path": call.path, "segments": segments },
        "channelNamespace": { "name": segments.first() },
        "operation": operation,
    })
}

/// The event of a function without code in between. Libraries ignore an event that lacks one of the members.
fn direct_payload(call: &HandlerCall<'_>) -> Value {
    json!({
        "identity": call.identity,
        "result": null,
        "request": call.request,
        "info": info(call),
        "error": null,
        "prev": null,
        "stash": {},
        "outErrors": [],
        "events": call.events,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'a>(path: &'a str, identity: &'a Value, request: &'a Value, events: Value) -> HandlerCall<'a> {
        let handler = if events.is_null() { ChannelHandler::OnSubscribe } else { ChannelHandler::OnPublish };
        HandlerCall { handler, path, identity, request, events, deadline: Instant::now() + Duration::from_secs(5) }
    }

    #[test]
    fn event_of_a_function_has_all_members() {
        let (identity, request) = (Value::Null, json!({ "headers": { "x-api-key": "k" }, "domainName": null }));
        let events = json!([{ "payload": { "event": "data_1" }, "id": "5f7dfbd1-b8ff-4c20-924e-23b42db467a0" }]);
        let expected = json!({
            "identity": null, "result": null, "request": { "headers": { "x-api-key": "k" }, "domainName": null },
            "info": {
                "channel": { "path": "/default/foo", "segments": ["default", "foo"] },
                "channelNamespace": { "name": "default" }, "operation": "PUBLISH"
            },
            "error": null, "prev": null, "stash": {}, "outErrors": [], "events": events
        });
        assert_eq!(direct_payload(&call("/default/foo", &identity, &request, events)), expected);
        let subscription = direct_payload(&call("/default/*", &identity, &request, Value::Null));
        assert_eq!((&subscription["info"]["operation"], &subscription["events"]), (&json!("SUBSCRIBE"), &Value::Null));
    }

    fn code(text: &str) -> Code {
        Code { path: "handlers.js".into(), text: format!("import {{ util }} from '@aws-appsync/utils';\n{text}") }
    }

    async fn run_code(text: &str, events: Value) -> Result<Value, EventsError> {
        let (identity, request) = (json!({ "sub": "u1" }), json!({ "headers": {}, "domainName": null }));
        let call = call("/chat/request/u1", &identity, &request, events);
        CodeRun::new(&code(text), &call).call(HandlerPart::Whole, None).await.map(Value::from)
    }

    #[tokio::test]
    async fn code_sees_the_documented_context() {
        let text = "export function onPublish(ctx) {
            const { events, channel, identity, info, request, stash } = ctx;
            return { events, channel, identity, info, request, stash };
        }";
        let events = json!([{ "id": "e1", "payload": { "a": 1 } }]);
        let seen = run_code(text, events.clone()).await.unwrap();
        let info = json!({
            "channel": { "path": "/chat/request/u1", "segments": ["chat", "request", "u1"] },
            "channelNamespace": { "name": "chat" }, "operation": "PUBLISH"
        });
        let expected = json!({
            "events": events, "channel": "/chat/request/u1", "identity": { "sub": "u1" }, "info": info,
            "request": { "headers": {}, "domainName": null }, "stash": {}
        });
        assert_eq!(seen, expected);
    }

    #[tokio::test]
    async fn code_refuses_by_utilities() {
        let check = "export function onSubscribe(ctx) {
            if (ctx.info.channel.path !== `/chat/responses/${ctx.identity.sub}`) { util.unauthorized() }
        }";
        assert_eq!(run_code(check, Value::Null).await, Err(EventsError::RefusedByHandler));
        let raise = "export function onPublish(ctx) { util.error('Operation not allowed', 'Busy') }";
        let raised = run_code(raise, json!([])).await;
        let Err(EventsError::RaisedByHandler(error)) = raised else { panic!("{raised:?}") };
        assert_eq!((error.message.as_str(), error.error_type.as_deref()), ("Operation not allowed", Some("Busy")));
    }
}
