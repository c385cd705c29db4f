//! The errors that API Gateway sends to clients.

pub const FORBIDDEN: &str = "Forbidden";
pub const INTERNAL_SERVER_ERROR: &str = "Internal server error";
pub const ENDPOINT_TIMED_OUT: &str = "Endpoint request timed out";

/// The text of an error, with the white space of API Gateway.
pub fn error_frame(message: &str, connection_id: &str, request_id: &str) -> String {
    format!(r#"{{"message": "{message}", "connectionId":"{connection_id}", "requestId":"{request_id}"}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_white_space_of_api_gateway() {
        let frame = error_frame(INTERNAL_SERVER_ERROR, "Qyi07eCbtjMCJKw=", "Qyi3UG41tjMFlUg=");
        let expected = r#"{"message": "Internal server error", "connectionId":"Qyi07eCbtjMCJKw=", "requestId":"Qyi3UG41tjMFlUg="}"#;
        assert_eq!(frame, expected);
    }
}
