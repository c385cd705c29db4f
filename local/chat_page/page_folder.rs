//! The folders of the page: its sources, its packages and its build.
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::build_error::BuildError;

/// Folders whose files are sources, below `web/`.
const SOURCE_FOLDERS: [&str; 3] = ["chat/src", "chat/public", "client/src"];
/// Folders whose own files are sources if they have one of these extensions, below `web/`.
const CONFIGURED_FOLDERS: [&str; 3] = [".", "chat", "client"];
const CONFIGURATION_EXTENSIONS: [&str; 6] = ["html", "js", "json", "mjs", "mts", "ts"];
/// Folders of this name are written by a build.
const GENERATED: &str = "generated";
/// How many files and folders are compared with a build. Changes of others do not matter.
const MAX_SOURCES: usize = 10_000;

/// The folder that has `web/` and `schema.graphql`.
#[derive(Clone, Debug)]
pub struct PageFolder {
    root: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageState {
    /// There is no build.
    Missing,
    /// A source is newer than the build.
    Outdated,
    Current,
}

impl PageFolder {
    pub fn new(root: &Path) -> Self {
        // Commands run in other folders than the server.
        Self { root: std::path::absolute(root).unwrap_or_else(|_| root.to_owned()) }
    }

    /// Where npm runs.
    pub fn web(&self) -> PathBuf {
        self.root.join("web")
    }

    /// The build that is served.
    pub fn dist(&self) -> PathBuf {
        self.root.join("web/chat/dist")
    }

    /// The build while it is being made.
    pub fn new_dist(&self) -> PathBuf {
        self.work().join("dist")
    }

    fn work(&self) -> PathBuf {
        self.root.join("web/chat/.build")
    }

    pub fn has_sources(&self) -> bool {
        self.web().join("package.json").is_file() && self.root.join("web/chat").is_dir()
    }

    pub fn state(&self) -> PageState {
        match modified(&self.dist().join("index.html")) {
            None => PageState::Missing,
            Some(built) if self.has_source_since(built) => PageState::Outdated,
            Some(_) => PageState::Current,
        }
    }

    /// Whether there are no packages, or another list of them than when they were installed.
    pub fn needs_packages(&self) -> bool {
        let installed = modified(&self.installed_packages());
        installed.is_none_or(|installed| is_newer(&self.web().join("package-lock.json"), installed))
    }

    /// Whether the tools of developers were installed, too.
    pub fn has_development_packages(&self) -> bool {
        fs::read_to_string(self.installed_packages()).is_ok_and(|list| list.contains("\"dev\": true"))
    }

    /// npm's list of the packages that it has installed, which it writes last.
    fn installed_packages(&self) -> PathBuf {
        self.web().join("node_modules/.package-lock.json")
    }

    /// The file whose lock a build holds.
    pub fn open_lock(&self) -> Result<File, BuildError> {
        let path = self.work().join("lock");
        let created = fs::create_dir_all(self.work());
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(&path);
        created.and_then(|()| open()).map_err(BuildError::file(path))
    }

    /// Removes what an earlier build has left.
    pub fn remove_unfinished(&self) -> Result<(), BuildError> {
        [self.new_dist(), self.previous_dist()]
            .into_iter()
            .try_for_each(|path| remove_folder(&path).map_err(BuildError::file(path)))
    }

    /// Serves the new build from now on. It counts as made at its start, so that a source that has changed
    /// since is newer.
    pub fn adopt_build(&self, started: SystemTime) -> Result<(), BuildError> {
        let index = self.new_dist().join("index.html");
        if !index.is_file() {
            return Err(BuildError::NoPage);
        }
        let file = File::options().write(true).open(&index);
        file.and_then(|file| file.set_modified(started)).map_err(BuildError::file(index))?;
        self.replace_dist().map_err(BuildError::file(self.dist()))
    }

    fn replace_dist(&self) -> io::Result<()> {
        match fs::rename(self.dist(), self.previous_dist()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::rename(self.new_dist(), self.dist())?;
        remove_folder(&self.previous_dist())
    }

    fn previous_dist(&self) -> PathBuf {
        self.work().join("previous")
    }

    /// Whether a source is newer than this time. Stops at the first that is.
    fn has_source_since(&self, time: SystemTime) -> bool {
        let web = self.web();
        let is_configuration = |path: &PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            extension.is_some_and(|extension| CONFIGURATION_EXTENSIONS.contains(&extension))
        };
        let configuration = CONFIGURED_FOLDERS.iter().flat_map(|folder| entries(&web.join(folder)));
        is_newer(&self.root.join("schema.graphql"), time)
            || configuration.filter(is_configuration).any(|path| path.is_file() && is_newer(&path, time))
            || has_newer_file(SOURCE_FOLDERS.map(|folder| web.join(folder)).into(), time)
    }
}

/// Whether one of the folders, or a folder in them, has a newer file. Links are not followed.
fn has_newer_file(mut folders: Vec<PathBuf>, time: SystemTime) -> bool {
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            count += 1;
            if count > MAX_SOURCES {
                return false;
            }
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() && !path.ends_with(GENERATED) => folders.push(path),
                Ok(metadata) if metadata.is_file() && metadata.modified().is_ok_and(|modified| modified > time) => {
                    return true;
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
    false
}

/// What is in a folder; nothing if it does not exist.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn is_newer(path: &Path, time: SystemTime) -> bool {
    modified(path).is_some_and(|modified| modified > time)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BUILT: SystemTime = SystemTime::UNIX_EPOCH;
    const HOUR: Duration = Duration::from_secs(60 * 60);

    /// Writes a file that was changed so long after the build.
    fn write(root: &Path, path: &str, age: Duration) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        File::options().write(true).open(path).unwrap().set_modified(BUILT + HOUR + age).unwrap();
    }

    fn built() -> (tempfile::TempDir, PageFolder) {
        let root = tempfile::tempdir().unwrap();
        for path in ["schema.graphql", "web/package.json", "web/chat/src/a/b.tsx", "web/client/src/index.ts"] {
            write(root.path(), path, Duration::ZERO);
        }
        write(root.path(), "web/chat/dist/index.html", HOUR);
        let folder = PageFolder::new(root.path());
        (root, folder)
    }

    #[test]
    fn build_is_outdated_when_a_source_is_newer() {
        let (root, folder) = built();
        assert_eq!(folder.state(), PageState::Current);
        for path in [
            "web/node_modules/vite/index.js",
            "web/client/src/generated/schema.ts",
            "web/client/test/a.ts",
            "web/chat/tsconfig.tsbuildinfo",
            "web/e2e/a.test.ts",
        ] {
            write(root.path(), path, 2 * HOUR);
            assert_eq!(folder.state(), PageState::Current, "{path}");
        }
        for path in ["schema.graphql", "web/package-lock.json", "web/chat/vite.config.ts", "web/chat/src/a/b.tsx"] {
            write(root.path(), path, 2 * HOUR);
            assert_eq!(folder.state(), PageState::Outdated, "{path}");
            write(root.path(), path, Duration::ZERO);
        }
        fs::remove_dir_all(folder.dist()).unwrap();
        assert_eq!(folder.state(), PageState::Missing);
    }

    #[test]
    fn packages_are_needed_when_their_list_is_newer() {
        let (root, folder) = built();
        write(root.path(), "web/package-lock.json", HOUR);
        write(root.path(), "web/node_modules/vite/index.js", 2 * HOUR);
        assert!(folder.needs_packages(), "an installation that was interrupted");
        write(root.path(), "web/node_modules/.package-lock.json", HOUR);
        assert!(!folder.needs_packages());
        write(root.path(), "web/package-lock.json", 2 * HOUR);
        assert!(folder.needs_packages());
    }

    #[test]
    fn new_build_replaces_the_earlier_one() {
        let (root, folder) = built();
        write(root.path(), "web/chat/dist/assets/old.js", HOUR);
        write(root.path(), "web/chat/.build/dist/assets/new.js", HOUR);
        assert!(matches!(folder.adopt_build(BUILT), Err(BuildError::NoPage)));
        write(root.path(), "web/chat/.build/dist/index.html", 3 * HOUR);
        folder.adopt_build(BUILT + 2 * HOUR).unwrap();
        let names = |path: &str| {
            Vec::from_iter(entries(&folder.dist().join(path)).map(|path| path.file_name().unwrap().to_owned()))
        };
        assert_eq!(names("assets"), ["new.js"]);
        assert_eq!(entries(&folder.work()).count(), 0);
        assert_eq!(folder.state(), PageState::Current);
        write(root.path(), "web/chat/src/a/b.tsx", HOUR + Duration::from_secs(1));
        assert_eq!(folder.state(), PageState::Outdated, "a source that was changed during the build");
    }

    #[test]
    fn unfinished_build_is_removed() {
        let (root, folder) = built();
        write(root.path(), "web/chat/.build/dist/half.js", HOUR);
        write(root.path(), "web/chat/.build/previous/old.js", HOUR);
        folder.remove_unfinished().unwrap();
        folder.remove_unfinished().unwrap();
        assert_eq!((entries(&folder.work()).count(), folder.state()), (0, PageState::Current));
    }
}
