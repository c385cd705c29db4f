//! CloudFormation's requests to a custom resource, and the answers to them.
use serde::Deserialize;
use serde_json::{Value, json};

/// CloudFormation's limit on an answer.
pub const MAX_ANSWER_BYTES: usize = 4_096;
/// The table of `database.sql`, and the id of the resource. CloudFormation replaces a resource whose id
/// changes, so it never does.
const TABLE_NAME: &str = "bedrock_integration.bedrock_kb";

/// A request. It has no Debug, because who knows the URL can answer in the function's name.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    pub request_type: RequestType,
    #[serde(rename = "ResponseURL")]
    pub response_url: String,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
    physical_resource_id: Option<String>,
    #[serde(default)]
    resource_properties: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum RequestType {
    Create,
    Update,
    Delete,
}

/// The resource's properties in the template.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Properties {
    pub cluster_arn: String,
    pub database: String,
    /// The secret of the cluster's administrator.
    pub admin_secret_arn: String,
    /// The secret of `bedrock_user`.
    pub user_secret_arn: String,
}

/// What CloudFormation is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// Why the resource is not as requested: a sentence.
    Failure(String),
}

impl Request {
    pub fn properties(&self) -> Result<Properties, serde_json::Error> {
        Properties::deserialize(&self.resource_properties)
    }

    /// The answer's body. A reason that is too long is cut.
    pub fn answer(&self, outcome: &Outcome) -> Vec<u8> {
        let (status, mut reason) = match outcome {
            Outcome::Success => ("SUCCESS", ""),
            Outcome::Failure(reason) => ("FAILED", reason.as_str()),
        };
        loop {
            let body = self.answer_with(status, reason);
            if body.len() <= MAX_ANSWER_BYTES || reason.is_empty() {
                return body;
            }
            reason = first_half(reason);
        }
    }

    fn answer_with(&self, status: &str, reason: &str) -> Vec<u8> {
        let answer = json!({
            "Status": status,
            "Reason": reason,
            "PhysicalResourceId": self.physical_resource_id.as_deref().unwrap_or(TABLE_NAME),
            "StackId": self.stack_id,
            "RequestId": self.request_id,
            "LogicalResourceId": self.logical_resource_id,
            // The attributes of the resource.
            "Data": { "TableName": TABLE_NAME },
        });
        answer.to_string().into_bytes()
    }
}

fn first_half(text: &str) -> &str {
    &text[..text.floor_char_boundary(text.len() / 2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(physical_id: Option<&str>) -> Request {
        serde_json::from_value(json!({
            "RequestType": "Create",
            "ServiceToken": "arn:aws:lambda:us-east-1:000000000000:function:init",
            "ResponseURL": "https://cloudformation.example/answer",
            "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/a/b",
            "RequestId": "r1",
            "ResourceType": "Custom::Database",
            "LogicalResourceId": "Database",
            "PhysicalResourceId": physical_id,
            "ResourceProperties": { "ServiceToken": "arn", "ServiceTimeout": "900", "ClusterArn": "arn:cluster",
                "Database": "knowledge", "AdminSecretArn": "arn:admin", "UserSecretArn": "arn:user" },
        }))
        .unwrap()
    }

    fn answer(request: &Request, outcome: &Outcome) -> Value {
        serde_json::from_slice(&request.answer(outcome)).unwrap()
    }

    #[test]
    fn answers_repeat_the_ids_of_the_request() {
        let expected = json!({
            "Status": "SUCCESS",
            "Reason": "",
            "PhysicalResourceId": "bedrock_integration.bedrock_kb",
            "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/a/b",
            "RequestId": "r1",
            "LogicalResourceId": "Database",
            "Data": { "TableName": "bedrock_integration.bedrock_kb" },
        });
        assert_eq!(answer(&request(None), &Outcome::Success), expected);
        assert_eq!(answer(&request(Some("old")), &Outcome::Success)["PhysicalResourceId"], "old");
        assert_eq!(request(None).properties().unwrap().database, "knowledge");
    }

    #[test]
    fn longest_reason_fits_into_an_answer() {
        for character in ["a", "\u{1}", "é", "\u{1F600}"] {
            let body = request(None).answer(&Outcome::Failure(character.repeat(20_000)));
            assert!(body.len() <= MAX_ANSWER_BYTES, "{} bytes", body.len());
            let answer: Value = serde_json::from_slice(&body).unwrap();
            assert!(answer["Reason"].as_str().is_some_and(|reason| reason.starts_with(character)));
        }
    }
}
