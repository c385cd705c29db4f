//! What Amazon Bedrock offers to an account: foundation models and inference profiles.
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    account::AwsAccount,
    advice::{RENEW, refuses_credentials},
    forward::Upstream,
};

/// More pages are not read: an account has at most 1,000 profiles of its own in a region.
const MAX_PAGES: usize = 20;
/// The lists of AWS have less than a tenth.
const MAX_RESPONSE_BYTES: usize = 16 << 20;

/// A model that can be called by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedModel {
    pub id: String,
    /// As AWS names it.
    pub name: String,
    pub is_profile: bool,
    /// It will be removed.
    pub is_legacy: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    #[error("AWS refuses your credentials ({0}): {RENEW}")]
    Credentials(String),
    #[error("your AWS identity may not list models: let a policy of it allow {0}")]
    Denied(&'static str),
    #[error("Bedrock cannot be reached in {region}: {reason}")]
    Unreachable { region: String, reason: String },
    #[error("Bedrock does not list its models ({code}): {message}")]
    Refused { code: String, message: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct FoundationModels {
    model_summaries: Vec<FoundationModel>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FoundationModel {
    model_id: String,
    model_name: String,
    output_modalities: Vec<String>,
    inference_types_supported: Vec<String>,
    model_lifecycle: Lifecycle,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Lifecycle {
    status: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InferenceProfiles {
    inference_profile_summaries: Vec<InferenceProfile>,
    next_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InferenceProfile {
    inference_profile_id: String,
    inference_profile_arn: String,
    inference_profile_name: String,
    models: Vec<ProfileModel>,
    /// `SYSTEM_DEFINED` or `APPLICATION`.
    r#type: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ProfileModel {
    model_arn: String,
}

/// The models that write text and the profiles of such models, in the order of their ids.
pub async fn offered_models(account: &AwsAccount) -> Result<Vec<OfferedModel>, CatalogError> {
    let catalog = Catalog { upstream: account.upstream("bedrock"), client: reqwest::Client::new() };
    let models: FoundationModels = catalog.get("/foundation-models", "bedrock:ListFoundationModels").await?;
    let models: Vec<FoundationModel> =
        models.model_summaries.into_iter().filter(|model| model.output_modalities.contains(&"TEXT".into())).collect();
    let mut offered = Vec::new();
    for profile in catalog.profiles().await? {
        let model = models.iter().find(|model| profile.has_model(&model.model_id));
        offered.extend(model.map(|model| OfferedModel {
            // An application profile is called by its ARN.
            id: match profile.r#type.as_str() {
                "APPLICATION" => profile.inference_profile_arn,
                _ => profile.inference_profile_id,
            },
            name: profile.inference_profile_name,
            is_profile: true,
            is_legacy: model.is_legacy(),
        }));
    }
    let on_demand = models.into_iter().filter(|model| model.inference_types_supported.contains(&"ON_DEMAND".into()));
    offered.extend(on_demand.map(|model| OfferedModel {
        is_legacy: model.is_legacy(),
        id: model.model_id,
        name: model.model_name,
        is_profile: false,
    }));
    offered.sort_by(|left, right| left.id.cmp(&right.id));
    Ok(offered)
}

struct Catalog {
    upstream: Upstream,
    client: reqwest::Client,
}

impl Catalog {
    async fn profiles(&self) -> Result<Vec<InferenceProfile>, CatalogError> {
        let mut profiles = Vec::new();
        for kind in ["SYSTEM_DEFINED", "APPLICATION"] {
            let mut next_page = String::new();
            for _ in 0..MAX_PAGES {
                let path = format!("/inference-profiles?maxResults=1000{next_page}&type={kind}");
                let page: InferenceProfiles = self.get(&path, "bedrock:ListInferenceProfiles").await?;
                profiles.extend(page.inference_profile_summaries);
                let Some(token) = page.next_token else { break };
                next_page = format!("&nextToken={}", utf8_percent_encode(&token, NON_ALPHANUMERIC));
            }
        }
        Ok(profiles)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, action: &'static str) -> Result<T, CatalogError> {
        let region = || self.upstream.region.clone();
        let request = self.upstream.sign(Method::GET, path, Default::default()).await;
        let request = request.ok_or_else(|| CatalogError::Credentials("none can be loaded".into()))?;
        let unreachable =
            |error: reqwest::Error| CatalogError::Unreachable { region: region(), reason: error.to_string() };
        let mut response = self.client.execute(request).await.map_err(unreachable)?;
        let status = response.status();
        let error_type = response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        let code = error_type.and_then(|value| value.split(':').next()).unwrap_or(status.as_str()).to_owned();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_RESPONSE_BYTES {
                return Err(CatalogError::Refused { code, message: "the response is too long".into() });
            }
        }
        if refuses_credentials(&code) {
            return Err(CatalogError::Credentials(code));
        }
        if code == "AccessDeniedException" {
            return Err(CatalogError::Denied(action));
        }
        let document: Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = document["message"].as_str().unwrap_or("the response is none of Bedrock's").to_owned();
        match serde_json::from_value(document) {
            Ok(page) if status.is_success() => Ok(page),
            _ => Err(CatalogError::Refused { code, message }),
        }
    }
}

impl FoundationModel {
    fn is_legacy(&self) -> bool {
        self.model_lifecycle.status == "LEGACY"
    }
}

impl InferenceProfile {
    fn has_model(&self, model_id: &str) -> bool {
        self.models.iter().any(|model| model.model_arn.ends_with(&format!("/{model_id}")))
    }
}
