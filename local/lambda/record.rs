//! What a failure destination receives.
use serde_json::{Value, json};

use super::{Invocation, decisions::Condition, failure::FunctionError};

/// `timestamp` is ISO 8601; `failure` is what the last run reported, none when the function never ran.
pub(super) fn record(
    function_arn: &str,
    invocation: &Invocation,
    condition: Condition,
    invocations: u32,
    failure: Option<&FunctionError>,
    timestamp: &str,
) -> Value {
    json!({
        "version": "1.0",
        "timestamp": timestamp,
        "requestContext": {
            "requestId": invocation.request_id,
            "functionArn": format!("{function_arn}:$LATEST"),
            "condition": name(condition),
            "approximateInvokeCount": invocations,
        },
        "requestPayload": invocation.payload,
        "responseContext": failure.map(|_| json!({
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        })),
        "responsePayload": failure.map(|failure| &failure.payload),
    })
}

fn name(condition: Condition) -> &'static str {
    match condition {
        Condition::RetriesExhausted => "RetriesExhausted",
        Condition::EventAgeExceeded => "EventAgeExceeded",
    }
}
