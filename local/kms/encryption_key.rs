//! A symmetric key: its material, and how it seals and opens data.
use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
    rand,
};

use crate::private_file::{self, FileError};

const KEY_BYTES: usize = 32;
/// The first byte of a ciphertext, in case its form changes.
const VERSION: u8 = 1;

pub struct EncryptionKey(RandomizedNonceKey);

#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("{0}")]
    File(#[from] FileError),
    #[error("{} cannot be used: it does not hold the {KEY_BYTES} bytes of an encryption key", .0.display())]
    Size(PathBuf),
    #[error("an encryption key cannot be generated")]
    Generation,
}

impl From<Unspecified> for KeyFileError {
    fn from(Unspecified: Unspecified) -> Self {
        Self::Generation
    }
}

impl EncryptionKey {
    /// The key whose material is in the folder's file `kms-<key id>`.
    pub fn open(arn: &str, folder: Option<&Path>) -> Result<Self, KeyFileError> {
        let Some(folder) = folder else { return Self::new(&generate()?) };
        let path = folder.join(format!("kms-{}", key_id(arn)));
        match fs::read(&path) {
            Ok(material) if material.len() == KEY_BYTES => Self::new(&material),
            Ok(_) => Err(KeyFileError::Size(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let material = generate()?;
                private_file::write(&path, &material)?;
                Self::new(&material)
            }
            Err(error) => Err(FileError { path, error }.into()),
        }
    }

    fn new(material: &[u8]) -> Result<Self, KeyFileError> {
        Ok(Self(RandomizedNonceKey::new(&AES_256_GCM, material)?))
    }

    /// The ciphertext: a version, the length of the key's ARN, the ARN, a nonce, and the sealed data.
    pub fn seal(&self, arn: &str, context: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = plaintext.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(context), &mut sealed).ok()?;
        let length = u8::try_from(arn.len()).ok()?;
        Some([&[VERSION, length], arn.as_bytes(), nonce.as_ref().as_slice(), &sealed].concat())
    }

    pub fn open_sealed(&self, context: &[u8], Ciphertext { nonce, sealed, .. }: &Ciphertext<'_>) -> Option<Vec<u8>> {
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut data = sealed.to_vec();
        let plaintext = self.0.open_in_place(nonce, Aad::from(context), &mut data).ok()?;
        Some(plaintext.to_vec())
    }
}

/// The parts of a ciphertext.
pub struct Ciphertext<'a> {
    /// The ARN of the key.
    pub arn: &'a str,
    nonce: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> Ciphertext<'a> {
    pub fn parse(blob: &'a [u8]) -> Option<Self> {
        let (&[VERSION, length], rest) = blob.split_first_chunk()? else { return None };
        let (arn, rest) = rest.split_at_checked(length.into())?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        Some(Self { arn: std::str::from_utf8(arn).ok()?, nonce, sealed })
    }
}

/// The last part of a key's ARN.
pub fn key_id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

fn generate() -> Result<[u8; KEY_BYTES], KeyFileError> {
    let mut material = [0; KEY_BYTES];
    rand::fill(&mut material)?;
    Ok(material)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ARN: &str = "arn:aws:kms:us-east-1:000000000000:key/one";

    #[test]
    fn key_is_kept_in_a_file_of_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let open = || EncryptionKey::open(ARN, Some(folder.path())).unwrap();
        let blob = open().seal(ARN, b"context", b"secret").unwrap();
        let ciphertext = Ciphertext::parse(&blob).unwrap();
        assert_eq!(open().open_sealed(b"context", &ciphertext).unwrap(), b"secret");
        let mode = fs::metadata(folder.path().join("kms-one")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn key_without_a_folder_is_new() {
        let blob = EncryptionKey::open(ARN, None).unwrap().seal(ARN, b"", b"secret").unwrap();
        let other = EncryptionKey::open(ARN, None).unwrap();
        assert_eq!(other.open_sealed(b"", &Ciphertext::parse(&blob).unwrap()), None);
    }

    #[test]
    fn file_without_a_key_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kms-one");
        for content in [&b""[..], b"key"] {
            fs::write(&path, content).unwrap();
            let message = EncryptionKey::open(ARN, Some(folder.path())).err().unwrap().to_string();
            let expected = "cannot be used: it does not hold the 32 bytes of an encryption key";
            assert_eq!(message, format!("{} {expected}", path.display()));
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }
}
