//! IAM roles with the policies that are written in the template.
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Ignored;
use crate::{identity::IamPolicy, stack::Role, template::TemplateError};

/// The roles by name.
#[derive(Default)]
pub struct Roles(BTreeMap<String, Role>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RoleProperties {
    #[serde(rename = "AssumeRolePolicyDocument")]
    _assume_role_policy_document: Ignored,
    #[serde(default)]
    policies: Vec<Policy>,
}

/// A policy that is a resource of its own.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RolePolicyProperties {
    role_name: String,
    #[serde(rename = "PolicyName")]
    _policy_name: Ignored,
    policy_document: PolicyDocument,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Policy {
    #[serde(rename = "PolicyName")]
    _policy_name: Ignored,
    policy_document: PolicyDocument,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PolicyDocument {
    #[serde(rename = "Version")]
    _version: Ignored,
    statement: Vec<Value>,
}

impl Roles {
    pub fn add(&mut self, name: String, arn: String, properties: RoleProperties) -> Result<(), TemplateError> {
        let role = self.0.entry(name).or_insert(Role { arn, statements: Vec::new() });
        properties.policies.into_iter().try_for_each(|policy| policy.policy_document.add_to(role))
    }

    pub fn attach(&mut self, policy: RolePolicyProperties) -> Result<(), TemplateError> {
        let RolePolicyProperties { role_name, policy_document, .. } = policy;
        let role = self.0.get_mut(&role_name).ok_or_else(|| unknown_role(&role_name))?;
        policy_document.add_to(role)
    }

    pub fn get(&self, arn: &str) -> Result<Role, TemplateError> {
        self.0.values().find(|role| role.arn == arn).cloned().ok_or_else(|| unknown_role(arn))
    }

    pub fn into_map(self) -> BTreeMap<String, Role> {
        self.0
    }
}

impl PolicyDocument {
    fn add_to(self, role: &mut Role) -> Result<(), TemplateError> {
        let unsupported =
            |error| TemplateError::new(format!("the local server cannot evaluate a policy statement: {error}"));
        self.statement.iter().try_for_each(IamPolicy::validate_statement).map_err(unsupported)?;
        role.statements.extend(self.statement);
        Ok(())
    }
}

fn unknown_role(role: &str) -> TemplateError {
    TemplateError::new(format!("{role} is no role of this stack"))
}
