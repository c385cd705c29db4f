//! Roles, of which the laptop edition takes the policies written in the template.
use serde::Deserialize;
use serde_json::Value;

use super::WithoutEffect;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RoleProperties {
    #[serde(rename = "AssumeRolePolicyDocument")]
    _assume_role_policy_document: WithoutEffect,
    #[serde(default)]
    policies: Vec<Policy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Policy {
    #[serde(rename = "PolicyName")]
    _policy_name: WithoutEffect,
    policy_document: Document,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    #[serde(rename = "Version")]
    _version: WithoutEffect,
    statement: Vec<Value>,
}

impl RoleProperties {
    /// As IAM writes them.
    pub fn statements(self) -> Vec<Value> {
        self.policies.into_iter().flat_map(|policy| policy.policy_document.statement).collect()
    }
}
