//! Each resource type in the shape the laptop edition honours: serde refuses an unknown property by name.
mod api;
mod functions;
mod modes;
mod pipelines;
mod roles;
mod sources;
mod tables;
mod users;

use serde_json::Value;

pub use api::{ApiProperties, KeyProperties, SchemaProperties};
pub use functions::FunctionProperties;
pub use modes::Pools;
pub use pipelines::{PipelineFunctionProperties, ResolverProperties};
pub use roles::{RolePolicyProperties, Roles};
pub use sources::SourceProperties;
pub use tables::TableProperties;
pub use users::{PoolClientProperties, PoolGroupProperties, PoolProperties};

/// A property that has no effect on a laptop: logs, tracing, backups, how the handler is built.
type WithoutEffect = serde::de::IgnoredAny;

pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
