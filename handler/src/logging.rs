//! The handler's log.
use std::env;

use lambda_runtime::tracing::subscriber::{
    EnvFilter,
    filter::{Directive, LevelFilter},
    fmt,
};

/// Sets the process's tracing subscriber: that of `lambda_runtime::tracing::init_default_subscriber`, without
/// the lines of the crate rmcp.
pub fn set_subscriber() {
    let level = env::var("AWS_LAMBDA_LOG_LEVEL").or_else(|_| env::var("RUST_LOG"));
    let filter = filter(level.ok().as_deref(), &env::var("RUST_LOG").unwrap_or_default());
    let subscriber = fmt().with_target(false).without_time().with_env_filter(filter);
    let is_json = env::var("AWS_LAMBDA_LOG_FORMAT").is_ok_and(|format| format.eq_ignore_ascii_case("json"));
    if is_json { subscriber.json().init() } else { subscriber.init() }
}

/// Invalid texts count as missing. The level is then INFO.
fn filter(level: Option<&str>, directives: &str) -> EnvFilter {
    let level: LevelFilter = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    EnvFilter::builder().with_default_directive(level.into()).parse_lossy(directives).add_directive(rmcp_off())
}

/// rmcp logs the ids of sessions, and messages of servers with the results of tools.
fn rmcp_off() -> Directive {
    "rmcp=off".parse().expect("a valid directive")
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        sync::{Arc, Mutex},
        time::Duration,
    };

    use lambda_runtime::tracing::{
        Event, Subscriber,
        callsite::rebuild_interest_cache,
        subscriber::{
            Layer,
            layer::{Context, SubscriberExt},
            registry,
            util::SubscriberInitExt,
        },
    };
    use rmcp::model::CallToolRequestParams;

    use super::*;
    use crate::{
        aws::{McpSessions, test_server::TestServer},
        clock::now,
    };

    /// Keeps the crates whose code has logged something.
    #[derive(Clone, Default)]
    struct LoggedCrates(Arc<Mutex<BTreeSet<String>>>);

    impl<S: Subscriber> Layer<S> for LoggedCrates {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let target = event.metadata().target();
            self.0.lock().unwrap().insert(target.split("::").next().unwrap_or_default().to_owned());
        }
    }

    /// The crates that log something during a call of an MCP tool.
    async fn crates_that_log(filter: EnvFilter) -> BTreeSet<String> {
        let crates = LoggedCrates::default();
        let guard = registry().with(filter).with(crates.clone()).set_default();
        call_mcp_tool().await;
        // Another test may have come to some of the same lines while this log was set, and turned them off.
        rebuild_interest_cache();
        call_mcp_tool().await;
        tracing::error!("the log is open");
        drop(guard);
        let crates = crates.0.lock().unwrap();
        crates.clone()
    }

    async fn call_mcp_tool() {
        let server = TestServer::start().await;
        let (clients, sessions) = (server.clients(), McpSessions::default());
        let session = sessions.session(&server.server(), &clients).await.unwrap();
        session.call_tool(CallToolRequestParams::new("look")).await.unwrap();
        sessions.close(now() + Duration::from_secs(60)).await;
    }

    #[tokio::test]
    async fn call_of_an_mcp_tool_logs_no_line_of_rmcp() {
        let logged = crates_that_log(EnvFilter::new("trace")).await;
        assert!(logged.contains("rmcp"), "rmcp logs without the filter: {logged:?}");
        for (level, directives) in
            [("TRACE", ""), ("trace", "trace"), ("info", ""), ("?", "rmcp=trace,info"), ("?", "?=?")]
        {
            let logged = crates_that_log(filter(Some(level), directives)).await;
            assert!(logged.contains("handler") && !logged.contains("rmcp"), "{level} {directives}: {logged:?}");
        }
    }

    #[test]
    fn level_of_lambda_is_used_and_info_without_one() {
        for (level, directives, expected) in [
            (None, "", LevelFilter::INFO),
            (Some("DEBUG"), "", LevelFilter::DEBUG),
            (Some("?"), "?", LevelFilter::INFO),
        ] {
            assert_eq!(filter(level, directives).max_level_hint(), Some(expected), "{level:?}");
        }
    }
}
