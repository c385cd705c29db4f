//! The edge: the only code that knows AWS or HTTP.
mod appsync;
mod bedrock;
mod dynamodb;

use std::sync::Arc;

use aws_config::BehaviorVersion;
use futures::Stream;
use turn::{
    failures::FailureCode,
    mutation::{Mutation, PublishFailure},
    words::{ModelRequest, StreamEvent, TurnStatus},
    writing::{Write, WriteFailure},
};

use crate::{relay::Outside, settings::Settings};
use appsync::AppSync;
use bedrock::Bedrock;
use dynamodb::Table;

pub use appsync::ConnectError;
pub use dynamodb::TableError;

/// One client each, reused by every invocation of the environment.
pub struct Aws {
    pub table: Table,
    bedrock: Bedrock,
    appsync: AppSync,
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
}

impl Outside for Aws {
    fn ask(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, FailureCode>> + Send {
        self.bedrock.converse(&request)
    }

    async fn publish(&self, mutation: Arc<Mutation>) -> Result<TurnStatus, PublishFailure> {
        self.appsync.publish(&mutation).await
    }

    async fn write(&self, _: Write) -> Result<TurnStatus, WriteFailure> {
        Err(WriteFailure::Again)
    }
}
