//! Roles, of which the laptop edition takes the policies written in the template.
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::WithoutEffect;
use crate::template::Fault;

/// The statements of all policies, as IAM writes them, by their role's ARN.
#[derive(Default)]
pub struct Roles(BTreeMap<String, Vec<Value>>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RoleProperties {
    #[serde(rename = "AssumeRolePolicyDocument")]
    _assume_role_policy_document: WithoutEffect,
    #[serde(default)]
    policies: Vec<Policy>,
}

/// A policy that stands beside its role.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RolePolicyProperties {
    role_name: String,
    #[serde(rename = "PolicyName")]
    _policy_name: WithoutEffect,
    policy_document: Document,
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

impl Roles {
    pub fn add(&mut self, arn: String, role: RoleProperties) {
        let statements = role.policies.into_iter().flat_map(|policy| policy.policy_document.statement);
        self.0.insert(arn, statements.collect());
    }

    pub fn attach(&mut self, policy: RolePolicyProperties) -> Result<(), Fault> {
        let RolePolicyProperties { role_name, policy_document, .. } = policy;
        let role = self.0.iter_mut().find(|(arn, _)| arn.rsplit('/').next() == Some(&role_name));
        let (_, statements) = role.ok_or_else(|| Fault::new(format!("{role_name} is no role of this stack")))?;
        statements.extend(policy_document.statement);
        Ok(())
    }

    pub fn statements(&self, arn: &str) -> Result<Vec<Value>, Fault> {
        let statements = self.0.get(arn);
        statements.cloned().ok_or_else(|| Fault::new(format!("{arn} is no role of this stack")))
    }
}
