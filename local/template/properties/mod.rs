//! The supported properties of each resource type. Serde refuses an unknown property by name.
mod alarms;
mod api;
mod auth_providers;
mod data_sources;
mod encryption_keys;
mod events_api;
mod functions;
mod queues;
mod resolvers;
mod roles;
mod schedules;
mod tables;
mod user_pools;
mod websocket_api;

use std::{fmt::Display, ops::RangeInclusive};

use serde_json::Value;

use super::TemplateError;

pub use alarms::AlarmProperties;
pub use api::{ApiProperties, KeyProperties, SchemaProperties};
pub use auth_providers::UserPools;
pub use data_sources::DataSourceProperties;
pub use encryption_keys::EncryptionKeyProperties;
pub use events_api::{ChannelNamespaceProperties, EventsApiProperties};
pub use functions::FunctionProperties;
pub use queues::QueueProperties;
pub use resolvers::{PipelineFunctionProperties, ResolverProperties};
pub use roles::{RolePolicyProperties, Roles};
pub use schedules::{PermissionProperties, RuleProperties};
pub use tables::TableProperties;
pub use user_pools::{
    LoginStyleProperties, PoolClientProperties, PoolDomainProperties, PoolGroupProperties, PoolProperties,
};
pub use websocket_api::{
    DeploymentProperties, InvocableFunctions, Labeled, LogicalRoute, WebSocketDeployment, WebSocketResources,
};

/// A property without effect on the local server: logs, tracing, backups, how the handler is built.
type Ignored = serde::de::IgnoredAny;

pub fn to_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The given value, which must be in the range; without one, the end of the range.
fn in_range<N: Copy + Display + PartialOrd>(
    property: &str,
    value: Option<N>,
    allowed: RangeInclusive<N>,
) -> Result<N, TemplateError> {
    let value = value.unwrap_or(*allowed.end());
    if allowed.contains(&value) {
        return Ok(value);
    }
    let (minimum, maximum) = allowed.into_inner();
    Err(TemplateError::new(format!("{property} must be from {minimum} to {maximum}, not {value}")))
}
