//! What one start keeps for the next, and for nobody else to read.
use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::identity::{KeyFault, SigningKey};

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("{place} cannot be used: {error}", place = place.display())]
    File { place: PathBuf, error: io::Error },
    #[error("{place} cannot be used: {fault}", place = place.display())]
    Key { place: PathBuf, fault: KeyFault },
    #[error("{0}")]
    Undrawn(KeyFault),
}

/// The text kept in a file; the first time it is this one.
pub fn text(place: &Path, first: &str) -> Result<String, Fault> {
    match std::fs::read_to_string(place) {
        Ok(kept) => Ok(kept),
        Err(_) => write(place, first.as_bytes()).map(|()| first.to_owned()),
    }
}

/// The key kept in a file; the first time, and without a file, a new one.
pub fn key(place: Option<&Path>) -> Result<SigningKey, Fault> {
    let Some(place) = place else { return SigningKey::draw().map_err(Fault::Undrawn) };
    let of_key = |fault| Fault::Key { place: place.to_owned(), fault };
    match std::fs::read(place) {
        Ok(kept) => SigningKey::read(&kept).map_err(of_key),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let drawn = SigningKey::draw().map_err(of_key)?;
            write(place, &drawn.to_pkcs8().map_err(of_key)?).map(|()| drawn)
        }
        Err(error) => Err(of_file(place, error)),
    }
}

pub fn write(place: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let folder = place.parent().unwrap_or(Path::new("."));
    let file = std::fs::create_dir_all(folder)
        .and_then(|()| File::options().write(true).create(true).truncate(true).mode(0o600).open(place));
    file.and_then(|mut file| file.write_all(bytes)).map_err(|error| of_file(place, error))
}

fn of_file(place: &Path, error: io::Error) -> Fault {
    Fault::File { place: place.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_drawn_once_and_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("not-there-yet").join("key");
        let first = key(Some(&place)).unwrap();
        assert_eq!(key(Some(&place)).unwrap().id(), first.id());
        assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(key(None).unwrap().id(), first.id());
    }

    #[test]
    fn a_file_that_holds_no_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("key");
        std::fs::write(&place, "key").unwrap();
        let sentence = format!("{} cannot be used: it holds no RSA key in the form PKCS #8", place.display());
        assert_eq!(key(Some(&place)).err().unwrap().to_string(), sentence);
    }
}
