//! Requests to the model as the handler sends them: through the AWS SDK, whose HTTP connections end here.
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use futures::{StreamExt, pin_mut};
use handler::model::{Bedrock, Model};
use turn::model::ModelRequest;

/// Makes the bodies of requests and never calls a model.
#[derive(Clone)]
pub struct RequestBodies {
    bedrock: Arc<Bedrock>,
    connector: Connector,
}

/// Refuses each request and keeps its body.
#[derive(Clone, Debug, Default)]
struct Connector(Arc<Mutex<Vec<u8>>>);

impl RequestBodies {
    pub fn new() -> Self {
        let connector = Connector::default();
        let shared = SharedHttpConnector::new(connector.clone());
        let credentials = Credentials::new("AKIASIMULATED", "secret", None, None, "simulation");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("simulation"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url("http://bedrock.invalid")
            .http_client(http_client_fn(move |_, _| shared.clone()))
            .build();
        Self { bedrock: Arc::new(Bedrock::new(&config)), connector }
    }

    /// Why Bedrock refuses the request, if it does.
    pub async fn refusal(&self, request: Arc<ModelRequest>) -> Option<String> {
        let model_id = request.model_id.clone();
        let answer = self.bedrock.answer(request);
        pin_mut!(answer);
        drop(answer.next().await);
        let body = std::mem::take(&mut *self.connector.0.lock().unwrap_or_else(PoisonError::into_inner));
        local::bedrock::refusal(&model_id, body)
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().unwrap_or_default().to_vec();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = body;
        let status = StatusCode::try_from(403).expect("403 is a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from("{}"))))
    }
}
