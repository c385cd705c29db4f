//! Lambda functions: `AWS::Serverless::Function`.
use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::Deserialize;
use serde_json::Value;

use super::{Ignored, Roles, in_range, to_text};
use crate::{
    stack::{EventInvokeConfig, FailureDestination, Function},
    template::TemplateError,
};

const MAX_RETRIES: RangeInclusive<u8> = 0..=2;
const MAX_EVENT_AGE_SECONDS: RangeInclusive<u32> = 60..=21_600;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct FunctionProperties {
    memory_size: u32,
    timeout: u32,
    reserved_concurrent_executions: Option<u32>,
    role: String,
    #[serde(default)]
    event_invoke_config: EventInvoke,
    environment: Option<Environment>,
    #[serde(rename = "Description")]
    _description: Option<Ignored>,
    code_uri: String,
    #[serde(rename = "Handler")]
    _handler: Ignored,
    #[serde(rename = "Runtime")]
    _runtime: Ignored,
    #[serde(rename = "Architectures")]
    _architectures: Option<Ignored>,
    #[serde(rename = "Tracing")]
    _tracing: Option<Ignored>,
    #[serde(rename = "LoggingConfig")]
    _logging_config: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(try_from = "EventInvokeProperties")]
struct EventInvoke(EventInvokeConfig);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EventInvokeProperties {
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
    r#type: DestinationType,
    destination: String,
}

#[derive(Deserialize)]
enum DestinationType {
    Lambda,
    #[serde(rename = "SQS")]
    Sqs,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Environment {
    variables: BTreeMap<String, Value>,
}

impl FunctionProperties {
    /// The function of a template in this folder, to which the path of its code is relative.
    pub fn in_folder(self, folder: &str) -> Self {
        let code_uri = if folder.is_empty() { self.code_uri } else { format!("{folder}/{}", self.code_uri) };
        Self { code_uri, ..self }
    }

    pub fn into_function(
        self,
        name: String,
        arn: String,
        roles: &Roles,
        has_queue: impl Fn(&str) -> bool,
    ) -> Result<Function, TemplateError> {
        if let Some(FailureDestination::Queue(queue)) = &self.event_invoke_config.0.on_failure
            && !has_queue(queue)
        {
            return Err(TemplateError::new(format!("{queue} is no queue of this stack")));
        }
        let variables = self.environment.map(|environment| environment.variables).unwrap_or_default();
        Ok(Function {
            name,
            arn,
            memory_megabytes: self.memory_size,
            timeout_seconds: self.timeout,
            reserved_concurrency: self.reserved_concurrent_executions,
            code_folder: normalized(&self.code_uri),
            command: None,
            environment: variables.into_iter().map(|(name, value)| (name, to_text(&value))).collect(),
            event_invoke: self.event_invoke_config.0,
            role: roles.get(&self.role)?,
        })
    }
}

/// A path without `.`, `..` and a slash at its end, as far as it stays in the folder of template.yaml.
fn normalized(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => drop(names.pop()),
            _ => names.push(name),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", names.join("/"))
}

/// Lambda's defaults: two retries, and events of at most six hours.
impl Default for EventInvoke {
    fn default() -> Self {
        Self(EventInvokeConfig {
            max_retries: *MAX_RETRIES.end(),
            max_event_age_seconds: *MAX_EVENT_AGE_SECONDS.end(),
            on_failure: None,
        })
    }
}

impl TryFrom<EventInvokeProperties> for EventInvoke {
    type Error = TemplateError;

    fn try_from(config: EventInvokeProperties) -> Result<Self, TemplateError> {
        let age = config.maximum_event_age_in_seconds;
        let on_failure = config.destination_config.on_failure;
        Ok(Self(EventInvokeConfig {
            max_retries: in_range("MaximumRetryAttempts", config.maximum_retry_attempts, MAX_RETRIES)?,
            max_event_age_seconds: in_range("MaximumEventAgeInSeconds", age, MAX_EVENT_AGE_SECONDS)?,
            on_failure: on_failure.map(FailureDestination::from),
        }))
    }
}

impl From<Destination> for FailureDestination {
    fn from(destination: Destination) -> Self {
        let arn = destination.destination;
        match destination.r#type {
            DestinationType::Lambda => Self::Function(arn),
            DestinationType::Sqs => Self::Queue(arn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::normalized;

    #[test]
    fn paths_of_code_are_relative_to_the_root_template() {
        for (path, expected) in [
            ("handler/", "handler"),
            ("entry/../gateway/", "gateway"),
            ("./gateway", "gateway"),
            ("entry/../../gateway/", "../gateway"),
            ("../../a/", "../../a"),
            ("/home/ann/handler/", "/home/ann/handler"),
            (".", ""),
        ] {
            assert_eq!(normalized(path), expected, "{path}");
        }
    }
}
