//! The client for signed requests, as the handler's configuration makes it.
use aws_config::SdkConfig;

use super::ConnectError;

pub use api::signed_http::{SendError, SignedHttp, default_endpoint};

pub fn from_config(http: reqwest::Client, config: &SdkConfig) -> Result<SignedHttp, ConnectError> {
    let region = config.region().ok_or(ConnectError::NoRegion)?;
    let credentials = config.credentials_provider().ok_or(ConnectError::NoCredentials)?;
    Ok(SignedHttp::new(http, region.as_ref(), credentials))
}
