//! The handshake of a connection, as authorizers and `$connect` receive it.
use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, Uri, header::USER_AGENT};
use serde_json::{Map, Value, json};

/// Headers that an authorizer receives and `$connect` does not.
const HOP_BY_HOP: [&str; 2] = ["Connection", "Upgrade"];

/// The headers and the query string of an upgrade request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// The values of each header, by its name as browsers write it.
    headers: BTreeMap<String, Vec<String>>,
    /// The values of each parameter, by its name.
    query: BTreeMap<String, Vec<String>>,
}

impl Handshake {
    /// `source_ip` and `port` are those of the connection, for the headers that API Gateway adds.
    pub fn new(headers: &HeaderMap, uri: &Uri, source_ip: &str, port: &str, trace_id: &str) -> Self {
        let mut handshake = Self::default();
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            handshake.headers.entry(written_name(name)).or_default().push(value);
        }
        let forwarded = handshake.headers.get("X-Forwarded-For").map(|values| values.join(", "));
        let forwarded = forwarded.map_or_else(|| source_ip.to_owned(), |earlier| format!("{earlier}, {source_ip}"));
        for (name, value) in [
            ("X-Amzn-Trace-Id", trace_id),
            ("X-Forwarded-For", forwarded.as_str()),
            ("X-Forwarded-Port", port),
            ("X-Forwarded-Proto", "http"),
        ] {
            handshake.headers.insert(name.to_owned(), vec![value.to_owned()]);
        }
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default();
        for (name, value) in pairs {
            handshake.query.entry(name).or_default().push(value);
        }
        handshake
    }

    /// The last value of a header, whose name may be in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.and_then(|(_, values)| values.last()).map(String::as_str)
    }

    /// The last value of a query parameter.
    pub fn query_parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).and_then(|values| values.last()).map(String::as_str)
    }

    pub fn user_agent(&self) -> Option<String> {
        self.header(USER_AGENT.as_str()).map(str::to_owned)
    }

    /// The event of the route `$connect`.
    pub fn connect_event(&self, request_context: Value, stage_variables: &BTreeMap<String, String>) -> Value {
        let headers = self.headers.iter().filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_str()));
        let mut event = self.event(headers, request_context);
        if !stage_variables.is_empty() {
            event.insert("stageVariables".into(), json!(stage_variables));
        }
        event.insert("isBase64Encoded".into(), json!(false));
        Value::Object(event)
    }

    /// The event of an authorizer.
    pub fn authorizer_event(
        &self,
        request_context: Value,
        stage_variables: &BTreeMap<String, String>,
        method_arn: &str,
    ) -> Value {
        let mut event = self.event(self.headers.iter(), request_context);
        event.insert("type".into(), json!("REQUEST"));
        event.insert("methodArn".into(), json!(method_arn));
        event.insert("stageVariables".into(), json!(stage_variables));
        Value::Object(event)
    }

    /// What both events have. There are no query members without a query string.
    fn event<'a>(
        &self,
        headers: impl Iterator<Item = (&'a String, &'a Vec<String>)>,
        request_context: Value,
    ) -> Map<String, Value> {
        let mut event = Map::new();
        add_values(&mut event, "headers", "multiValueHeaders", headers);
        if !self.query.is_empty() {
            let query = self.query.iter();
            add_values(&mut event, "queryStringParameters", "multiValueQueryStringParameters", query);
        }
        event.insert("requestContext".into(), request_context);
        event
    }
}

/// Adds a member with the last value of each name, and a member with all values.
fn add_values<'a>(
    event: &mut Map<String, Value>,
    single: &str,
    multiple: &str,
    values: impl Iterator<Item = (&'a String, &'a Vec<String>)>,
) {
    let (mut last, mut all) = (Map::new(), Map::new());
    for (name, values) in values {
        last.insert(name.clone(), json!(values.last()));
        all.insert(name.clone(), json!(values));
    }
    event.insert(single.into(), Value::Object(last));
    event.insert(multiple.into(), Value::Object(all));
}

/// A header name as browsers write it. The HTTP library loses the case, which API Gateway keeps.
fn written_name(name: &HeaderName) -> String {
    let words = name.as_str().split('-').map(|word| match word {
        "websocket" => "WebSocket".to_owned(),
        word => {
            let mut characters = word.chars();
            characters
                .next()
                .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + characters.as_str())
        }
    });
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(uri: &str) -> Handshake {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "localhost:4000"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "k"),
            ("cookie", "a"),
            ("cookie", "b"),
            ("x-forwarded-for", "192.0.2.7"),
            ("user-agent", "test"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        Handshake::new(&headers, &uri.parse().unwrap(), "127.0.0.1", "4000", "Root=1")
    }

    #[test]
    fn connect_event_has_headers_and_query() {
        let event = handshake("/ws/prod?token=a&token=b%20c&x=").connect_event(json!({}), &BTreeMap::new());
        let expected = json!({
            "headers": {
                "Host": "localhost:4000", "Sec-WebSocket-Key": "k", "Cookie": "b", "User-Agent": "test",
                "X-Amzn-Trace-Id": "Root=1", "X-Forwarded-For": "192.0.2.7, 127.0.0.1", "X-Forwarded-Port": "4000",
                "X-Forwarded-Proto": "http"
            },
            "multiValueHeaders": {
                "Host": ["localhost:4000"], "Sec-WebSocket-Key": ["k"], "Cookie": ["a", "b"], "User-Agent": ["test"],
                "X-Amzn-Trace-Id": ["Root=1"], "X-Forwarded-For": ["192.0.2.7, 127.0.0.1"],
                "X-Forwarded-Port": ["4000"], "X-Forwarded-Proto": ["http"]
            },
            "queryStringParameters": { "token": "b c", "x": "" },
            "multiValueQueryStringParameters": { "token": ["a", "b c"], "x": [""] },
            "requestContext": {},
            "isBase64Encoded": false
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn event_without_query_string_has_no_query_members() {
        let variables = BTreeMap::from([("kind".to_owned(), "test".to_owned())]);
        let connect = handshake("/ws/prod").connect_event(json!({}), &variables);
        assert_eq!((connect.get("queryStringParameters"), &connect["stageVariables"]["kind"]), (None, &json!("test")));
    }

    #[test]
    fn authorizer_receives_the_upgrade_headers() {
        let event = handshake("/ws/prod").authorizer_event(json!({}), &BTreeMap::new(), "arn");
        let members = [&event["type"], &event["methodArn"], &event["stageVariables"], &event["headers"]["Upgrade"]];
        assert_eq!(members, [&json!("REQUEST"), &json!("arn"), &json!({}), &json!("websocket")]);
        assert_eq!(event.get("isBase64Encoded"), None);
    }

    #[test]
    fn values_are_found_by_name() {
        let handshake = handshake("/ws/prod?token=a");
        assert_eq!((handshake.header("COOKIE"), handshake.query_parameter("token")), (Some("b"), Some("a")));
        assert_eq!((handshake.header("x"), handshake.query_parameter("TOKEN")), (None, None));
        assert_eq!(handshake.user_agent().as_deref(), Some("test"));
    }
}
