//! Signs requests with Signature Version 4.
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use serde_json::{Map, Value};

#[derive(Clone, Copy)]
pub struct Signer {
    pub access_key: &'static str,
    pub secret: &'static str,
    pub token: Option<&'static str>,
    pub region: &'static str,
}

impl Signer {
    /// The headers of a signed request with `body` to `path` of a service.
    pub fn headers(self, service: &str, method: &str, host: &str, path: &str, body: &[u8]) -> Map<String, Value> {
        let token = self.token.map(str::to_owned);
        let identity = Credentials::new(self.access_key, self.secret, token, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap();
        let headers = [("host", host), ("content-type", "application/json")];
        let body = SignableBody::Bytes(body);
        let request = SignableRequest::new(method, path, headers.into_iter(), body).unwrap();
        let (instructions, _) = sign(request, &params.into()).unwrap().into_parts();
        let signed = instructions.headers().map(|(name, value)| (name.to_owned(), value.into()));
        signed.chain(headers.map(|(name, value)| (name.to_owned(), value.into()))).collect()
    }
}
