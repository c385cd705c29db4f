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
use crate::{
    environment::Environment,
    fault_profile::{Fault, Link},
    mutants::Mutant,
    network::CallError,
};

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
    let is_write = WRITES.contains(&operation.as_str());
    let is_repeated = is_write && environment.mutant == Some(Mutant::DuplicateWrites);
    if is_write {
        api::count_writes(if is_repeated { 2 } else { 1 });
    }
    let database = environment.fixture.database.as_role(role);
    let table = table.to_owned();
    let mut request = request.clone();
    if let Some(mutant) = environment.mutant {
        mutant.change_resolver_request(&environment, &mut request);
    }
    count_stale_read(&environment, &request);
    let request = Arc::new(request);
    let (callee, call) = (Arc::clone(&environment), Arc::clone(&request));
    let execute = move || {
        let (environment, database) = (Arc::clone(&callee), database.clone());
        let (table, request) = (table.clone(), Arc::clone(&call));
        async move {
            record_turn_writes(&environment, &request);
            let response = database.run_blocking(&table, &request);
            if is_repeated {
                environment.with_recorder(|recorder| recorder.mutations += 1);
                drop(database.run_blocking(&table, &request));
            }
            response
        }
    };
    match environment.call(Link::ResolverToTable, execute).await {
        Ok(mut response) => {
            if let Some(mutant) = environment.mutant {
                mutant.change_resolver_response(&environment, &request, &mut response.result);
            }
            response
        }
        Err(error) => error_response(error, &operation, &environment),
    }
}

/// With stale reads, every eventually consistent read is one.
fn count_stale_read(environment: &Environment, request: &Value) {
    let is_read = request["operation"] == "GetItem" || request["operation"] == "Query";
    if environment.has_stale_reads && is_read && request["consistentRead"] != true {
        environment.with_faults(|profile, _| profile.count(Fault::StaleRead));
    }
}

/// Records writes of batches, and of answers to tool calls.
fn record_turn_writes(environment: &Environment, request: &Value) {
    let items = request["transactItems"].as_array().into_iter().flatten();
    for write in items.chain([request]).filter(|write| write["operation"] == "PutItem") {
        record_turn_write(environment, &write["key"]);
    }
}

/// Records a write to an item of a turn's partition.
pub fn record_turn_write(environment: &Environment, key: &Value) {
    let (pk, sk) = (key["pk"]["S"].as_str(), key["sk"]["S"].as_str());
    if let (Some(pk), Some(sk)) = (pk, sk)
        && pk.starts_with("TURN#")
    {
        let now = environment.now_ms();
        environment.with_recorder(|recorder| recorder.batch_writes.insert((pk.to_owned(), sk.to_owned()), now));
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
