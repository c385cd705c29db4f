//! The supported properties of each resource type. Serde refuses an unknown property by name.
mod api;
mod auth_providers;
mod data_sources;
mod functions;
mod resolvers;
mod roles;
mod tables;
mod user_pools;

use serde_json::Value;

pub use api::{ApiProperties, KeyProperties, SchemaProperties};
pub use auth_providers::UserPools;
pub use data_sources::DataSourceProperties;
pub use functions::FunctionProperties;
pub use resolvers::{PipelineFunctionProperties, ResolverProperties};
pub use roles::{RolePolicyProperties, Roles};
pub use tables::TableProperties;
pub use user_pools::{PoolClientProperties, PoolGroupProperties, PoolProperties};

/// A property without effect on the local server: logs, tracing, backups, how the handler is built.
type Ignored = serde::de::IgnoredAny;

pub fn to_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
