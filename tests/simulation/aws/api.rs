//! Requests of users and handlers to the API.
use std::{cell::Cell, sync::Arc, time::Duration};

use local::identity::Caller;
use tokio::{task_local, time::timeout};

use crate::{checker::Violation, environment::Environment, fault_profile::Link, network::CallError};

/// AppSync's own limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

task_local! {
    /// The writes to the table by the resolvers of the current request.
    static WRITES: Cell<u32>;
}

/// Adds writes of a resolver to those of the current request.
pub fn count_writes(writes: u32) {
    WRITES.try_with(|counter| counter.set(counter.get() + writes)).unwrap_or_default();
}

/// Sends one GraphQL request and returns the body of the response.
pub async fn request(
    environment: &Arc<Environment>,
    link: Link,
    caller: Caller,
    body: String,
) -> Result<Vec<u8>, CallError> {
    let body = Arc::<str>::from(body);
    let callee = Arc::clone(environment);
    let call = environment.call(link, move || execute(Arc::clone(&callee), caller.clone(), Arc::clone(&body)));
    timeout(REQUEST_TIMEOUT, call).await.unwrap_or(Err(CallError::ConnectionLost))
}

async fn execute(environment: Arc<Environment>, caller: Caller, body: Arc<str>) -> Vec<u8> {
    let execution = async {
        let response = environment.fixture.api.execute(caller, &body).await;
        (response, WRITES.with(Cell::get))
    };
    let (response, writes) = WRITES.scope(Cell::new(0), execution).await;
    let response = response.unwrap_or_else(|error| panic!("a valid caller is refused: {error:?}"));
    if body.contains("agentPublish") {
        environment.with_recorder(|recorder| recorder.record_publish(&body, writes));
    }
    record_failed_resolver(&environment, &response);
    response
}

/// A resolver whose code fails can serve nobody.
fn record_failed_resolver(environment: &Environment, response: &[u8]) {
    let response = String::from_utf8_lossy(response);
    if let Some(start) = response.find("\"errorType\":\"Code\"") {
        let error: String = response[start..].chars().take(300).collect();
        let violation = Violation::new(3, format!("a resolver failed: {error}"));
        environment.with_recorder(|recorder| recorder.violations.push(violation));
    }
}
