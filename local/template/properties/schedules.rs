//! EventBridge rules with a schedule, and the permissions by which services invoke functions.
use fancy_regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Ignored;
use crate::{stack::Schedule, template::TemplateError};

const PRINCIPAL: &str = "events.amazonaws.com";
const ACTION: &str = "lambda:InvokeFunction";

/// `AWS::Events::Rule` with a rate.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RuleProperties {
    #[serde(rename = "Description")]
    _description: Option<Ignored>,
    schedule_expression: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Target {
    #[serde(rename = "Id")]
    _id: String,
    arn: String,
    input: String,
}

/// `AWS::Lambda::Permission`
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PermissionProperties {
    action: String,
    /// The name or the ARN.
    function_name: String,
    principal: String,
    source_arn: String,
}

impl RuleProperties {
    /// `may_invoke` tells whether a permission lets this rule invoke a function, by its ARN.
    pub fn into_schedules(
        self,
        has_function: impl Fn(&str) -> bool,
        may_invoke: impl Fn(&str) -> bool,
    ) -> Result<Vec<Schedule>, TemplateError> {
        check_rate(&self.schedule_expression)?;
        let schedules = self.targets.into_iter().map(|Target { arn, input, .. }| {
            if !has_function(&arn) {
                return Err(TemplateError::new(format!("{arn} is no function of this stack")));
            }
            // AWS accepts such a rule, and its invocations fail.
            if !may_invoke(&arn) {
                return Err(TemplateError::new(format!("no AWS::Lambda::Permission lets the rule invoke {arn}")));
            }
            let input: Value = serde_json::from_str(&input)
                .map_err(|error| TemplateError::new(format!("Input must be JSON: {error}")))?;
            Ok(Schedule { function: arn, rate: self.schedule_expression.clone(), input })
        });
        schedules.collect()
    }
}

impl PermissionProperties {
    /// Whether a rule may invoke a function.
    pub fn allows(&self, rule_arn: &str, function_name: &str, function_arn: &str) -> bool {
        self.is_for(PRINCIPAL, function_name, function_arn) && self.source_arn == rule_arn
    }

    /// Whether a service may invoke a function, if the source is the permission's.
    pub(super) fn is_for(&self, principal: &str, function_name: &str, function_arn: &str) -> bool {
        let is_function = self.function_name == function_name || self.function_name == function_arn;
        is_function && self.action == ACTION && self.principal == principal
    }

    /// A statement whose resources are the sources, which may have wildcards.
    pub(super) fn source_statement(&self) -> Value {
        json!({ "Effect": "Allow", "Action": ACTION, "Resource": self.source_arn })
    }
}

/// EventBridge refuses a plural with 1 and a singular with any other number.
fn check_rate(expression: &str) -> Result<(), TemplateError> {
    let rate = Regex::new(r"\Arate\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\)\z");
    match rate.is_ok_and(|rate| rate.is_match(expression).unwrap_or(false)) {
        true => Ok(()),
        false => Err(TemplateError::new(format!("{expression} is not a rate such as rate(1 day) or rate(2 hours)"))),
    }
}
