//! Files that only their owner may read, replaced atomically.
use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use uuid::Uuid;

#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used: {error}", path.display())]
pub struct FileError {
    pub path: PathBuf,
    pub error: io::Error,
}

/// Creates or replaces a file (mode 0600), and its directory (mode 0700) if there is none. A reader sees the
/// old content or the new content, never a part of it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let created = create_parent(path);
    created.and_then(|()| replace(path, bytes)).map_err(|error| FileError { path: path.to_owned(), error })
}

/// Opens a file and leaves its content. The file (mode 0600) and its directory (mode 0700) are created if
/// there is none.
pub fn open_or_create(path: &Path) -> Result<File, FileError> {
    let created = create_parent(path);
    let open = || File::options().write(true).create(true).truncate(false).mode(0o600).open(path);
    created.and_then(|()| open()).map_err(|error| FileError { path: path.to_owned(), error })
}

/// Creates a directory (mode 0700) and those that it is in, where they do not exist.
pub fn create_directory(path: &Path) -> Result<(), FileError> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|error| FileError { path: path.to_owned(), error })
}

fn create_parent(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Writes a temporary file in the same directory and renames it.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", Uuid::new_v4().simple()));
    let file = File::options().write(true).create_new(true).mode(0o600).open(&temporary);
    let renamed = file.and_then(|mut file| file.write_all(bytes)).and_then(|()| fs::rename(&temporary, path));
    renamed.inspect_err(|_| drop(fs::remove_file(&temporary)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn file_and_directory_are_created_for_the_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("not-there-yet").join("key");
        write(&path, b"secret").unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn replaced_file_loses_the_permissions_of_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("endpoint.json");
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, b"after").unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"after".to_vec(), 0o600));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file remains");
    }
}
