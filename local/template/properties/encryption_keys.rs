//! KMS keys: `AWS::KMS::Key`.
use serde::Deserialize;
use serde_json::{Value, json};

use super::Ignored;
use crate::template::{ACCOUNT, TemplateError};

#[derive(Deserialize)]
#[serde(try_from = "UncheckedKey")]
pub struct EncryptionKeyProperties;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UncheckedKey {
    #[serde(rename = "Description")]
    _description: Option<Ignored>,
    #[serde(rename = "EnableKeyRotation")]
    _enable_key_rotation: Option<bool>,
    #[serde(rename = "PendingWindowInDays")]
    _pending_window_in_days: Option<Ignored>,
    key_policy: KeyPolicy,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeyPolicy {
    #[serde(rename = "Version")]
    _version: Ignored,
    statement: Vec<Value>,
}

impl TryFrom<UncheckedKey> for EncryptionKeyProperties {
    type Error = TemplateError;

    /// The local server evaluates policies of roles alone, so the key's own policy must leave it to them.
    fn try_from(key: UncheckedKey) -> Result<Self, TemplateError> {
        let root = format!("arn:aws:iam::{ACCOUNT}:root");
        let expected = json!({ "Effect": "Allow", "Principal": { "AWS": root }, "Action": "kms:*", "Resource": "*" });
        if key.key_policy.statement == [expected] {
            return Ok(Self);
        }
        let message = "the KeyPolicy must allow the account everything and nobody else anything, so that the policies \
                       of roles decide";
        Err(TemplateError::new(message.into()))
    }
}
