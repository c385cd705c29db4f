//! What an identity's IAM policies let it do.
mod conditions;

use std::{str::Chars, sync::Arc};

use serde::{
    Deserialize,
    de::{Error as _, IgnoredAny},
};
use serde_json::{Value, json};

use conditions::{Conditions, Texts};

/// The statements of an identity's policies. Nothing is allowed unless one allows it; one that denies wins. Clones
/// share them.
#[derive(Clone, Debug, Default)]
pub struct Grants(Arc<[Statement]>);

/// What somebody is about to do, as far as statements can tell it from something else.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    pub action: &'a str,
    pub resource: &'a str,
    /// The partition keys that a call of DynamoDB names: `dynamodb:LeadingKeys`. Without any the key is absent.
    pub leading_keys: &'a [&'a str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// No statement says anything of it.
    NotAllowed,
    /// A statement forbids it.
    Denied,
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

impl Grants {
    pub fn everything() -> Self {
        Self::of_statements(&[json!({ "Effect": "Allow", "Action": "*", "Resource": "*" })])
    }

    /// Statements as IAM writes them. One that is not understood widens nothing: it allows nothing, or denies everything.
    pub fn of_statements(statements: &[Value]) -> Self {
        Self(statements.iter().filter_map(|statement| read(statement).ok().or_else(|| instead_of(statement))).collect())
    }

    /// Err says what in a statement is not understood.
    pub fn check(statement: &Value) -> Result<(), String> {
        read(statement).map(drop).map_err(|fault| fault.to_string())
    }

    pub fn allow(&self, action: &str, resource: &str) -> bool {
        self.judge(&Access { action, resource, leading_keys: &[] }) == Verdict::Allowed
    }

    pub fn judge(&self, access: &Access<'_>) -> Verdict {
        let action = access.action.to_ascii_lowercase();
        let mut verdict = Verdict::NotAllowed;
        for statement in self.0.iter().filter(|statement| statement.covers(&action, access)) {
            match statement.effect {
                Effect::Deny => return Verdict::Denied,
                Effect::Allow => verdict = Verdict::Allowed,
            }
        }
        verdict
    }
}

impl Statement {
    fn covers(&self, action: &str, access: &Access<'_>) -> bool {
        self.action.iter().any(|pattern| matches(pattern, action))
            && self.resource.iter().any(|pattern| matches(pattern, access.resource))
            && self.conditions.hold(access.leading_keys)
    }
}

fn read(statement: &Value) -> Result<Statement, serde_json::Error> {
    if statement.to_string().contains("${") {
        return Err(serde_json::Error::custom("a policy variable is not understood"));
    }
    let mut statement = Statement::deserialize(statement)?;
    statement.action.iter_mut().for_each(|action| action.make_ascii_lowercase());
    Ok(statement)
}

fn instead_of(statement: &Value) -> Option<Statement> {
    let all = || Texts(vec!["*".into()]);
    (statement["Effect"] != "Allow").then(|| Statement {
        _sid: None,
        effect: Effect::Deny,
        action: all(),
        resource: all(),
        conditions: Conditions::default(),
    })
}

/// IAM's patterns: `*` is any run of characters, `?` any one.
fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut retry: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let (mut rest, mut unread) = (pattern.clone(), text.clone());
        match (rest.next(), unread.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                retry = Some((rest.clone(), text.clone()));
                pattern = rest;
            }
            (Some(expected), Some(read)) if expected == '?' || expected == read => (pattern, text) = (rest, unread),
            _ => {
                let Some((after, taken)) = retry.as_mut() else { return false };
                if taken.next().is_none() {
                    return false;
                }
                (pattern, text) = (after.clone(), taken.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: &str = "arn:aws:appsync:eu-west-1:123456789012:apis/abc/types/Mutation/fields/publish";

    fn allows(statements: Value) -> bool {
        Grants::of_statements(statements.as_array().unwrap()).allow("appsync:GraphQL", FIELD)
    }

    fn allow(resource: &str) -> Value {
        json!({ "Effect": "Allow", "Action": "appsync:GraphQL", "Resource": resource })
    }

    #[test]
    fn a_resource_is_matched_with_wildcards() {
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
    fn nothing_is_allowed_unless_a_statement_allows_it() {
        assert!(!allows(json!([])));
        assert!(!allows(json!([{ "Effect": "Allow", "Action": "dynamodb:*", "Resource": "*" }])));
        assert!(allows(
            json!([{ "Effect": "Allow", "Action": ["dynamodb:*", "APPSYNC:graphql"], "Resource": [FIELD] }])
        ));
    }

    #[test]
    fn a_denial_wins_over_every_grant() {
        let denial = json!({ "Effect": "Deny", "Action": "appsync:*", "Resource": "*/fields/publish" });
        assert!(!allows(json!([allow("*"), denial])));
    }

    #[test]
    fn what_is_not_understood_never_widens_a_grant() {
        let odd = [
            ("Condition", json!({ "Bool": { "aws:SecureTransport": "true" } })),
            ("Condition", json!({ "StringLikeIfExists": { "dynamodb:LeadingKeys": "a" } })),
            ("Condition", json!({ "StringLike": { "aws:PrincipalTag/team": "a" } })),
            ("NotAction", json!("dynamodb:*")),
            ("NotResource", json!("*")),
            ("Resource", json!(["*", "arn:${aws:username}"])),
            ("Condition", json!({ "StringLike": { "dynamodb:LeadingKeys": "USER#${aws:userid}" } })),
        ];
        for (member, value) in odd {
            let mut granted = allow("*");
            granted[member] = value.clone();
            let mut denial = json!({ "Effect": "Deny", "Action": "sns:*", "Resource": "*" });
            denial[member] = value;
            assert!(Grants::check(&granted).is_err() && Grants::check(&denial).is_err(), "{granted}");
            assert!(!allows(json!([granted])), "{granted}");
            assert!(!allows(json!([allow("*"), denial])), "{denial}");
        }
        assert!(allows(json!([allow("*"), { "Effect": "Deny", "Action": "sns:*", "Resource": "*" }])));
    }
}
