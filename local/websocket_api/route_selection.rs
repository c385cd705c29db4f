//! Route selection: the member of a message's body that names its route.
use serde_json::Value;

/// The most members on the way to a route key.
const MAX_DEPTH: usize = 8;
/// API Gateway's limit on a route key.
const MAX_ROUTE_KEY_LENGTH: usize = 128;

/// The names of members in `$request.body.action` or `${request.body.action}`. Returns `None` for any other
/// expression.
pub fn parse_selection_expression(expression: &str) -> Option<Vec<String>> {
    let braced = expression.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let path = braced.or_else(|| expression.strip_prefix('$'))?.strip_prefix("request.body.")?;
    let names: Vec<String> = path.split('.').map(str::to_owned).collect();
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let is_name = |name: &String| !name.is_empty() && name.bytes().all(is_allowed);
    (names.len() <= MAX_DEPTH && names.iter().all(is_name)).then_some(names)
}

/// The route key in a message's body. Returns `None` if the body is not JSON or has no such text.
pub fn route_key(path: &[String], body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    let selected = path.iter().try_fold(&body, |value, name| value.as_object()?.get(name))?;
    let key = match selected {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(boolean) => boolean.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    // A client cannot select the routes that begin with a dollar sign.
    (!key.starts_with('$') && key.len() <= MAX_ROUTE_KEY_LENGTH).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_name_members_of_the_body() {
        let parsed = |expression| parse_selection_expression(expression).map(|names| names.join("/"));
        assert_eq!(parsed("$request.body.action").as_deref(), Some("action"));
        assert_eq!(parsed("${request.body.message.type}").as_deref(), Some("message/type"));
        for unsupported in [
            "",
            "$",
            "request.body.action",
            "$request.body",
            "$request.body.",
            "$request.body.a..b",
            "${request.body.action",
            "$request.body.action}",
            "$request.header.action",
            "$request.body.a.b.c.d.e.f.g.h.i",
        ] {
            assert_eq!(parsed(unsupported), None, "{unsupported}");
        }
    }

    #[test]
    fn bodies_select_routes() {
        let key = |body: &str| route_key(&["action".into()], body);
        assert_eq!(key(r#"{"action":"send","text":"x"}"#).as_deref(), Some("send"));
        assert_eq!(key(r#"{"action":7}"#).as_deref(), Some("7"));
        assert_eq!(key(r#"{"action":true}"#).as_deref(), Some("true"));
        let too_long = format!(r#"{{"action":"{}"}}"#, "a".repeat(129));
        for body in [
            "",
            "hello",
            "[]",
            "{}",
            r#"{"action":null}"#,
            r#"{"action":{"a":1}}"#,
            r#"{"action":"$connect"}"#,
            r#"{"action":"$default"}"#,
            too_long.as_str(),
            &"[".repeat(100_000),
        ] {
            assert_eq!(key(body), None, "{body:.40}");
        }
        let nested = ["message".to_owned(), "type".into()];
        assert_eq!(route_key(&nested, r#"{"message":{"type":"a"}}"#).as_deref(), Some("a"));
        assert_eq!(route_key(&nested, r#"{"message":"type"}"#), None);
    }
}
