//! SQS queues: `AWS::SQS::Queue`.
use std::ops::RangeInclusive;

use serde::Deserialize;

use super::{Ignored, in_range};
use crate::template::TemplateError;

const RETENTION_SECONDS: RangeInclusive<u32> = 60..=1_209_600;

#[derive(Deserialize)]
#[serde(try_from = "UncheckedQueue")]
pub struct QueueProperties;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UncheckedQueue {
    message_retention_period: Option<u32>,
    #[serde(rename = "SqsManagedSseEnabled")]
    _sqs_managed_sse_enabled: Option<bool>,
    #[serde(rename = "Tags")]
    _tags: Option<Ignored>,
}

impl TryFrom<UncheckedQueue> for QueueProperties {
    type Error = TemplateError;

    fn try_from(queue: UncheckedQueue) -> Result<Self, TemplateError> {
        in_range("MessageRetentionPeriod", queue.message_retention_period, RETENTION_SECONDS)?;
        Ok(Self)
    }
}
