//! The edge: the only code that knows AWS or HTTP.
mod appsync;
mod bedrock;
mod dynamodb;

use std::sync::Arc;

use api::types::{FailureCode, TurnStatus};
use aws_config::BehaviorVersion;
use futures::Stream;
use turn::{
    direct_write::{DirectWrite, WriteFailure},
    mutation::{Mutation, PublishFailure},
    types::{ModelRequest, StreamEvent},
};

use crate::{clock::Clock, event_loop::Effects, settings::Settings};
use appsync::AppSync;
use bedrock::Bedrock;

pub use appsync::{ConnectError, classify_response, request_body};
#[cfg(test)]
pub use dynamodb::tests as table;
pub use dynamodb::{Table, TableError, with_retries};

/// One client each, reused by every invocation of the environment.
pub struct Aws {
    pub table: Table,
    bedrock: Bedrock,
    appsync: AppSync,
}

/// AWS as one invocation uses it.
pub struct InvocationClients<'a> {
    aws: &'a Aws,
    clock: Clock,
}

impl Aws {
    pub async fn connect(settings: &Settings) -> Result<Self, ConnectError> {
        let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
        Ok(Self {
            table: Table::new(&config, &settings.table_name),
            bedrock: Bedrock::new(&config),
            appsync: AppSync::new(&config, &settings.graphql_url)?,
        })
    }

    pub fn clients(&self, clock: Clock) -> InvocationClients<'_> {
        InvocationClients { aws: self, clock }
    }
}

impl Effects for InvocationClients<'_> {
    fn call_model(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, FailureCode>> + Send {
        self.aws.bedrock.converse(&request)
    }

    async fn publish(&self, mutation: Arc<Mutation>) -> Result<TurnStatus, PublishFailure> {
        self.aws.appsync.publish(&mutation).await
    }

    async fn write(&self, write: DirectWrite) -> Result<TurnStatus, WriteFailure> {
        self.aws.table.write(write, self.clock.now()).await
    }
}
