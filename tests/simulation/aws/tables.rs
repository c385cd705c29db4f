//! The table as AppSync's data sources reach it.
use futures::future::BoxFuture;
use local::{
    dynamodb::{DataSourceError, DataSourceResponse},
    graphql::TableBackend,
    identity::AssumedRole,
};
use serde_json::{Value, json};

use super::api;
use crate::{network::Trouble, sabotage::Sabotage, weather::Link, world::World};

pub struct UnreliableTables;

impl TableBackend for UnreliableTables {
    fn run<'a>(
        &'a self,
        table: &'a str,
        session: &'a AssumedRole,
        request: &'a Value,
    ) -> BoxFuture<'a, DataSourceResponse> {
        Box::pin(async move {
            let world = World::current();
            let operation = request["operation"].as_str().unwrap_or_default().to_owned();
            if matches!(operation.as_str(), "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems") {
                api::count_writes(if world.has(Sabotage::WrittenTwice) { 2 } else { 1 });
            }
            let database = world.stage.database.as_role(session);
            let (table, mut request) = (table.to_owned(), request.clone());
            if let Some(sabotage) = world.sabotage {
                sabotage.of_resolvers(&mut request);
            }
            let carry_out = move || {
                let (database, table, request) = (database.clone(), table.clone(), request.clone());
                async move { database.run_blocking(&table, &request) }
            };
            let answer = world.call(Link::ResolverToTable, carry_out).await;
            answer.unwrap_or_else(|trouble| unanswered(trouble, &operation, &world))
        })
    }
}

/// Transactions that meet are cancelled with a reason for each item.
fn unanswered(trouble: Trouble, operation: &str, world: &World) -> DataSourceResponse {
    let (error_type, result) = match (trouble, operation) {
        (Trouble::Throttled, "TransactWriteItems") => {
            let code = world.dice(|dice| dice.one_of(&["TransactionConflict", "ThrottlingError"]));
            let reasons = json!([{ "type": "None", "message": "None" }, { "type": code, "message": code }]);
            ("TransactionCanceledException", json!({ "keys": null, "cancellationReasons": reasons }))
        }
        (Trouble::Throttled, _) => ("ProvisionedThroughputExceededException", Value::Null),
        (Trouble::Failed, _) => ("InternalServerErrorException", Value::Null),
        (Trouble::Broken, _) => ("SdkClientException", Value::Null),
    };
    world.trace(|| format!("resolver's {operation}: {error_type}"));
    let error = DataSourceError { error_type: format!("DynamoDB:{error_type}"), message: "simulated".into() };
    DataSourceResponse { result, error: Some(error) }
}
