//! Errors of the Lambda service, with AWS's messages.
use serde_json::{Value, json};

/// A failure destination that Lambda would not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    #[error("Function {function}: You can't specify the function as a destination for itself.")]
    OwnDestination { function: String },
    #[error("Function {function}: its failure destination {destination} is not a function of this stack.")]
    UnknownDestination { function: String, destination: String },
    #[error(
        "Function {function}: The function's execution role does not have permissions to call {operation} on {destination}"
    )]
    ForbiddenDestination { function: String, operation: &'static str, destination: String },
}

/// Why an invocation has no response.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvokeError {
    #[error("Function not found: {function}")]
    NotFound { function: String },
    #[error("Request must be smaller than {limit} bytes for the InvokeFunction operation")]
    TooLarge { limit: usize },
    #[error("Rate Exceeded.")]
    Throttled,
    #[error("{}", .0.message)]
    Unhandled(FunctionError),
    #[error("The Lambda service has stopped.")]
    Stopped,
}

/// The error of a function: reported by its runtime, or by the service when the process ended or timed out.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionError {
    /// `errorType`
    pub kind: String,
    /// `errorMessage`
    pub message: String,
    /// The error document as callers and destinations receive it.
    pub payload: Value,
}

impl FunctionError {
    /// From the body and the `Lambda-Runtime-Function-Error-Type` header of a runtime's error report.
    pub(super) fn from_report(payload: Value, header: Option<&str>) -> Self {
        let member = |name: &str| payload.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            kind: member("errorType").or_else(|| header.map(str::to_owned)).unwrap_or_else(|| "Unhandled".to_owned()),
            message: member("errorMessage").unwrap_or_default(),
            payload,
        }
    }

    pub(super) fn timed_out(request_id: &str, seconds: f64) -> Self {
        Self::from_service("Sandbox.Timedout", format!("{request_id} Task timed out after {seconds:.2} seconds"))
    }

    pub(super) fn exited(request_id: &str, exit_status: &str) -> Self {
        let message = match exit_status {
            "exit status: 0" => format!("RequestId: {request_id} Error: Runtime exited without providing a reason"),
            status => format!("RequestId: {request_id} Error: Runtime exited with error: {status}"),
        };
        Self::from_service("Runtime.ExitError", message)
    }

    pub(super) fn start_failed(request_id: &str, error: &std::io::Error) -> Self {
        Self::from_service("Runtime.InvalidEntrypoint", format!("RequestId: {request_id} Error: {error}"))
    }

    pub(super) fn response_too_large(limit: usize) -> Self {
        let message = format!("Response payload size exceeded maximum allowed payload size ({limit} bytes).");
        Self::from_service("Function.ResponseSizeTooLarge", message)
    }

    pub(super) fn malformed_response(error: &serde_json::Error) -> Self {
        Self::from_service("Runtime.MalformedResponse", format!("The function's response is not JSON: {error}"))
    }

    fn from_service(kind: &str, message: String) -> Self {
        let payload = json!({ "errorType": kind, "errorMessage": message });
        Self { kind: kind.to_owned(), message, payload }
    }
}
