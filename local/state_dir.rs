//! The state folder: its lock, and the values that the server keeps from one start to the next, which are the
//! API key and the issuers' signing keys.
use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::sleep;

use crate::{
    identity::{SigningKey, SigningKeyError},
    private_file::{self, FileError},
};

const LOCK_TRIES: u32 = 25;
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    #[error("{0}")]
    File(#[from] FileError),
    #[error("{} cannot be used: {error}", path.display())]
    Key { path: PathBuf, error: SigningKeyError },
    #[error("{} cannot be used: it is empty", path.display())]
    Empty { path: PathBuf },
    #[error("{0}")]
    KeyGeneration(SigningKeyError),
    #[error("another server runs with the folder {}: end it, or choose another folder with --state", path.display())]
    InUse { path: PathBuf },
}

/// Locks a state folder, which is created if there is none. The lock ends with the returned file, or with the
/// process. A process that is being started has the files of its parent until it runs its own program, so a
/// lock that has just ended may last some milliseconds longer.
pub async fn lock(directory: &Path) -> Result<File, StateDirError> {
    let path = directory.join("lock");
    let file = private_file::open_or_create(&path)?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => sleep(LOCK_RETRY_INTERVAL).await,
            Err(TryLockError::Error(error)) => return Err(file_error(&path, error)),
        }
    }
    Err(StateDirError::InUse { path: directory.to_owned() })
}

/// The content of a text file. A file that does not exist is created with the initial text.
pub fn load_or_create_text(path: &Path, initial: &str) -> Result<String, StateDirError> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Err(StateDirError::Empty { path: path.to_owned() }),
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            private_file::write(path, initial.as_bytes())?;
            Ok(initial.to_owned())
        }
        Err(error) => Err(file_error(path, error)),
    }
}

/// The signing key in a file. A file that does not exist is created with a new key; without a path, the key
/// is new and is not kept.
pub fn load_or_create_key(path: Option<&Path>) -> Result<SigningKey, StateDirError> {
    let Some(path) = path else { return SigningKey::generate().map_err(StateDirError::KeyGeneration) };
    let key_error = |error| StateDirError::Key { path: path.to_owned(), error };
    match fs::read(path) {
        Ok(bytes) => SigningKey::from_pkcs8(&bytes).map_err(key_error),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = SigningKey::generate().map_err(key_error)?;
            private_file::write(path, &key.to_pkcs8().map_err(key_error)?)?;
            Ok(key)
        }
        Err(error) => Err(file_error(path, error)),
    }
}

fn file_error(path: &Path, error: io::Error) -> StateDirError {
    StateDirError::File(FileError { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn folder_is_locked_until_its_lock_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let held = lock(&path).await.unwrap();
        let message = format!(
            "another server runs with the folder {}: end it, or choose another folder with --state",
            path.display()
        );
        assert_eq!(lock(&path).await.unwrap_err().to_string(), message);
        drop(held);
        lock(&path).await.unwrap();
    }

    #[test]
    fn key_is_generated_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let first = load_or_create_key(Some(&path)).unwrap();
        assert_eq!(load_or_create_key(Some(&path)).unwrap().key_id(), first.key_id());
        assert_ne!(load_or_create_key(None).unwrap().key_id(), first.key_id());
    }

    #[test]
    fn file_without_a_key_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::write(&path, "key").unwrap();
        let message = format!("{} cannot be used: it holds no RSA key in the form PKCS #8", path.display());
        assert_eq!(load_or_create_key(Some(&path)).err().unwrap().to_string(), message);
    }

    #[test]
    fn initial_text_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api-key");
        assert_eq!(load_or_create_text(&path, "first").unwrap(), "first");
        assert_eq!(load_or_create_text(&path, "second").unwrap(), "first");
    }

    #[test]
    fn unreadable_text_is_an_error_and_stays_unchanged() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api-key");
        for (content, reason) in [(&b" \n"[..], "it is empty"), (b"\xff", "stream did not contain valid UTF-8")] {
            fs::write(&path, content).unwrap();
            let message = load_or_create_text(&path, "another").unwrap_err().to_string();
            assert_eq!(message, format!("{} cannot be used: {reason}", path.display()));
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }
}
