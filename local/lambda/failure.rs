//! What can go wrong, in AWS's words.
use serde_json::{Value, json};

/// Why the functions of a stack cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("Function {function}: You can't specify the function as a destination for itself.")]
    OwnDestination { function: String },
    #[error("Function {function}: its failure destination {destination} is not a function of this stack.")]
    UnknownDestination { function: String, destination: String },
    #[error(
        "Function {function}: The function's execution role does not have permissions to call Invoke on {destination}"
    )]
    ForbiddenDestination { function: String, destination: String },
}

/// Why an invocation has no answer.
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

/// What a function that failed says of itself, or the service of a function that said nothing.
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
    /// From the body and the `Lambda-Runtime-Function-Error-Type` header of a runtime's report.
    pub(super) fn reported(payload: Value, header: Option<&str>) -> Self {
        let member = |name: &str| payload.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            kind: member("errorType").or_else(|| header.map(str::to_owned)).unwrap_or_else(|| "Unhandled".to_owned()),
            message: member("errorMessage").unwrap_or_default(),
            payload,
        }
    }

    pub(super) fn timed_out(request_id: &str, seconds: f64) -> Self {
        Self::of_service("Sandbox.Timedout", format!("{request_id} Task timed out after {seconds:.2} seconds"))
    }

    pub(super) fn exited(request_id: &str, how: &str) -> Self {
        let message = match how {
            "exit status: 0" => format!("RequestId: {request_id} Error: Runtime exited without providing a reason"),
            how => format!("RequestId: {request_id} Error: Runtime exited with error: {how}"),
        };
        Self::of_service("Runtime.ExitError", message)
    }

    pub(super) fn did_not_start(request_id: &str, why: &std::io::Error) -> Self {
        Self::of_service("Runtime.InvalidEntrypoint", format!("RequestId: {request_id} Error: {why}"))
    }

    pub(super) fn response_too_large(limit: usize) -> Self {
        let message = format!("Response payload size exceeded maximum allowed payload size ({limit} bytes).");
        Self::of_service("Function.ResponseSizeTooLarge", message)
    }

    pub(super) fn malformed_response(why: &serde_json::Error) -> Self {
        Self::of_service("Runtime.MalformedResponse", format!("The function's response is not JSON: {why}"))
    }

    fn of_service(kind: &str, message: String) -> Self {
        let payload = json!({ "errorType": kind, "errorMessage": message });
        Self { kind: kind.to_owned(), message, payload }
    }
}
