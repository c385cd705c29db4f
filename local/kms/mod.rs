//! AWS Key Management Service: Encrypt and Decrypt with the symmetric keys of the template.
mod encryption_key;
mod kms_error;
mod operations;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use serde::de::DeserializeOwned;

pub use encryption_key::KeyFileError;

use encryption_key::EncryptionKey;
use kms_error::KmsError;

use crate::{
    identity::AssumedRole,
    json_service::{JsonResponse, JsonService, parse_request},
};

/// The keys of a stack. Clones share them.
#[derive(Clone, Default)]
pub struct Kms(Arc<BTreeMap<String, EncryptionKey>>);

impl Kms {
    /// The keys with these ARNs. Their material is in files of the folder, which are created if there are
    /// none; without a folder it is new and is not kept.
    pub fn open(arns: &[String], folder: Option<&Path>) -> Result<Self, KeyFileError> {
        let open = |arn: &String| EncryptionKey::open(arn, folder).map(|key| (arn.clone(), key));
        arns.iter().map(open).collect::<Result<_, _>>().map(|keys| Self(Arc::new(keys)))
    }
}

impl JsonService for Kms {
    fn handle_call(&self, role: &AssumedRole, target: &str, body: &[u8]) -> JsonResponse {
        let result = match target {
            "TrentService.Encrypt" => parse(body).and_then(|request| self.encrypt(role, request)),
            "TrentService.Decrypt" => parse(body).and_then(|request| self.decrypt(role, request)),
            _ => Err(KmsError::unknown_operation(target)),
        };
        JsonResponse::new(result.map_err(|error| error.to_json()))
    }
}

fn parse<R: DeserializeOwned>(body: &[u8]) -> Result<R, KmsError> {
    parse_request(body).map_err(KmsError::serialization)
}
