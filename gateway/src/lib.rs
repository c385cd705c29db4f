//! The Lambda functions of the entry points AppSync Events and WebSocket API: they turn the messages of
//! clients into operations of the GraphQL API, on behalf of the user that AWS or the authorizer has
//! authenticated.
//!
//! `FUNCTION` says which function a process is. The rules of the business are the resolvers'; answers of
//! turns come from the handler, except that a message whose turn has ended already is answered here.
pub mod authorizer;
pub mod caller;
pub mod calls;
pub mod command;
pub mod connection_table;
pub mod events;
pub mod graphql;
pub mod message_id;
pub mod reply;
pub mod settings;
pub mod websocket;

mod credential;
mod delivery;
mod subprotocol;
mod websocket_event;

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use api::{
    delivery::{Connections, EventsApi},
    signed_http::SignedHttp,
};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde_json::Value;

use crate::{
    authorizer::Authorizer,
    connection_table::ConnectionTable,
    events::EventsGateway,
    graphql::GraphqlApi,
    settings::{EventsSettings, FunctionSettings, WebSocketSettings},
    websocket::WebSocketGateway,
};

/// Why the gateway cannot serve.
pub type Error = lambda_runtime::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Left at the end of an invocation, so that its function is not killed.
const TIME_RESERVE: Duration = Duration::from_secs(1);
/// API Gateway waits for 29 seconds, of which the start of a new process and its first connections take some.
const MAX_MESSAGE_TIME: Duration = Duration::from_secs(25);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0} must be set.")]
    MissingVariable(&'static str),
    #[error("The HTTP client cannot be set up: {0}.")]
    Http(#[from] reqwest::Error),
}

/// Serves invocations until Lambda shuts the environment down. Sets the process's tracing subscriber. The
/// binary `gateway` and environments of the local server run this.
pub async fn run() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    match FunctionSettings::read(|name| std::env::var(name).ok())? {
        FunctionSettings::Events(settings) => {
            let gateway = Arc::new(events_gateway(&settings)?);
            let serve = service_fn(move |event| serve_events(event, Arc::clone(&gateway)));
            lambda_runtime::run(serve).await
        }
        FunctionSettings::WebSocket(settings) => {
            let gateway = Arc::new(websocket_gateway(&settings)?);
            let serve = service_fn(move |event| serve_route(event, Arc::clone(&gateway)));
            lambda_runtime::run(serve).await
        }
        FunctionSettings::Authorizer(settings) => {
            let authorizer = Arc::new(Authorizer::new(settings));
            let serve = service_fn(move |event: LambdaEvent<Value>| {
                let authorizer = Arc::clone(&authorizer);
                async move { authorizer.serve(event.payload, SystemTime::now()).await }
            });
            lambda_runtime::run(serve).await
        }
    }
}

fn events_gateway(settings: &EventsSettings) -> Result<EventsGateway, StartError> {
    let http = signed_http(&settings.region)?;
    let events_api = EventsApi::new(http.clone(), &settings.events_url);
    Ok(EventsGateway::new(GraphqlApi::new(http, &settings.graphql_url), events_api, settings.streams))
}

fn websocket_gateway(settings: &WebSocketSettings) -> Result<WebSocketGateway, StartError> {
    let http = signed_http(&settings.region)?;
    let api = GraphqlApi::new(http.clone(), &settings.graphql_url);
    let connections = Connections::new(http.clone(), &settings.connections_url);
    let table = ConnectionTable::new(http, settings.dynamodb_endpoint.as_deref(), &settings.table_name);
    Ok(WebSocketGateway::new(api, connections, table))
}

/// Follows no redirects, because a followed one would repeat a call. The credentials that Lambda gives a
/// process stay the same until its end.
fn signed_http(region: &str) -> Result<SignedHttp, StartError> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let required = |name| variable(name).ok_or(StartError::MissingVariable(name));
    let credentials = Credentials::new(
        required("AWS_ACCESS_KEY_ID")?,
        required("AWS_SECRET_ACCESS_KEY")?,
        variable("AWS_SESSION_TOKEN"),
        None,
        "Lambda",
    );
    let http = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    Ok(SignedHttp::new(http, region, SharedCredentialsProvider::new(credentials)))
}

async fn serve_events(event: LambdaEvent<Value>, gateway: Arc<EventsGateway>) -> Result<Value, Infallible> {
    let deadline = deadline(&event.context);
    gateway.serve(event.payload, deadline).await;
    Ok(Value::Null)
}

async fn serve_route(event: LambdaEvent<Value>, gateway: Arc<WebSocketGateway>) -> Result<Value, Infallible> {
    let deadline = deadline(&event.context).min(now() + MAX_MESSAGE_TIME);
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(gateway.serve(event.payload, since_1970, deadline).await)
}

/// When the invocation must have ended.
fn deadline(context: &Context) -> Instant {
    let time_left = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    now() + time_left.saturating_sub(TIME_RESERVE)
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
