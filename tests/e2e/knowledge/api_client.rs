//! Requests to bedrock-agent-runtime and bedrock-agent, as an SDK sends them.
use local::identity::Principal;
use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::Fixture;
use crate::backend::new_id;

pub const RETRIEVE: &str = "/knowledgebases/LOCALKB001/retrieve";
pub const JOBS: &str = "/knowledgebases/LOCALKB001/datasources/LOCALDS001/ingestionjobs/";
pub const DOCUMENTS: &str = "/knowledgebases/LOCALKB001/datasources/LOCALDS001/documents";
pub const KNOWLEDGE_BASE: &str = "arn:aws:bedrock:us-east-1:000000000000:knowledge-base/LOCALKB001";

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// The header x-amzn-errortype.
    pub error_type: Option<String>,
    pub body: Value,
}

impl Response {
    /// The status, type and message of an error.
    pub fn error(&self) -> (u16, &str, &str) {
        (self.status, self.error_type.as_deref().unwrap_or_default(), self.body["message"].as_str().unwrap_or_default())
    }
}

impl Fixture {
    /// Sends a request of the administrator.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Response {
        self.call_as(&self.backend.server.endpoint.administrator.access_key_id, method, path, body).await
    }

    /// Sends a request of a role that may do this with the knowledge base, and nothing else.
    pub async fn call_with_permission(&self, action: &str, method: Method, path: &str, body: Value) -> Response {
        let access_key = self.add_role(&[(action, KNOWLEDGE_BASE)]);
        self.call_as(&access_key, method, path, body).await
    }

    /// Adds a role that may do these actions with these resources. Returns the access key of a session of it.
    pub fn add_role(&self, permissions: &[(&str, &str)]) -> String {
        let statement =
            |(action, resource): &(&str, &str)| json!({ "Effect": "Allow", "Action": action, "Resource": resource });
        let statements: Vec<Value> = permissions.iter().map(statement).collect();
        let keys = [new_id(), "secret".to_owned(), "token".to_owned()];
        let role = "arn:aws:iam::000000000000:role/Searcher";
        let principal = Principal::role_session(role, "test", keys.clone(), &statements);
        self.backend.server.authenticator.add_principal(principal);
        let [access_key, ..] = keys;
        access_key
    }

    pub async fn call_as(&self, access_key: &str, method: Method, path: &str, body: Value) -> Response {
        let response = self.send_as(access_key, method, path, body).await;
        let status = response.status().as_u16();
        let error_type = response.headers().get("x-amzn-errortype").map(|value| value.to_str().unwrap().to_owned());
        Response { status, error_type, body: response.json().await.unwrap() }
    }

    pub async fn send_as(&self, access_key: &str, method: Method, path: &str, body: Value) -> reqwest::Response {
        let url = self.backend.server.endpoint.url.replace("/graphql", path);
        let authorization = format!("AWS4-HMAC-SHA256 Credential={access_key}/20261126/us-east-1/bedrock/aws4_request");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = reqwest::Client::new().request(method, url).header("authorization", authorization).body(body);
        let response = request.send().await.unwrap();
        assert!(response.headers().contains_key("x-amzn-requestid"));
        response
    }
}
