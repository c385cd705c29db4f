//! AWS Key Management Service: Encrypt and Decrypt with the symmetric keys of the template.
mod encryption_key;
mod endpoint;
mod kms_error;
mod operations;

use std::{collections::BTreeMap, path::Path, sync::Arc};

pub use encryption_key::KeyFileError;
pub use endpoint::KmsResponse;

use encryption_key::EncryptionKey;

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
