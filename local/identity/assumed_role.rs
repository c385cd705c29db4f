//! A session of a role: who calls other services on behalf of a part of the stack.
use super::{
    Grants,
    iam_policy::{Access, Verdict},
};
use crate::stack::Role;

/// Clones are the same session.
#[derive(Clone, Debug)]
pub struct Session {
    arn: String,
    grants: Grants,
}

/// In the words of AWS, which services wrap in exceptions of their own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("User: {user} is not authorized to perform: {action} on resource: {resource} {reason}")]
pub struct AccessDenied {
    user: String,
    action: String,
    resource: String,
    reason: String,
}

impl Session {
    pub fn of(role: &Role, name: &str) -> Self {
        Self::with(RoleArn::of(&role.arn).session(name), Grants::of_statements(&role.statements))
    }

    pub(super) fn with(arn: String, grants: Grants) -> Self {
        Self { arn, grants }
    }

    pub fn request(&self, access: &Access<'_>) -> Result<(), AccessDenied> {
        let reason = match self.grants.judge(access) {
            Verdict::Allowed => return Ok(()),
            Verdict::NotAllowed => {
                format!("because no identity-based policy allows the {} action", access.action)
            }
            Verdict::Denied => "with an explicit deny in an identity-based policy".to_owned(),
        };
        let (action, resource) = (access.action.to_owned(), access.resource.to_owned());
        Err(AccessDenied { user: self.arn.clone(), action, resource, reason })
    }
}

/// What the ARN of a role tells.
pub(super) struct RoleArn<'a> {
    pub account: &'a str,
    pub name: &'a str,
}

impl<'a> RoleArn<'a> {
    pub fn of(arn: &'a str) -> Self {
        let account = arn.split(':').nth(4).unwrap_or_default();
        Self { account, name: arn.rsplit('/').next().unwrap_or_default() }
    }

    /// The ARN of a session of the role.
    pub fn session(&self, session: &str) -> String {
        format!("arn:aws:sts::{}:assumed-role/{}/{session}", self.account, self.name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refusal(statements: Value) -> Option<String> {
        let role = Role {
            arn: "arn:aws:iam::123456789012:role/Handler".into(),
            statements: statements.as_array().cloned().unwrap_or_default(),
        };
        let access = Access { action: "dynamodb:GetItem", resource: "arn:table", leading_keys: &["TURN#1"] };
        Session::of(&role, "run").request(&access).err().map(|denied| denied.to_string())
    }

    #[test]
    fn who_may_not_is_told_who_he_is_and_what_he_lacks() {
        let asked = "User: arn:aws:sts::123456789012:assumed-role/Handler/run is not authorized to perform: \
                     dynamodb:GetItem on resource: arn:table";
        let lacking = format!("{asked} because no identity-based policy allows the dynamodb:GetItem action");
        let forbidden = format!("{asked} with an explicit deny in an identity-based policy");
        let statement = |effect: &str| json!({ "Effect": effect, "Action": "dynamodb:GetItem", "Resource": "*" });
        assert_eq!(refusal(json!([])), Some(lacking));
        assert_eq!(refusal(json!([statement("Allow")])), None);
        assert_eq!(refusal(json!([statement("Allow"), statement("Deny")])), Some(forbidden));
    }
}
