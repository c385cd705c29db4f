//! Evaluation of identity-based IAM policies.
mod conditions;
mod pattern;

use std::sync::Arc;

use serde::{
    Deserialize,
    de::{Error as _, IgnoredAny},
};
use serde_json::{Value, json};

use conditions::{Conditions, Texts};
use pattern::matches_pattern;

/// The statements of an identity's policies. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct IamPolicy(Arc<[Statement]>);

/// A request as IAM evaluates it.
#[derive(Clone, Copy, Debug)]
pub struct AccessRequest<'a> {
    pub action: &'a str,
    pub resource: &'a str,
    /// The condition key `dynamodb:LeadingKeys`: the partition keys of a DynamoDB request. The condition key
    /// is absent if the list is empty.
    pub leading_keys: &'a [&'a str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyDecision {
    /// A statement allows the request, and none denies it.
    Allow,
    /// No statement applies to the request.
    ImplicitDeny,
    /// A statement denies the request.
    ExplicitDeny,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(rename = "Sid")]
    _sid: Option<IgnoredAny>,
    effect: Effect,
    action: Texts,
    resource: Texts,
    #[serde(default, rename = "Condition")]
    conditions: Conditions,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

impl IamPolicy {
    pub fn allow_all() -> Self {
        Self::from_statements(&[json!({ "Effect": "Allow", "Action": "*", "Resource": "*" })])
    }

    /// Parses the statements of policy documents. An unsupported `Allow` statement is ignored; any other
    /// unsupported statement denies everything.
    pub fn from_statements(statements: &[Value]) -> Self {
        let parse = |statement| parse_statement(statement).ok().or_else(|| fallback_statement(statement));
        Self(statements.iter().filter_map(parse).collect())
    }

    /// Fails if the statement is not supported. The error says why.
    pub fn validate_statement(statement: &Value) -> Result<(), String> {
        parse_statement(statement).map(drop).map_err(|error| error.to_string())
    }

    pub fn allows(&self, action: &str, resource: &str) -> bool {
        self.evaluate(&AccessRequest { action, resource, leading_keys: &[] }) == PolicyDecision::Allow
    }

    pub fn evaluate(&self, request: &AccessRequest<'_>) -> PolicyDecision {
        let action = request.action.to_ascii_lowercase();
        let mut decision = PolicyDecision::ImplicitDeny;
        for statement in self.0.iter().filter(|statement| statement.applies_to(&action, request)) {
            match statement.effect {
                Effect::Deny => return PolicyDecision::ExplicitDeny,
                Effect::Allow => decision = PolicyDecision::Allow,
            }
        }
        decision
    }
}

impl Statement {
    /// `action` is in lower case, as the patterns of the statement are.
    fn applies_to(&self, action: &str, request: &AccessRequest<'_>) -> bool {
        self.action.iter().any(|pattern| matches_pattern(pattern, action))
            && self.resource.iter().any(|pattern| matches_pattern(pattern, request.resource))
            && self.conditions.hold(request.leading_keys)
    }
}

fn parse_statement(statement: &Value) -> Result<Statement, serde_json::Error> {
    if statement.to_string().contains("${") {
        return Err(serde_json::Error::custom("policy variables are not supported"));
    }
    let mut statement = Statement::deserialize(statement)?;
    statement.action.iter_mut().for_each(|action| action.make_ascii_lowercase());
    Ok(statement)
}

/// Replaces an unsupported statement: `None` for `Allow`, else a statement that denies everything.
fn fallback_statement(statement: &Value) -> Option<Statement> {
    let any = || Texts(vec!["*".into()]);
    (statement["Effect"] != "Allow").then(|| Statement {
        _sid: None,
        effect: Effect::Deny,
        action: any(),
        resource: any(),
        conditions: Conditions::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: &str = "arn:aws:appsync:eu-west-1:123456789012:apis/abc/types/Mutation/fields/publish";

    fn allows(statements: Value) -> bool {
        IamPolicy::from_statements(statements.as_array().unwrap()).allows("appsync:GraphQL", FIELD)
    }

    fn allow(resource: &str) -> Value {
        json!({ "Effect": "Allow", "Action": "appsync:GraphQL", "Resource": resource })
    }

    #[test]
    fn resource_patterns_have_wildcards() {
        let cases = [
            (FIELD, true),
            ("arn:aws:appsync:eu-west-1:123456789012:apis/abc/*", true),
            ("arn:aws:appsync:*:*:apis/abc/types/Mutation/fields/pub*", true),
            ("arn:aws:appsync:*:*:apis/a?c/types/*/fields/publish", true),
            ("*", true),
            ("arn:aws:appsync:*:*:apis/abd/*", false),
            ("arn:aws:appsync:*:*:apis/abc/types/Mutation/fields/publis", false),
            ("arn:aws:appsync:*:*:apis/abc/types/Query/*", false),
        ];
        for (resource, expected) in cases {
            assert_eq!(allows(json!([allow(resource)])), expected, "{resource}");
        }
    }

    #[test]
    fn request_without_matching_statement_is_denied() {
        assert!(!allows(json!([])));
        assert!(!allows(json!([{ "Effect": "Allow", "Action": "dynamodb:*", "Resource": "*" }])));
        assert!(allows(
            json!([{ "Effect": "Allow", "Action": ["dynamodb:*", "APPSYNC:graphql"], "Resource": [FIELD] }])
        ));
    }

    #[test]
    fn deny_overrides_allow() {
        let deny = json!({ "Effect": "Deny", "Action": "appsync:*", "Resource": "*/fields/publish" });
        assert!(!allows(json!([allow("*"), deny])));
    }

    #[test]
    fn unsupported_statement_never_adds_permissions() {
        let unsupported = [
            ("Condition", json!({ "Bool": { "aws:SecureTransport": "true" } })),
            ("Condition", json!({ "StringLikeIfExists": { "dynamodb:LeadingKeys": "a" } })),
            ("Condition", json!({ "StringLike": { "aws:PrincipalTag/team": "a" } })),
            ("NotAction", json!("dynamodb:*")),
            ("NotResource", json!("*")),
            ("Resource", json!(["*", "arn:${aws:username}"])),
            ("Condition", json!({ "StringLike": { "dynamodb:LeadingKeys": "USER#${aws:userid}" } })),
        ];
        for (member, value) in unsupported {
            let mut allow_statement = allow("*");
            allow_statement[member] = value.clone();
            let mut deny_statement = json!({ "Effect": "Deny", "Action": "sns:*", "Resource": "*" });
            deny_statement[member] = value;
            assert!(IamPolicy::validate_statement(&allow_statement).is_err(), "{allow_statement}");
            assert!(IamPolicy::validate_statement(&deny_statement).is_err(), "{deny_statement}");
            assert!(!allows(json!([allow_statement])), "{allow_statement}");
            assert!(!allows(json!([allow("*"), deny_statement])), "{deny_statement}");
        }
        assert!(allows(json!([allow("*"), { "Effect": "Deny", "Action": "sns:*", "Resource": "*" }])));
    }
}
