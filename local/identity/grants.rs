//! What an identity's IAM policies let it do.
use serde_json::{Value, json};

/// The statements of an identity's policies. Nothing is allowed unless one allows it; one that denies wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(Vec<Statement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Statement {
    allows: bool,
    actions: Vec<String>,
    resources: Vec<String>,
}

impl Grants {
    pub fn everything() -> Self {
        Self::of_statements(&[json!({ "Effect": "Allow", "Action": "*", "Resource": "*" })])
    }

    /// Statements as IAM writes them. One with a condition is taken as unmet when it allows, and as met when it denies.
    pub fn of_statements(statements: &[Value]) -> Self {
        Self(statements.iter().filter_map(read).collect())
    }

    pub fn allow(&self, action: &str, resource: &str) -> bool {
        let action = action.to_ascii_lowercase();
        let mut matching = self.0.iter().filter(|statement| statement.covers(&action, resource)).peekable();
        matching.peek().is_some() && matching.all(|statement| statement.allows)
    }
}

impl Statement {
    fn covers(&self, action: &str, resource: &str) -> bool {
        self.actions.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), action))
            && self.resources.iter().any(|pattern| matches(pattern, resource))
    }
}

fn read(statement: &Value) -> Option<Statement> {
    let allows = statement.get("Effect")?.as_str()? == "Allow";
    let conditional = statement.get("Condition").is_some();
    let statement =
        Statement { allows, actions: texts(statement.get("Action")), resources: texts(statement.get("Resource")) };
    (!(conditional && allows)).then_some(statement)
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let values = value.map_or(&[][..], |value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// IAM's patterns: `*` is any run of characters, `?` any one.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    let mut retry = None;
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at, read));
                at += 1;
            }
            Some(expected) if *expected == '?' || text.get(read) == Some(expected) => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((star, taken)) = retry else { return false };
                retry = Some((star, taken + 1));
                (at, read) = (star + 1, taken + 1);
            }
        }
    }
    pattern.iter().skip(at).all(|rest| *rest == '*')
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
    fn a_condition_never_widens_a_grant() {
        let condition = json!({ "Bool": { "aws:SecureTransport": "true" } });
        let mut granted = allow("*");
        granted["Condition"] = condition.clone();
        assert!(!allows(json!([granted])));
        assert!(!allows(
            json!([allow("*"), { "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition }])
        ));
    }
}
