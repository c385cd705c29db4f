//! CloudWatch alarms: `AWS::CloudWatch::Alarm`. The local server has no metrics, so it only checks them.
use std::ops::RangeInclusive;

use serde::Deserialize;

use super::{Ignored, in_range};
use crate::template::TemplateError;

const EVALUATION_PERIODS: RangeInclusive<u32> = 1..=u32::MAX;
const MAX_ACTIONS: usize = 5;

#[derive(Deserialize)]
#[serde(try_from = "UncheckedAlarm")]
pub struct AlarmProperties;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UncheckedAlarm {
    #[serde(rename = "AlarmDescription")]
    _alarm_description: Option<Ignored>,
    #[serde(rename = "Namespace")]
    _namespace: String,
    #[serde(rename = "MetricName")]
    _metric_name: String,
    #[serde(default, rename = "Dimensions")]
    _dimensions: Vec<Dimension>,
    #[serde(rename = "Statistic")]
    _statistic: Statistic,
    period: u32,
    evaluation_periods: u32,
    #[serde(rename = "ComparisonOperator")]
    _comparison_operator: ComparisonOperator,
    #[serde(rename = "Threshold")]
    _threshold: f64,
    #[serde(rename = "TreatMissingData")]
    _treat_missing_data: Option<TreatMissingData>,
    #[serde(default)]
    alarm_actions: Vec<String>,
    #[serde(default, rename = "OKActions")]
    ok_actions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Dimension {
    #[serde(rename = "Name")]
    _name: String,
    #[serde(rename = "Value")]
    _value: String,
}

#[derive(Deserialize)]
enum Statistic {
    Average,
    Maximum,
    Minimum,
    SampleCount,
    Sum,
}

#[derive(Deserialize)]
#[expect(clippy::enum_variant_names, reason = "the names of CloudWatch")]
enum ComparisonOperator {
    GreaterThanOrEqualToThreshold,
    GreaterThanThreshold,
    LessThanOrEqualToThreshold,
    LessThanThreshold,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum TreatMissingData {
    Breaching,
    Ignore,
    Missing,
    NotBreaching,
}

impl TryFrom<UncheckedAlarm> for AlarmProperties {
    type Error = TemplateError;

    fn try_from(alarm: UncheckedAlarm) -> Result<Self, TemplateError> {
        check_period(alarm.period)?;
        in_range("EvaluationPeriods", Some(alarm.evaluation_periods), EVALUATION_PERIODS)?;
        check_actions("AlarmActions", &alarm.alarm_actions)?;
        check_actions("OKActions", &alarm.ok_actions)?;
        Ok(Self)
    }
}

fn check_period(seconds: u32) -> Result<(), TemplateError> {
    let is_short = matches!(seconds, 10 | 20 | 30);
    let is_minutes = seconds > 0 && seconds.is_multiple_of(60);
    if is_short || is_minutes {
        return Ok(());
    }
    let message = format!("Period must be 10, 20, 30 or a multiple of 60, not {seconds}");
    Err(TemplateError::new(message))
}

fn check_actions(property: &str, actions: &[String]) -> Result<(), TemplateError> {
    if actions.len() > MAX_ACTIONS {
        let message = format!("{property} has {} actions, more than {MAX_ACTIONS}", actions.len());
        return Err(TemplateError::new(message));
    }
    match actions.iter().find(|action| !action.starts_with("arn:")) {
        Some(action) => Err(TemplateError::new(format!("{property} must be ARNs, and {action} is not"))),
        None => Ok(()),
    }
}
