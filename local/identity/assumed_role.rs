//! A role session: a part of the stack that calls other services with the permissions of its role.
use super::{
    iam_policy::{AccessRequest, IamPolicy, PolicyDecision},
    principal::Principal,
};
use crate::stack::Role;

/// Clones are the same session.
#[derive(Clone, Debug)]
pub struct AssumedRole {
    session_arn: String,
    policy: IamPolicy,
}

/// IAM's message about a denied request. Services wrap it in exceptions of their own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("User: {user} is not authorized to perform: {action} on resource: {resource} {reason}")]
pub struct AccessDenied {
    user: String,
    action: String,
    resource: String,
    reason: String,
}

impl AssumedRole {
    pub fn new(role: &Role, session_name: &str) -> Self {
        let session_arn = RoleArn::parse(&role.arn).session_arn(session_name);
        Self { session_arn, policy: IamPolicy::from_statements(&role.statements) }
    }

    pub(super) fn from_principal(principal: &Principal) -> Self {
        Self { session_arn: principal.arn.clone(), policy: principal.policy.clone() }
    }

    /// Fails unless the role's policies allow the request.
    pub fn authorize(&self, request: &AccessRequest<'_>) -> Result<(), AccessDenied> {
        let reason = match self.policy.evaluate(request) {
            PolicyDecision::Allow => return Ok(()),
            PolicyDecision::ImplicitDeny => {
                format!("because no identity-based policy allows the {} action", request.action)
            }
            PolicyDecision::ExplicitDeny => "with an explicit deny in an identity-based policy".to_owned(),
        };
        Err(AccessDenied {
            user: self.session_arn.clone(),
            action: request.action.to_owned(),
            resource: request.resource.to_owned(),
            reason,
        })
    }
}

/// The parts of a role's ARN.
pub(super) struct RoleArn<'a> {
    pub account: &'a str,
    pub name: &'a str,
}

impl<'a> RoleArn<'a> {
    pub fn parse(arn: &'a str) -> Self {
        let account = arn.split(':').nth(4).unwrap_or_default();
        Self { account, name: arn.rsplit('/').next().unwrap_or_default() }
    }

    pub fn session_arn(&self, session_name: &str) -> String {
        format!("arn:aws:sts::{}:assumed-role/{}/{session_name}", self.account, self.name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn denial_message(statements: Value) -> Option<String> {
        let role = Role {
            arn: "arn:aws:iam::123456789012:role/Handler".into(),
            statements: statements.as_array().cloned().unwrap_or_default(),
        };
        let request = AccessRequest { action: "dynamodb:GetItem", resource: "arn:table", leading_keys: &["TURN#1"] };
        AssumedRole::new(&role, "run").authorize(&request).err().map(|denied| denied.to_string())
    }

    #[test]
    fn access_denied_names_principal_action_and_resource() {
        let subject = "User: arn:aws:sts::123456789012:assumed-role/Handler/run is not authorized to perform: \
                       dynamodb:GetItem on resource: arn:table";
        let implicit = format!("{subject} because no identity-based policy allows the dynamodb:GetItem action");
        let explicit = format!("{subject} with an explicit deny in an identity-based policy");
        let statement = |effect: &str| json!({ "Effect": effect, "Action": "dynamodb:GetItem", "Resource": "*" });
        assert_eq!(denial_message(json!([])), Some(implicit));
        assert_eq!(denial_message(json!([statement("Allow")])), None);
        assert_eq!(denial_message(json!([statement("Allow"), statement("Deny")])), Some(explicit));
    }
}
