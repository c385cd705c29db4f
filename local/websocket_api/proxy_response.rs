//! The responses of functions behind routes.
use http::{HeaderValue, StatusCode};
use serde_json::Value;

const PROTOCOL_HEADER: &str = "sec-websocket-protocol";

/// What the function of `$connect` decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectDecision {
    /// With the subprotocol to choose.
    Accepted(Option<HeaderValue>),
    Refused(StatusCode),
    /// The response has no status.
    Malformed,
}

/// Reads the response of `$connect`: any status from 200 to 299 accepts the connection.
pub fn connect_decision(response: &Value) -> ConnectDecision {
    match status_code(&response["statusCode"]) {
        Some(status) if status.is_success() => ConnectDecision::Accepted(subprotocol(&response["headers"])),
        Some(status) => ConnectDecision::Refused(status),
        None => ConnectDecision::Malformed,
    }
}

/// The text of a route's response, which a route with responses sends to the client.
pub fn response_body(response: &Value) -> Option<&str> {
    response["body"].as_str()
}

/// A status that an HTTP response may have, as a number or a text. The others begin a response without ending
/// it, or do not exist.
fn status_code(value: &Value) -> Option<StatusCode> {
    let code = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    let code = u16::try_from(code).ok().filter(|code| (200..600).contains(code))?;
    StatusCode::from_u16(code).ok()
}

fn subprotocol(headers: &Value) -> Option<HeaderValue> {
    let (_, value) = headers.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case(PROTOCOL_HEADER))?;
    HeaderValue::from_str(value.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn status_of_the_response_decides_about_a_connection() {
        let refused = |code| ConnectDecision::Refused(StatusCode::from_u16(code).unwrap());
        for (response, expected) in [
            (json!({ "statusCode": 200 }), ConnectDecision::Accepted(None)),
            (json!({ "statusCode": "204" }), ConnectDecision::Accepted(None)),
            (json!({ "statusCode": 301 }), refused(301)),
            (json!({ "statusCode": 401 }), refused(401)),
            (json!({ "statusCode": 501 }), refused(501)),
            (json!({ "statusCode": 101 }), ConnectDecision::Malformed),
            (json!({ "statusCode": 1200 }), ConnectDecision::Malformed),
            (json!({ "statusCode": -1 }), ConnectDecision::Malformed),
            (json!({ "statusCode": 2e2 }), ConnectDecision::Malformed),
            (json!({}), ConnectDecision::Malformed),
            (json!(null), ConnectDecision::Malformed),
            (json!([200]), ConnectDecision::Malformed),
        ] {
            assert_eq!(connect_decision(&response), expected, "{response}");
        }
    }

    #[test]
    fn subprotocol_is_that_of_the_response() {
        let chosen = |headers: Value| connect_decision(&json!({ "statusCode": 200, "headers": headers }));
        let expected = ConnectDecision::Accepted(Some(HeaderValue::from_static("chat")));
        assert_eq!(chosen(json!({ "Sec-WebSocket-Protocol": "chat" })), expected);
        assert_eq!(chosen(json!({ "sec-websocket-protocol": "chat" })), expected);
        for none in [
            json!({}),
            json!(null),
            json!({ "Sec-WebSocket-Protocol": 7 }),
            json!({ "Sec-WebSocket-Protocol": "a\r\nb" }),
        ] {
            assert_eq!(chosen(none.clone()), ConnectDecision::Accepted(None), "{none}");
        }
    }

    #[test]
    fn only_a_text_is_sent_to_the_client() {
        assert_eq!(response_body(&json!({ "statusCode": 200, "body": "x" })), Some("x"));
        for response in [json!(null), json!({ "statusCode": 200 }), json!({ "body": { "a": 1 } })] {
            assert_eq!(response_body(&response), None);
        }
    }
}
