//! `requestContext` of events, and the events of messages and disconnects.
use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{close_cause::CloseCause, ids};
use crate::stack::WebSocketApi;

/// The form of `requestTime`: `09/Feb/2024:18:11:43 +0000`.
const REQUEST_TIME_FORMAT: &str = "%d/%b/%Y:%H:%M:%S +0000";

/// What every event of a connection repeats.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    pub id: String,
    pub connected_at: SystemTime,
    pub source_ip: String,
    pub user_agent: Option<String>,
    /// The principal and the context from the authorizer.
    pub authorizer: Option<Map<String, Value>>,
}

/// One request of API Gateway to a function.
#[derive(Clone, Debug)]
pub struct RequestInfo {
    pub id: String,
    pub time: SystemTime,
}

impl ConnectionInfo {
    /// `identity` of events and of `@connections`.
    pub fn identity(&self) -> Value {
        let mut identity = Map::from_iter([("sourceIp".to_owned(), json!(self.source_ip))]);
        if let Some(user_agent) = &self.user_agent {
            identity.insert("userAgent".into(), json!(user_agent));
        }
        Value::Object(identity)
    }

    /// `requestContext` of `$connect` and of the authorizer.
    pub fn connect_context(&self, api: &WebSocketApi, request: &RequestInfo) -> Value {
        Value::Object(self.context(api, request, "$connect", "CONNECT"))
    }

    /// The event of a message on a route. It has neither headers nor a query.
    pub fn message_event(&self, api: &WebSocketApi, request: &RequestInfo, route_key: &str, body: &str) -> Value {
        let mut context = self.context(api, request, route_key, "MESSAGE");
        context.insert("messageId".into(), json!(ids::new_id()));
        let mut event = json!({ "requestContext": context, "body": body, "isBase64Encoded": false });
        add_stage_variables(&mut event, &api.stage_variables);
        event
    }

    pub fn disconnect_event(&self, api: &WebSocketApi, request: &RequestInfo, cause: &CloseCause) -> Value {
        let (code, reason) = cause.disconnect_status();
        let mut context = self.context(api, request, "$disconnect", "DISCONNECT");
        context.insert("disconnectStatusCode".into(), json!(code));
        context.insert("disconnectReason".into(), json!(reason));
        let host = &api.domain_name;
        let mut event = json!({
            "headers": { "Host": host, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": "" },
            "multiValueHeaders": { "Host": [host], "x-api-key": [""], "X-Forwarded-For": [""], "x-restapi": [""] },
            "requestContext": context,
            "isBase64Encoded": false,
        });
        add_stage_variables(&mut event, &api.stage_variables);
        event
    }

    fn context(
        &self,
        api: &WebSocketApi,
        request: &RequestInfo,
        route_key: &str,
        event_type: &str,
    ) -> Map<String, Value> {
        let context = json!({
            "routeKey": route_key,
            "eventType": event_type,
            "extendedRequestId": request.id,
            "requestTime": formatted(request.time, REQUEST_TIME_FORMAT),
            "messageDirection": "IN",
            "stage": api.stage,
            "connectedAt": epoch_milliseconds(self.connected_at),
            "requestTimeEpoch": epoch_milliseconds(request.time),
            "identity": self.identity(),
            "requestId": request.id,
            "domainName": api.domain_name,
            "connectionId": self.id,
            "apiId": api.id,
        });
        let Value::Object(mut context) = context else { return Map::new() };
        if let Some(authorizer) = &self.authorizer {
            context.insert("authorizer".into(), Value::Object(authorizer.clone()));
        }
        context
    }
}

impl RequestInfo {
    pub fn now() -> Self {
        Self { id: ids::new_id(), time: SystemTime::now() }
    }
}

fn add_stage_variables(event: &mut Value, variables: &BTreeMap<String, String>) {
    if !variables.is_empty() {
        event["stageVariables"] = json!(variables);
    }
}

/// The time in UTC.
pub fn formatted(time: SystemTime, format: &str) -> String {
    Timestamp::try_from(time).map_or_else(|_| String::new(), |time| time.strftime(format).to_string())
}

fn epoch_milliseconds(time: SystemTime) -> u64 {
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn api() -> WebSocketApi {
        WebSocketApi {
            id: "abcd1234".into(),
            name: "chat".into(),
            domain_name: "localhost:4000".into(),
            stage: "prod".into(),
            stage_variables: BTreeMap::new(),
            route_selection: vec!["action".into()],
            routes: BTreeMap::new(),
            authorizer: None,
        }
    }

    fn connection() -> ConnectionInfo {
        ConnectionInfo {
            id: "Sy1hsd8_IAMCLAQ=".into(),
            connected_at: UNIX_EPOCH + Duration::from_millis(1_707_502_303_419),
            source_ip: "192.0.2.1".into(),
            user_agent: None,
            authorizer: None,
        }
    }

    fn request() -> RequestInfo {
        RequestInfo { id: "Sy1hsd8=".into(), time: UNIX_EPOCH + Duration::from_millis(1_707_502_303_420) }
    }

    #[test]
    fn connect_context_has_the_members_of_api_gateway() {
        let expected = json!({
            "routeKey": "$connect",
            "eventType": "CONNECT",
            "extendedRequestId": "Sy1hsd8=",
            "requestTime": "09/Feb/2024:18:11:43 +0000",
            "messageDirection": "IN",
            "stage": "prod",
            "connectedAt": 1_707_502_303_419_u64,
            "requestTimeEpoch": 1_707_502_303_420_u64,
            "identity": { "sourceIp": "192.0.2.1" },
            "requestId": "Sy1hsd8=",
            "domainName": "localhost:4000",
            "connectionId": "Sy1hsd8_IAMCLAQ=",
            "apiId": "abcd1234"
        });
        assert_eq!(connection().connect_context(&api(), &request()), expected);
    }

    #[test]
    fn message_event_has_neither_headers_nor_query() {
        let event = connection().message_event(&api(), &request(), "$default", "hello");
        let mut members: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["body", "isBase64Encoded", "requestContext"]);
        let context = &event["requestContext"];
        assert_eq!((&context["routeKey"], &context["eventType"]), (&json!("$default"), &json!("MESSAGE")));
        assert!(ids::is_id(context["messageId"].as_str().unwrap()));
        assert_eq!((&event["body"], context["connectedAt"].as_u64()), (&json!("hello"), Some(1_707_502_303_419)));
    }

    #[test]
    fn disconnect_event_repeats_identity_and_authorizer() {
        let authorizer = Map::from_iter([("principalId".to_owned(), json!("ada"))]);
        let connection =
            ConnectionInfo { user_agent: Some("test".into()), authorizer: Some(authorizer), ..connection() };
        let event = connection.disconnect_event(&api(), &request(), &CloseCause::Idle);
        let headers = json!({ "Host": "localhost:4000", "x-api-key": "", "X-Forwarded-For": "", "x-restapi": "" });
        assert_eq!(event["headers"], headers);
        assert_eq!(event["multiValueHeaders"]["x-restapi"], json!([""]));
        let context = &event["requestContext"];
        assert_eq!(context["disconnectStatusCode"], 1001);
        assert_eq!(context["disconnectReason"], "Going away");
        assert_eq!(context["identity"], json!({ "sourceIp": "192.0.2.1", "userAgent": "test" }));
        assert_eq!(context["authorizer"]["principalId"], "ada");
        assert_eq!((context["routeKey"].as_str(), context.get("messageId")), (Some("$disconnect"), None));
    }
}
