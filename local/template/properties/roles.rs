//! Roles, of which the laptop edition takes the policies written in the template.
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::WithoutEffect;
use crate::{identity::Grants, stack::Role, template::Fault};

/// By name.
#[derive(Default)]
pub struct Roles(BTreeMap<String, Role>);

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
    pub fn add(&mut self, name: String, arn: String, properties: RoleProperties) -> Result<(), Fault> {
        let role = self.0.entry(name).or_insert(Role { arn, statements: Vec::new() });
        properties.policies.into_iter().try_for_each(|policy| policy.policy_document.extend(role))
    }

    pub fn attach(&mut self, policy: RolePolicyProperties) -> Result<(), Fault> {
        let RolePolicyProperties { role_name, policy_document, .. } = policy;
        let role = self.0.get_mut(&role_name).ok_or_else(|| unknown(&role_name))?;
        policy_document.extend(role)
    }

    pub fn at(&self, arn: &str) -> Result<Role, Fault> {
        self.0.values().find(|role| role.arn == arn).cloned().ok_or_else(|| unknown(arn))
    }

    pub fn by_name(self) -> BTreeMap<String, Role> {
        self.0
    }
}

impl Document {
    fn extend(self, role: &mut Role) -> Result<(), Fault> {
        let refused = |fault| Fault::new(format!("a statement cannot be judged on a laptop: {fault}"));
        self.statement.iter().try_for_each(Grants::check).map_err(refused)?;
        role.statements.extend(self.statement);
        Ok(())
    }
}

fn unknown(role: &str) -> Fault {
    Fault::new(format!("{role} is no role of this stack"))
}
