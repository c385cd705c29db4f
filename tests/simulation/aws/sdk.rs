//! The table as the handler reaches it: through Amazon's SDK, whose connections end in this process.
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
use serde_json::json;

use super::invocation;
use crate::{network::Trouble, weather::Link, world::World};

const EXCEPTIONS: &str = "com.amazonaws.dynamodb.v20120810#";

/// With the handler's own settings, on behalf of a function. A region for each run: what retries may draw on is shared
/// within one.
pub fn table(world: &World, function: &str) -> Table {
    fastrand::seed(world.seed);
    let connector = SharedHttpConnector::new(Connector { function: function.to_owned() });
    let credentials = Credentials::new("AKIASIMULATED", "secret", None, None, "simulation");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(format!("run-{}", world.seed)))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url("http://table.invalid")
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    Table::new(&config, &world.stage.table)
}

#[derive(Debug)]
struct Connector {
    function: String,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(carry(self.function.clone(), request))
    }
}

async fn carry(function: String, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let world = World::current();
    let target: Arc<str> = request.headers().get("x-amz-target").unwrap_or_default().into();
    let mut body = request.body().bytes().unwrap_or_default().to_vec();
    if let Some(sabotage) = world.sabotage {
        body = sabotage.of_handler(body);
    }
    invocation::reach(&world, &target).await;
    let (database, asked) = (world.stage.database_of(&function), Arc::clone(&target));
    let carry_out = move || {
        let (database, target, body) = (database.clone(), Arc::clone(&asked), body.clone());
        async move { database.handle_call(&target, &body) }
    };
    let answer = world.call(Link::HandlerToTable, carry_out).await;
    invocation::reach(&world, &target).await;
    let (status, body) = match answer {
        Ok(EndpointResponse::Complete { status, body }) => (status, body),
        Ok(EndpointResponse::ConnectionLost) | Err(Trouble::Broken) => {
            world.trace(|| format!("handler's {target}: no answer"));
            return Err(ConnectorError::io(io::Error::other("simulated").into()));
        }
        Err(trouble) => exception(trouble, &target),
    };
    world.trace(|| format!("handler's {target}: {status}"));
    let status = StatusCode::try_from(status).map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    Ok(response)
}

fn exception(trouble: Trouble, target: &str) -> (u16, Vec<u8>) {
    let (status, name) = match trouble {
        Trouble::Throttled if target.ends_with("TransactWriteItems") => (400, "TransactionCanceledException"),
        Trouble::Throttled => (400, "ProvisionedThroughputExceededException"),
        Trouble::Failed | Trouble::Broken => (500, "InternalServerError"),
    };
    let reasons = json!([{ "Code": "None" }, { "Code": "TransactionConflict", "Message": "simulated" }]);
    let body =
        json!({ "__type": format!("{EXCEPTIONS}{name}"), "message": "simulated", "CancellationReasons": reasons });
    (status, body.to_string().into_bytes())
}
