//! Handlers that are killed while they run a tool which changes something.
use tokio::task::JoinSet;

use crate::{agent_tools, agent_tools_graphql, agent_tools_mcp};

/// The time scale at which Lambda's first retry comes after 30.6 seconds: the lease of a killed process has
/// expired by then.
pub const RETRY_AFTER_LEASE: f64 = 0.51;
/// The result of a call that may have taken effect.
pub const UNKNOWN: &str = "This call was started before, and its result never came. It may have taken effect: check \
    before calling the tool again.";

/// Runs each check as a task: the start of its server must not delay the requests of the others.
pub async fn run_checks<C: Future<Output = ()> + Send + 'static>(checks: impl IntoIterator<Item = C>) {
    let tasks: JoinSet<()> = checks.into_iter().collect();
    tasks.join_all().await;
}

/// One test for every kind of tool, because each check waits half a minute for the lease's end.
#[tokio::test(flavor = "multi_thread")]
async fn tool_that_changes_something_runs_at_most_once_despite_killed_handlers() {
    tokio::join!(
        agent_tools::check_killed_handlers(),
        agent_tools_graphql::check_killed_handlers(),
        agent_tools_mcp::check_killed_handlers(),
    );
}
