//! The DynamoDB data source of AppSync, with faults.
use std::sync::Arc;

use futures::future::BoxFuture;
use local::{
    dynamodb::{DataSourceError, DataSourceResponse},
    graphql::TableBackend,
    identity::AssumedRole,
};
use serde_json::{Value, json};

use super::api;
use crate::{environment::Environment, fault_profile::Link, mutants::Mutant, network::CallError};

const WRITES: [&str; 4] = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"];

pub struct FaultyTables;

impl TableBackend for FaultyTables {
    fn run<'a>(
        &'a self,
        table: &'a str,
        role: &'a AssumedRole,
        request: &'a Value,
    ) -> BoxFuture<'a, DataSourceResponse> {
        Box::pin(run(Environment::current(), table, role, request))
    }
}

async fn run(environment: Arc<Environment>, table: &str, role: &AssumedRole, request: &Value) -> DataSourceResponse {
    let operation = request["operation"].as_str().unwrap_or_default().to_owned();
    if WRITES.contains(&operation.as_str()) {
        let is_duplicated = environment.mutant == Some(Mutant::DuplicateWrites);
        api::count_writes(if is_duplicated { 2 } else { 1 });
    }
    let database = environment.fixture.database.as_role(role);
    let table = table.to_owned();
    let mut request = request.clone();
    if let Some(mutant) = environment.mutant {
        mutant.change_resolver_request(&mut request);
    }
    let execute = move || {
        let (database, table, request) = (database.clone(), table.clone(), request.clone());
        async move { database.run_blocking(&table, &request) }
    };
    match environment.call(Link::ResolverToTable, execute).await {
        Ok(response) => response,
        Err(error) => error_response(error, &operation, &environment),
    }
}

/// A cancelled transaction has a reason for each item.
fn error_response(error: CallError, operation: &str, environment: &Environment) -> DataSourceResponse {
    let (error_type, result) = match (error, operation) {
        (CallError::Throttled, "TransactWriteItems") => {
            let code = environment.with_rng(|rng| rng.choose(&["TransactionConflict", "ThrottlingError"]));
            let reasons = json!([{ "type": "None", "message": "None" }, { "type": code, "message": code }]);
            ("TransactionCanceledException", json!({ "keys": null, "cancellationReasons": reasons }))
        }
        (CallError::Throttled, _) => ("ProvisionedThroughputExceededException", Value::Null),
        (CallError::ServerError, _) => ("InternalServerErrorException", Value::Null),
        (CallError::ConnectionLost, _) => ("SdkClientException", Value::Null),
    };
    environment.trace(|| format!("resolver's {operation}: {error_type}"));
    let error = DataSourceError { error_type: format!("DynamoDB:{error_type}"), message: "simulated".into() };
    DataSourceResponse { result, error: Some(error) }
}
