//! The decision of a REQUEST authorizer about a connection.
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{error_frame::INTERNAL_SERVER_ERROR, handshake::Handshake};
use crate::identity::{AccessRequest, IamPolicy, PolicyDecision};

/// API Gateway's limit on the response of an authorizer.
const MAX_RESPONSE_BYTES: usize = 8 * 1024;
/// The members of a `context.` source, at most.
const MAX_CONTEXT_DEPTH: usize = 8;
const ACTION: &str = "execute-api:Invoke";

/// Where an authorizer expects an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// A header, by its name in any case.
    Header(String),
    QueryParameter(String),
    /// A member of `requestContext`, by the names that lead to it.
    Context(Vec<String>),
    StageVariable(String),
}

/// Why a connection is refused, as the statuses of API Gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An identity source has no value, or the function threw `Unauthorized`.
    Unauthorized,
    /// A statement of the policy denies the connection.
    ExplicitDeny,
    /// No statement of the policy allows the connection.
    ImplicitDeny,
    /// The function failed, or its response has another form.
    AuthorizerFailed,
}

impl IdentitySource {
    /// Parses `route.request.header.NAME`, `route.request.querystring.NAME`, `context.NAME` or
    /// `stageVariables.NAME`.
    pub fn parse(source: &str) -> Option<Self> {
        let named = |prefix: &str| source.strip_prefix(prefix).filter(|name| !name.is_empty()).map(str::to_owned);
        if let Some(name) = named("route.request.header.") {
            return Some(Self::Header(name));
        }
        if let Some(name) = named("route.request.querystring.") {
            return Some(Self::QueryParameter(name));
        }
        if let Some(name) = named("stageVariables.") {
            return Some(Self::StageVariable(name));
        }
        let path: Vec<String> = named("context.")?.split('.').map(str::to_owned).collect();
        let is_valid = path.len() <= MAX_CONTEXT_DEPTH && path.iter().all(|name| !name.is_empty());
        is_valid.then_some(Self::Context(path))
    }

    /// Whether a handshake has a value there, in its headers and query or in the authorizer's event.
    pub fn has_value(&self, handshake: &Handshake, event: &Value) -> bool {
        match self {
            Self::Header(name) => handshake.header(name).is_some_and(|value| !value.is_empty()),
            Self::QueryParameter(name) => handshake.query_parameter(name).is_some_and(|value| !value.is_empty()),
            Self::StageVariable(name) => is_present(&event["stageVariables"][name]),
            Self::Context(path) => {
                is_present(path.iter().fold(&event["requestContext"], |value, name| &value[name.as_str()]))
            }
        }
    }
}

fn is_present(value: &Value) -> bool {
    !value.is_null() && value != ""
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizerResponse {
    principal_id: String,
    policy_document: PolicyDocument,
    #[serde(default)]
    context: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyDocument {
    statement: Statements,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Statements {
    Many(Vec<Value>),
    One(Value),
}

/// Evaluates what the function of an authorizer returned about a route. Returns `requestContext.authorizer`
/// of later events, whose values are texts.
pub fn evaluate_response(response: &Value, method_arn: &str) -> Result<Map<String, Value>, Refusal> {
    if response.to_string().len() > MAX_RESPONSE_BYTES {
        return Err(Refusal::AuthorizerFailed);
    }
    let response = AuthorizerResponse::deserialize(response).map_err(|_| Refusal::AuthorizerFailed)?;
    let statements = match response.policy_document.statement {
        Statements::Many(statements) => statements,
        Statements::One(statement) => vec![statement],
    };
    if statements.iter().any(|statement| !statement.is_object()) {
        return Err(Refusal::AuthorizerFailed);
    }
    let request = AccessRequest { action: ACTION, resource: method_arn, leading_keys: &[] };
    match IamPolicy::from_statements(&statements).evaluate(&request) {
        PolicyDecision::Allow => {}
        PolicyDecision::ExplicitDeny => return Err(Refusal::ExplicitDeny),
        PolicyDecision::ImplicitDeny => return Err(Refusal::ImplicitDeny),
    }
    let mut context = text_values(response.context)?;
    context.insert("principalId".into(), json!(response.principal_id));
    Ok(context)
}

/// Numbers and booleans become texts; lists and objects are not allowed.
fn text_values(context: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let text_value = |(name, value)| match value {
        Value::String(text) => Ok((name, Value::String(text))),
        Value::Number(number) => Ok((name, Value::String(number.to_string()))),
        Value::Bool(boolean) => Ok((name, Value::String(boolean.to_string()))),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Refusal::AuthorizerFailed),
    };
    context.into_iter().map(text_value).collect()
}

impl Refusal {
    pub fn status(self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::ExplicitDeny | Self::ImplicitDeny => StatusCode::FORBIDDEN,
            Self::AuthorizerFailed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Self::Unauthorized => "Unauthorized",
            Self::ExplicitDeny => {
                "User is not authorized to access this resource with an explicit deny in an identity-based policy"
            }
            Self::ImplicitDeny => {
                "User is not authorized to access this resource because no identity-based policy allows the \
                 execute-api:Invoke action"
            }
            Self::AuthorizerFailed => INTERNAL_SERVER_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    const ARN: &str = "arn:aws:execute-api:us-east-1:000000000000:abc/prod/$connect";

    fn response(statement: Value) -> Value {
        let policy = json!({ "Version": "2012-10-17", "Statement": statement });
        json!({ "principalId": "ada", "policyDocument": policy })
    }

    fn statement(effect: &str, resource: &str) -> Value {
        json!({ "Action": "execute-api:Invoke", "Effect": effect, "Resource": resource })
    }

    #[test]
    fn policy_decides_about_the_route() {
        let api = "arn:aws:execute-api:us-east-1:000000000000:abc";
        let deny = Err(Refusal::ImplicitDeny);
        for (statements, expected) in [
            (statement("Allow", ARN), Ok(())),
            (json!([statement("Allow", ARN)]), Ok(())),
            (json!([statement("Allow", "*")]), Ok(())),
            (json!([statement("Allow", &format!("{api}/*"))]), Ok(())),
            (json!([statement("Allow", &format!("{api}/prod/*"))]), Ok(())),
            (json!([statement("Allow", &format!("{api}/prod/*/*"))]), deny),
            (json!([statement("Allow", &format!("{api}/test/$connect"))]), deny),
            (json!([]), deny),
            (json!([{ "Action": "execute-api:ManageConnections", "Effect": "Allow", "Resource": "*" }]), deny),
            (json!([statement("Deny", ARN)]), Err(Refusal::ExplicitDeny)),
            (json!([statement("Allow", "*"), statement("Deny", "*")]), Err(Refusal::ExplicitDeny)),
        ] {
            assert_eq!(evaluate_response(&response(statements.clone()), ARN).map(drop), expected, "{statements}");
        }
    }

    #[test]
    fn context_values_become_texts() {
        let mut response = response(statement("Allow", "*"));
        response["context"] =
            json!({ "text": "a", "number": 1.5, "integer": 7, "boolean": true, "principalId": "eve" });
        let expected = json!({ "text": "a", "number": "1.5", "integer": "7", "boolean": "true", "principalId": "ada" });
        assert_eq!(evaluate_response(&response, ARN).map(Value::Object), Ok(expected));
    }

    #[test]
    fn response_of_another_form_is_a_failure() {
        let with_context = |context: Value| {
            let mut response = response(statement("Allow", "*"));
            response["context"] = context;
            response
        };
        for broken in [
            json!(null),
            json!("Allow"),
            json!({}),
            json!({ "isAuthorized": true }),
            json!({ "principalId": "ada" }),
            json!({ "principalId": 7, "policyDocument": { "Statement": [] } }),
            json!({ "principalId": "ada", "policyDocument": { "Version": "2012-10-17" } }),
            response(json!("Allow")),
            response(json!(["Allow"])),
            with_context(json!({ "list": [] })),
            with_context(json!({ "object": {} })),
            with_context(json!("text")),
            with_context(json!({ "long": "x".repeat(8 * 1024) })),
        ] {
            assert_eq!(evaluate_response(&broken, ARN), Err(Refusal::AuthorizerFailed), "{broken:.80}");
        }
    }

    #[test]
    fn identity_sources_are_parsed() {
        let parse = IdentitySource::parse;
        assert_eq!(parse("route.request.header.Auth"), Some(IdentitySource::Header("Auth".into())));
        assert_eq!(parse("route.request.querystring.token"), Some(IdentitySource::QueryParameter("token".into())));
        assert_eq!(parse("stageVariables.a"), Some(IdentitySource::StageVariable("a".into())));
        let path = vec!["identity".into(), "sourceIp".into()];
        assert_eq!(parse("context.identity.sourceIp"), Some(IdentitySource::Context(path)));
        for unknown in ["", "Auth", "route.request.header.", "method.request.header.Auth", "context..a", "$context.a"] {
            assert_eq!(parse(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn identity_source_needs_a_value() {
        let mut headers = HeaderMap::new();
        headers.insert("auth", "a".parse().unwrap());
        headers.insert("blank", "".parse().unwrap());
        let handshake = Handshake::new(&headers, &"/ws/prod?token=t&none=".parse().unwrap(), "::1", "80", "");
        let event = json!({ "requestContext": { "identity": { "sourceIp": "::1" } }, "stageVariables": { "a": "b" } });
        for (source, expected) in [
            ("route.request.header.AUTH", true),
            ("route.request.header.blank", false),
            ("route.request.header.missing", false),
            ("route.request.querystring.token", true),
            ("route.request.querystring.none", false),
            ("route.request.querystring.Token", false),
            ("context.identity.sourceIp", true),
            ("context.identity.userAgent", false),
            ("stageVariables.a", true),
            ("stageVariables.b", false),
        ] {
            let parsed = IdentitySource::parse(source).unwrap();
            assert_eq!(parsed.has_value(&handshake, &event), expected, "{source}");
        }
    }
}
