//! What services with AWS's JSON protocol have in common.
use serde::Deserialize;

#[derive(Deserialize)]
struct ErrorResponse {
    #[serde(rename = "__type")]
    error_type: String,
}

/// The URL of a service in a region, such as `https://kms.eu-west-1.amazonaws.com`.
pub fn default_endpoint(service: &str, region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{domain}")
}

/// The name of an error, which may have a namespace before it.
pub fn error_type(body: &[u8]) -> String {
    let response = serde_json::from_slice::<ErrorResponse>(body);
    let error_type = response.map(|response| response.error_type).unwrap_or_default();
    error_type.rsplit('#').next().unwrap_or_default().to_owned()
}
