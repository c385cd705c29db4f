//! What one start keeps for the next, and for nobody else to read.
use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::identity::{KeyFault, SigningKey};

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("{place} cannot be used: {error}", place = place.display())]
    File { place: PathBuf, error: io::Error },
    #[error("{place} cannot be used: {fault}", place = place.display())]
    Key { place: PathBuf, fault: KeyFault },
    #[error("{place} cannot be used: it is empty", place = place.display())]
    Empty { place: PathBuf },
    #[error("{0}")]
    Undrawn(KeyFault),
}

/// The text kept in a file; the first time it is this one.
pub fn text(place: &Path, first: &str) -> Result<String, Fault> {
    match fs::read_to_string(place) {
        Ok(kept) if kept.trim().is_empty() => Err(Fault::Empty { place: place.to_owned() }),
        Ok(kept) => Ok(kept),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write(place, first.as_bytes()).map(|()| first.to_owned())
        }
        Err(error) => Err(of_file(place, error)),
    }
}

/// The key kept in a file; the first time, and without a file, a new one.
pub fn key(place: Option<&Path>) -> Result<SigningKey, Fault> {
    let Some(place) = place else { return SigningKey::draw().map_err(Fault::Undrawn) };
    let of_key = |fault| Fault::Key { place: place.to_owned(), fault };
    match fs::read(place) {
        Ok(kept) => SigningKey::read(&kept).map_err(of_key),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let drawn = SigningKey::draw().map_err(of_key)?;
            write(place, &drawn.to_pkcs8().map_err(of_key)?).map(|()| drawn)
        }
        Err(error) => Err(of_file(place, error)),
    }
}

/// All of it or nothing, whatever was there before.
pub fn write(place: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let folder = place.parent().unwrap_or(Path::new("."));
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.and_then(|()| put(place, bytes)).map_err(|error| of_file(place, error))
}

/// Written beside its place, then moved there.
fn put(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = place.as_os_str().to_owned();
    draft.push(format!(".{}", Uuid::new_v4().simple()));
    let file = File::options().write(true).create_new(true).mode(0o600).open(&draft);
    let moved = file.and_then(|mut file| file.write_all(bytes)).and_then(|()| fs::rename(&draft, place));
    moved.inspect_err(|_| drop(fs::remove_file(&draft)))
}

fn of_file(place: &Path, error: io::Error) -> Fault {
    Fault::File { place: place.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(place: &Path) -> u32 {
        fs::metadata(place).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_key_is_drawn_once_and_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("not-there-yet").join("key");
        let first = key(Some(&place)).unwrap();
        assert_eq!(key(Some(&place)).unwrap().id(), first.id());
        assert_eq!((mode(&place), mode(place.parent().unwrap())), (0o600, 0o700));
        assert_ne!(key(None).unwrap().id(), first.id());
    }

    #[test]
    fn a_file_that_holds_no_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("key");
        fs::write(&place, "key").unwrap();
        let sentence = format!("{} cannot be used: it holds no RSA key in the form PKCS #8", place.display());
        assert_eq!(key(Some(&place)).err().unwrap().to_string(), sentence);
    }

    #[test]
    fn a_text_is_the_first_one_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("api-key");
        assert_eq!(text(&place, "first").unwrap(), "first");
        assert_eq!(text(&place, "second").unwrap(), "first");
        assert_eq!(mode(&place), 0o600);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("api-key");
        for (kept, sentence) in [(&b" \n"[..], "it is empty"), (b"\xff", "stream did not contain valid UTF-8")] {
            fs::write(&place, kept).unwrap();
            let refused = text(&place, "another").unwrap_err().to_string();
            assert_eq!(refused, format!("{} cannot be used: {sentence}", place.display()));
            assert_eq!(fs::read(&place).unwrap(), kept);
        }
    }

    #[test]
    fn what_everybody_could_read_nobody_else_can_once_it_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("endpoint.json");
        fs::write(&place, "before").unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).unwrap();
        write(&place, b"after").unwrap();
        assert_eq!((fs::read(&place).unwrap(), mode(&place)), (b"after".to_vec(), 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");
    }
}
