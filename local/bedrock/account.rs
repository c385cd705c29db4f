//! Whose AWS account answers: the region, the credentials and the account of the user of `--bedrock`.
use std::{env, time::Duration};

use aws_config::{
    BehaviorVersion, SdkConfig, default_provider::credentials::DefaultCredentialsChain, timeout::TimeoutConfig,
};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sts::error::ProvideErrorMetadata;

use super::{
    advice::refuses_credentials,
    forward::{Upstream, UpstreamError},
};

/// The server starts without knowing the account rather than wait longer.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(10);

/// Region and credentials from the environment or a profile, as the AWS command line finds them.
pub struct AwsAccount {
    config: SdkConfig,
    region: String,
    credentials: SharedCredentialsProvider,
}

impl AwsAccount {
    /// Fails without a region or credentials.
    pub async fn load() -> Result<Self, UpstreamError> {
        let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
        let region = config.region().ok_or(UpstreamError::NoRegion)?.to_string();
        let chain = DefaultCredentialsChain::builder().build().await;
        let credentials = config.credentials_provider().unwrap_or_else(|| SharedCredentialsProvider::new(chain));
        if let Err(error) = credentials.provide_credentials().await {
            tracing::debug!(%error, "no AWS credentials");
            return Err(UpstreamError::NoCredentials);
        }
        Ok(Self { config, region, credentials })
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    /// A service such as `bedrock-runtime`: in the region, or where a variable such as
    /// `AWS_ENDPOINT_URL_BEDROCK_RUNTIME` says.
    pub fn upstream(&self, service: &str) -> Upstream {
        let variable = format!("AWS_ENDPOINT_URL_{}", service.replace('-', "_").to_ascii_uppercase());
        let given = env::var(variable).ok().filter(|url| !url.is_empty());
        let url = given.unwrap_or_else(|| format!("https://{service}.{}.amazonaws.com", self.region));
        let (region, credentials) = (self.region.clone(), self.credentials.clone());
        Upstream { url: url.trim_end_matches('/').to_owned(), region, credentials }
    }

    /// The account's number, or `None` if AWS cannot be asked. Fails if AWS refuses the credentials.
    pub async fn number(&self) -> Result<Option<String>, UpstreamError> {
        let timeouts = TimeoutConfig::builder().operation_timeout(IDENTITY_TIMEOUT).build();
        let config = aws_sdk_sts::config::Builder::from(&self.config)
            .credentials_provider(self.credentials.clone())
            .timeout_config(timeouts)
            .build();
        match aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await {
            Ok(identity) => Ok(identity.account),
            Err(error) => match error.code() {
                Some(code) if refuses_credentials(code) => Err(UpstreamError::CredentialsRefused { code: code.into() }),
                code => {
                    tracing::warn!(?code, "AWS does not say which account the credentials are of");
                    Ok(None)
                }
            },
        }
    }
}
