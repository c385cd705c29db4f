//! The signers of requests.
pub use crate::signer::Signer;

const REGION: &str = "eu-west-1";
pub const ADMINISTRATOR: Signer = Signer { access_key: "AKIAROOT", secret: "root-secret", token: None, region: REGION };
pub const PUBLISHER: Signer =
    Signer { access_key: "ASIAPUBLISHER", secret: "publisher-secret", token: Some("publisher-token"), region: REGION };
