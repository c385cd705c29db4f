//! The table as the handler reaches it: through the AWS SDK, whose HTTP connections end in this process.
use std::{io, sync::Arc};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use handler::Table;
use local::dynamodb::EndpointResponse;
use serde_json::{Value, json};

use super::{data_source::record_turn_write, invocation};
use crate::{environment::Environment, fault_profile::Link, network::CallError};

const EXCEPTION_NAMESPACE: &str = "com.amazonaws.dynamodb.v20120810#";

/// The table with the handler's own settings, on behalf of a function.
///
/// The SDK draws the jitter of its retries and the tokens of transactions from the thread's generator, and
/// shares its retry quota within a region: a seed for each table and a region for each run make runs
/// independent of each other.
pub fn table(environment: &Environment, function: &str) -> Table {
    let number = environment.with_recorder(|recorder| {
        recorder.tables += 1;
        recorder.tables
    });
    fastrand::seed(environment.seed + (number << 32));
    let connector = SharedHttpConnector::new(Connector { function: function.to_owned() });
    let credentials = Credentials::new("AKIASIMULATED", "secret", None, None, "simulation");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(format!("run-{}", environment.seed)))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url("http://table.invalid")
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    Table::new(&config, &environment.fixture.table)
}

#[derive(Debug)]
struct Connector {
    function: String,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(send(self.function.clone(), request))
    }
}

async fn send(function: String, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let environment = Environment::current();
    let target: Arc<str> = request.headers().get("x-amz-target").unwrap_or_default().into();
    let mut body = request.body().bytes().unwrap_or_default().to_vec();
    if let Some(mutant) = environment.mutant {
        body = mutant.change_handler_request(&environment, body);
    }
    let database = environment.fixture.database_of(&function);
    let operation = Arc::clone(&target);
    let (callee, request) = (Arc::clone(&environment), body.clone());
    let execute = move || {
        let (environment, database) = (Arc::clone(&callee), database.clone());
        let (operation, body) = (Arc::clone(&operation), body.clone());
        async move {
            record_tool_writes(&environment, &body);
            database.handle_call(&operation, &body)
        }
    };
    invocation::pass_fault_point(&environment, &target).await;
    let result = environment.call(Link::HandlerToTable, execute).await;
    invocation::pass_fault_point(&environment, &target).await;
    let (status, body) = match result {
        Ok(EndpointResponse::Complete { status, body }) => (status, body),
        Ok(EndpointResponse::ConnectionLost) | Err(CallError::ConnectionLost) => {
            environment.trace(|| format!("handler's {target}: connection lost"));
            return Err(ConnectorError::io(io::Error::other("simulated").into()));
        }
        Err(error) => exception(error, &target),
    };
    environment.trace(|| {
        // Without items, whose members have no order.
        let body = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        format!("handler's {target}: {status} {}", body["message"].as_str().unwrap_or_default())
    });
    let body = match environment.mutant {
        Some(mutant) => mutant.change_handler_response(&environment, &request, body),
        None => body,
    };
    let status = StatusCode::try_from(status).map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    Ok(response)
}

/// Records writes of claims of tool calls.
fn record_tool_writes(environment: &Environment, body: &[u8]) {
    let Ok(request) = serde_json::from_slice::<Value>(body) else { return };
    let items = request["TransactItems"].as_array().into_iter().flatten().map(|item| &item["Put"]);
    for put in items.chain([&request]) {
        record_turn_write(environment, &put["Item"]);
    }
}

/// Status and body of an exception of DynamoDB.
fn exception(error: CallError, target: &str) -> (u16, Vec<u8>) {
    let is_transaction = target.ends_with("TransactWriteItems");
    let (status, name) = match error {
        CallError::Throttled if is_transaction => (400, "TransactionCanceledException"),
        CallError::Throttled => (400, "ProvisionedThroughputExceededException"),
        CallError::ServerError | CallError::ConnectionLost => (500, "InternalServerError"),
    };
    let body = json!({
        "__type": format!("{EXCEPTION_NAMESPACE}{name}"),
        "message": "simulated",
        "CancellationReasons": [{ "Code": "None" }, { "Code": "TransactionConflict", "Message": "simulated" }],
    });
    (status, body.to_string().into_bytes())
}
