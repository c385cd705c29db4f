//! A folder as data source: its documents in a fixed order, within bounds.
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{
    attributes::{Attributes, MAX_SIDECAR_BYTES, parse_sidecar},
    document::{Document, Format, MAX_DOCUMENT_BYTES},
};

/// A folder with more files is refused as a whole: nobody meant it.
pub const MAX_FILES: usize = 10_000;
/// Folders below this depth are refused.
pub const MAX_DEPTH: usize = 32;
/// S3's limit for a key, and room for `s3://` and the bucket.
pub const MAX_URI_BYTES: usize = 1_024 + 80;

const SIDECAR_SUFFIX: &str = ".metadata.json";

/// A data source on disk.
///
/// Names that begin with a dot are no part of it. A symbolic link to a file counts when the file is below the
/// folder; links to folders are not followed, so that no file is found twice and no walk is endless.
#[derive(Clone, Debug)]
pub struct Folder {
    pub path: PathBuf,
    /// What a document's relative path is appended to, for example `s3://local-knowledge/`.
    pub uri_prefix: String,
}

#[derive(Debug, Error)]
pub enum FolderError {
    #[error("The folder {} cannot be read: {source}.", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("The folder {} has more than {MAX_FILES} files.", .0.display())]
    TooManyFiles(PathBuf),
    #[error("The folder {} has folders more than {MAX_DEPTH} levels deep.", .0.display())]
    TooDeep(PathBuf),
}

/// Why one file is no document, in one sentence.
#[derive(Debug, Error)]
pub enum FileError {
    #[error("The file cannot be read: {0}.")]
    Unreadable(#[from] io::Error),
    #[error("The file has more than {} MB.", MAX_DOCUMENT_BYTES / 1024 / 1024)]
    TooLong,
    #[error("The file's name is not UTF-8.")]
    Name,
    #[error("The file's path is too long for an S3 key.")]
    PathTooLong,
    #[error(transparent)]
    Attributes(#[from] crate::attributes::AttributesError),
}

/// The documents of a folder, ordered by URI, not yet read.
#[derive(Debug, Default)]
pub struct Listing {
    pub files: Vec<ListedFile>,
    /// URIs of files whose format is not supported.
    pub unsupported: Vec<String>,
    /// Files that cannot have a URI, by their lossy path.
    pub failures: Vec<(String, FileError)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ListedFile {
    pub uri: String,
    pub format: Format,
    path: PathBuf,
    sidecar: Option<PathBuf>,
}

impl Folder {
    /// Lists the documents. The files themselves are not opened.
    pub fn list(&self) -> Result<Listing, FolderError> {
        let paths = self.file_paths()?;
        let mut listing = Listing::default();
        for path in &paths {
            match self.uri(path) {
                Err(error) => listing.failures.push((path.to_string_lossy().into_owned(), error)),
                Ok(uri) if uri.ends_with(SIDECAR_SUFFIX) => {}
                Ok(uri) => match Format::from_name(&uri) {
                    Some(format) => listing.files.push(self.listed_file(path, uri, format, &paths)),
                    None => listing.unsupported.push(uri),
                },
            }
        }
        listing.files.sort_by(|left, right| left.uri.cmp(&right.uri));
        Ok(listing)
    }

    /// Opens the file at a path relative to the folder, with `/` between its parts. `None` if the data source
    /// has no such file.
    pub fn open(&self, relative: &str) -> io::Result<Option<File>> {
        let parts: Vec<&str> = relative.split('/').collect();
        let is_name = |part: &&str| !part.is_empty() && !part.starts_with('.') && !part.contains('\0');
        let Some((name, folders)) =
            parts.split_last().filter(|_| parts.len() <= MAX_DEPTH && parts.iter().all(is_name))
        else {
            return Ok(None);
        };
        let root = self.path.canonicalize()?;
        let mut path = root.clone();
        for folder in folders {
            path.push(folder);
            if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
                return Ok(None);
            }
        }
        path.push(name);
        if is_file_below(&root, &path) { File::open(path).map(Some) } else { Ok(None) }
    }

    fn listed_file(&self, path: &Path, uri: String, format: Format, paths: &[PathBuf]) -> ListedFile {
        let mut sidecar = path.as_os_str().to_owned();
        sidecar.push(SIDECAR_SUFFIX);
        let sidecar = PathBuf::from(sidecar);
        let has_sidecar = paths.binary_search(&sidecar).is_ok();
        ListedFile { uri, format, path: self.path.join(path), sidecar: has_sidecar.then(|| self.path.join(sidecar)) }
    }

    fn uri(&self, relative: &Path) -> Result<String, FileError> {
        let components: Option<Vec<&str>> = relative.iter().map(|component| component.to_str()).collect();
        let uri = format!("{}{}", self.uri_prefix, components.ok_or(FileError::Name)?.join("/"));
        if uri.len() > MAX_URI_BYTES { Err(FileError::PathTooLong) } else { Ok(uri) }
    }

    /// The sorted paths of all files below the folder, relative to it.
    fn file_paths(&self) -> Result<Vec<PathBuf>, FolderError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| FolderError::Unreadable { path, source }
        };
        let root = self.path.canonicalize().map_err(unreadable(&self.path))?;
        let mut files = Vec::new();
        let mut folders = vec![(PathBuf::new(), 1)];
        while let Some((folder, depth)) = folders.pop() {
            if depth > MAX_DEPTH {
                return Err(FolderError::TooDeep(self.path.clone()));
            }
            let absolute = root.join(&folder);
            for entry in fs::read_dir(&absolute).map_err(unreadable(&absolute))? {
                let entry = entry.map_err(unreadable(&absolute))?;
                if entry.file_name().as_encoded_bytes().starts_with(b".") {
                    continue;
                }
                let file_type = entry.file_type().map_err(unreadable(&absolute))?;
                let path = folder.join(entry.file_name());
                if file_type.is_dir() {
                    folders.push((path, depth + 1));
                } else if file_type.is_file() || is_file_below(&root, &entry.path()) {
                    files.push(path);
                }
                if files.len() + folders.len() > MAX_FILES {
                    return Err(FolderError::TooManyFiles(self.path.clone()));
                }
            }
        }
        files.sort();
        Ok(files)
    }
}

/// Whether the path, or the link there, leads to a file below the root.
fn is_file_below(root: &Path, path: &Path) -> bool {
    path.canonicalize().is_ok_and(|target| target.starts_with(root) && target.is_file())
}

impl ListedFile {
    pub fn has_sidecar(&self) -> bool {
        self.sidecar.is_some()
    }

    /// Reads the file and its metadata.
    ///
    /// A broken sidecar fails the document: without its attributes a filter could show it to anyone.
    pub fn read(&self) -> Result<Document, FileError> {
        let content = read_at_most(&self.path, MAX_DOCUMENT_BYTES)?;
        if content.len() > MAX_DOCUMENT_BYTES {
            return Err(FileError::TooLong);
        }
        let attributes = match &self.sidecar {
            Some(sidecar) => parse_sidecar(&read_at_most(sidecar, MAX_SIDECAR_BYTES)?)?,
            None => Attributes::new(),
        };
        Ok(Document { uri: self.uri.clone(), format: self.format, content, attributes })
    }
}

/// Reads up to one byte more than allowed, so that the caller sees a file that is too long.
fn read_at_most(path: &Path, bytes: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(bytes as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        directory: tempfile::TempDir,
        folder: Folder,
    }

    fn fixture(files: &[(&str, &str)]) -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("documents");
        fs::create_dir(&path).unwrap();
        for (name, content) in files {
            fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
            fs::write(path.join(name), content).unwrap();
        }
        Fixture { directory, folder: Folder { path, uri_prefix: "s3://bucket/".into() } }
    }

    fn uris(listing: &Listing) -> Vec<&str> {
        listing.files.iter().map(|file| file.uri.as_str()).collect()
    }

    #[test]
    fn documents_are_listed_in_order_of_their_uris() {
        let fixture = fixture(&[("b.md", ""), ("a/z.txt", ""), ("a.csv", ""), ("c.png", ""), (".git/x.md", "")]);
        let listing = fixture.folder.list().unwrap();
        assert_eq!(uris(&listing), ["s3://bucket/a.csv", "s3://bucket/a/z.txt", "s3://bucket/b.md"]);
        assert_eq!(listing.unsupported, ["s3://bucket/c.png"]);
    }

    #[test]
    fn sidecar_gives_the_attributes_of_its_document() {
        let fixture = fixture(&[("a.md", "x"), ("a.md.metadata.json", r#"{"metadataAttributes":{"year":2025}}"#)]);
        let listing = fixture.folder.list().unwrap();
        assert_eq!(uris(&listing), ["s3://bucket/a.md"]);
        assert!(listing.files[0].has_sidecar());
        let attributes = listing.files[0].read().unwrap().attributes;
        assert_eq!(serde_json::to_string(&attributes).unwrap(), r#"{"year":2025}"#);
    }

    #[test]
    fn document_with_a_broken_sidecar_fails() {
        let fixture = fixture(&[("a.md", "x"), ("a.md.metadata.json", "{")]);
        let error = fixture.folder.list().unwrap().files[0].read().unwrap_err();
        assert_eq!(error.to_string(), "The metadata file is not JSON with an object metadataAttributes.");
    }

    #[test]
    fn longest_file_is_50_megabytes() {
        let fixture = fixture(&[("a.txt", ""), ("b.txt", "")]);
        let set_length = |name, length| {
            File::options().write(true).open(fixture.folder.path.join(name)).unwrap().set_len(length).unwrap();
        };
        set_length("a.txt", MAX_DOCUMENT_BYTES as u64);
        set_length("b.txt", MAX_DOCUMENT_BYTES as u64 + 1);
        let listing = fixture.folder.list().unwrap();
        assert_eq!(listing.files[0].read().unwrap().content.len(), MAX_DOCUMENT_BYTES);
        assert_eq!(listing.files[1].read().unwrap_err().to_string(), "The file has more than 50 MB.");
    }

    #[test]
    fn missing_folder_is_named() {
        let folder = Folder { path: "/no/such/folder".into(), uri_prefix: String::new() };
        assert!(folder.list().unwrap_err().to_string().starts_with("The folder /no/such/folder cannot be read: "));
    }

    #[test]
    fn folder_with_too_many_files_or_levels_is_refused() {
        let fixture = fixture(&[]);
        let deep = (0..MAX_DEPTH).fold(fixture.folder.path.clone(), |path, _| path.join("d"));
        fs::create_dir_all(deep).unwrap();
        assert!(matches!(fixture.folder.list(), Err(FolderError::TooDeep(_))));
        fs::remove_dir_all(fixture.folder.path.join("d")).unwrap();
        for number in 0..=MAX_FILES {
            File::create(fixture.folder.path.join(format!("{number}.md"))).unwrap();
        }
        assert!(matches!(fixture.folder.list(), Err(FolderError::TooManyFiles(_))));
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_to_files_of_the_folder_alone() {
        use std::os::unix::fs::symlink;
        let fixture = fixture(&[("a/inside.md", "x")]);
        fs::write(fixture.directory.path().join("outside.md"), "secret").unwrap();
        let link = |target: &Path, name: &str| symlink(target, fixture.folder.path.join(name)).unwrap();
        link(&fixture.directory.path().join("outside.md"), "outside.md");
        link(&fixture.folder.path.join("a/inside.md"), "inside.md");
        link(&fixture.folder.path, "itself");
        link(Path::new("missing"), "broken.md");
        assert_eq!(uris(&fixture.folder.list().unwrap()), ["s3://bucket/a/inside.md", "s3://bucket/inside.md"]);
    }

    #[test]
    fn file_is_opened_by_its_relative_path() {
        let fixture = fixture(&[("a.md", "A"), ("b/c d.txt", "CD"), ("b/c.md.metadata.json", "{}"), (".git/x.md", "")]);
        let open = |path: &str| fixture.folder.open(path).unwrap().map(|file| io::read_to_string(file).unwrap());
        assert_eq!(open("a.md").as_deref(), Some("A"));
        assert_eq!(open("b/c d.txt").as_deref(), Some("CD"));
        assert_eq!(open("b/c.md.metadata.json").as_deref(), Some("{}"));
        for path in
            ["", "/a.md", "b", "b/", "b//c d.txt", "a.md/", "a.md/a.md", "c.md", ".git/x.md", "b/./c d.txt", "a\0"]
        {
            assert_eq!(open(path), None, "{path:?}");
        }
        let deep = vec!["d"; MAX_DEPTH].join("/");
        fs::create_dir_all(fixture.folder.path.join(&deep)).unwrap();
        fs::write(fixture.folder.path.join(&deep).join("e.md"), "").unwrap();
        assert_eq!(open(&format!("{deep}/e.md")), None);
    }

    #[cfg(unix)]
    #[test]
    fn no_path_opens_a_file_outside_of_the_folder() {
        use std::os::unix::fs::symlink;
        let fixture = fixture(&[("a/inside.md", "inside")]);
        fs::write(fixture.directory.path().join("outside.md"), "secret").unwrap();
        let link = |target: &Path, name: &str| symlink(target, fixture.folder.path.join(name)).unwrap();
        link(&fixture.directory.path().join("outside.md"), "outside.md");
        link(fixture.directory.path(), "up");
        link(&fixture.folder.path.join("a/inside.md"), "inside.md");
        link(&fixture.folder.path.join("a"), "b");
        let is_opened = |path: &str| fixture.folder.open(path).unwrap().is_some();
        assert!(is_opened("inside.md") && is_opened("a/inside.md"));
        for path in ["outside.md", "../outside.md", "a/../../outside.md", "up/outside.md", "b/inside.md", "/etc/passwd"]
        {
            assert!(!is_opened(path), "{path}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn file_whose_name_is_not_utf8_fails_alone() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let fixture = fixture(&[("a.md", "")]);
        fs::write(fixture.folder.path.join(OsStr::from_bytes(b"\xff.md")), "x").unwrap();
        let listing = fixture.folder.list().unwrap();
        assert_eq!(uris(&listing), ["s3://bucket/a.md"]);
        assert_eq!(listing.failures[0].1.to_string(), "The file's name is not UTF-8.");
    }
}
