//! The record that a failure destination receives for a discarded event.
use serde_json::{Value, json};

use super::{Invocation, errors::FunctionError, retry_policy::FailureCondition};

/// `timestamp` is ISO 8601; `last_error` is that of the last invocation, none when the function never ran.
pub(super) fn failure_record(
    function_arn: &str,
    invocation: &Invocation,
    condition: FailureCondition,
    invocations: u32,
    last_error: Option<&FunctionError>,
    timestamp: &str,
) -> Value {
    let payload: Value = serde_json::from_slice(&invocation.payload).unwrap_or_default();
    json!({
        "version": "1.0",
        "timestamp": timestamp,
        "requestContext": {
            "requestId": invocation.request_id,
            "functionArn": format!("{function_arn}:$LATEST"),
            "condition": condition_name(condition),
            "approximateInvokeCount": invocations,
        },
        "requestPayload": payload,
        "responseContext": last_error.map(|_| json!({
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        })),
        "responsePayload": last_error.map(|error| &error.payload),
    })
}

fn condition_name(condition: FailureCondition) -> &'static str {
    match condition {
        FailureCondition::RetriesExhausted => "RetriesExhausted",
        FailureCondition::EventAgeExceeded => "EventAgeExceeded",
    }
}
