//! Lambda functions, in SAM's words.
use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive};

use serde::Deserialize;
use serde_json::Value;

use super::{Roles, WithoutEffect, text};
use crate::{
    stack::{Asynchronous, Function},
    template::Fault,
};

const RETRIES: RangeInclusive<u8> = 0..=2;
const EVENT_AGE_SECONDS: RangeInclusive<u32> = 60..=21_600;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct FunctionProperties {
    memory_size: u32,
    timeout: u32,
    reserved_concurrent_executions: Option<u32>,
    role: String,
    #[serde(default)]
    event_invoke_config: EventInvokeConfig,
    environment: Option<Environment>,
    #[serde(rename = "Description")]
    _description: Option<WithoutEffect>,
    #[serde(rename = "CodeUri")]
    _code_uri: WithoutEffect,
    #[serde(rename = "Handler")]
    _handler: WithoutEffect,
    #[serde(rename = "Runtime")]
    _runtime: WithoutEffect,
    #[serde(rename = "Architectures")]
    _architectures: Option<WithoutEffect>,
    #[serde(rename = "Tracing")]
    _tracing: Option<WithoutEffect>,
    #[serde(rename = "LoggingConfig")]
    _logging_config: Option<WithoutEffect>,
}

#[derive(Deserialize)]
#[serde(try_from = "AsynchronousProperties")]
struct EventInvokeConfig(Asynchronous);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AsynchronousProperties {
    maximum_event_age_in_seconds: Option<u32>,
    maximum_retry_attempts: Option<u8>,
    #[serde(default)]
    destination_config: DestinationConfig,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DestinationConfig {
    on_failure: Option<Destination>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Destination {
    #[serde(rename = "Type")]
    _kind: Option<DestinationKind>,
    destination: String,
}

#[derive(Deserialize)]
enum DestinationKind {
    Lambda,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Environment {
    variables: BTreeMap<String, Value>,
}

impl FunctionProperties {
    pub fn into_function(self, name: String, arn: String, roles: &Roles) -> Result<Function, Fault> {
        let variables = self.environment.map(|environment| environment.variables).unwrap_or_default();
        Ok(Function {
            name,
            arn,
            memory_megabytes: self.memory_size,
            timeout_seconds: self.timeout,
            reserved_concurrency: self.reserved_concurrent_executions,
            environment: variables.into_iter().map(|(name, value)| (name, text(&value))).collect(),
            asynchronous: self.event_invoke_config.0,
            role: roles.at(&self.role)?,
        })
    }
}

/// Where the template says nothing, Lambda retries twice and keeps an event for six hours.
impl Default for EventInvokeConfig {
    fn default() -> Self {
        Self(Asynchronous { retries: *RETRIES.end(), event_age_seconds: *EVENT_AGE_SECONDS.end(), on_failure: None })
    }
}

impl TryFrom<AsynchronousProperties> for EventInvokeConfig {
    type Error = Fault;

    fn try_from(config: AsynchronousProperties) -> Result<Self, Fault> {
        let age = config.maximum_event_age_in_seconds;
        let on_failure = config.destination_config.on_failure;
        Ok(Self(Asynchronous {
            retries: within("MaximumRetryAttempts", config.maximum_retry_attempts, RETRIES)?,
            event_age_seconds: within("MaximumEventAgeInSeconds", age, EVENT_AGE_SECONDS)?,
            on_failure: on_failure.map(|on_failure| on_failure.destination),
        }))
    }
}

/// The upper end where the template says nothing.
fn within<N: Copy + Display + PartialOrd>(
    property: &str,
    given: Option<N>,
    allowed: RangeInclusive<N>,
) -> Result<N, Fault> {
    let value = given.unwrap_or(*allowed.end());
    if allowed.contains(&value) {
        return Ok(value);
    }
    let (least, most) = allowed.into_inner();
    Err(Fault::new(format!("{property} must be from {least} to {most}, not {value}")))
}
