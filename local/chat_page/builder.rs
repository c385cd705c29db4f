//! Builds the page with npm where it is missing or older than its sources.
use std::{
    ffi::OsString,
    fs::{File, TryLockError},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{
    build_command::BuildCommand,
    build_error::{BuildError, MIN_NODE},
    build_progress::{BuildProgress, BuildStep},
    page_folder::{PageFolder, PageState},
};

/// The variable with the folder that `npm run build` writes the page to.
const DIST_VARIABLE: &str = "PARLANCE_CHAT_DIST";
const LOCK_INTERVAL: Duration = Duration::from_millis(250);

/// Builds the page of one folder.
#[derive(Clone, Debug)]
pub struct Builder {
    pub folder: PageFolder,
    /// `PATH`, where Node and npm are looked for.
    pub search_path: OsString,
    pub limits: BuildLimits,
}

/// The longest times that are waited for each step.
#[derive(Clone, Copy, Debug)]
pub struct BuildLimits {
    pub version: Duration,
    pub install: Duration,
    pub build: Duration,
    /// For the build of another server.
    pub lock: Duration,
}

impl Default for BuildLimits {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self { version: minutes(1), install: minutes(10), build: minutes(5), lock: minutes(20) }
    }
}

impl Builder {
    /// Builds the page unless it is current. What happens is added to the progress. When the returned future
    /// is dropped, a running build is killed.
    pub async fn build(&self, progress: &watch::Sender<BuildProgress>) {
        let add = |step| progress.send_modify(|progress| progress.steps.push(step));
        let state = self.state().await;
        if state == PageState::Current {
            return;
        }
        progress.send_modify(|progress| progress.has_earlier_build = state == PageState::Outdated);
        let started = Instant::now();
        match self.try_build(add).await {
            Ok(()) => add(BuildStep::Built(started.elapsed())),
            Err(error) => add(BuildStep::Failed(error)),
        }
    }

    async fn try_build(&self, add_step: impl Fn(BuildStep)) -> Result<(), BuildError> {
        if !self.folder.has_sources() {
            return Err(BuildError::NoSources(self.folder.web()));
        }
        self.check_node().await?;
        let lock = self.lock(&add_step).await?;
        if self.state().await == PageState::Current {
            return Ok(());
        }
        self.in_background(PageFolder::remove_unfinished).await?;
        if self.folder.needs_packages() {
            add_step(BuildStep::Installing);
            // Developers keep their tools.
            let omit: &[&str] = if self.folder.has_development_packages() { &[] } else { &["--omit=dev"] };
            self.npm(&[&["npm", "ci"], omit].concat(), self.limits.install, &lock).await?;
        }
        add_step(BuildStep::Building);
        let started = SystemTime::now();
        self.npm(&["npm", "run", "build"], self.limits.build, &lock).await?;
        self.in_background(move |folder| folder.adopt_build(started)).await
    }

    async fn check_node(&self) -> Result<(), BuildError> {
        let line = ["node", "--version"];
        let printed = self.command(&line, self.limits.version, None).run().await?;
        let found = printed.last().cloned().unwrap_or_default();
        match parse_version(&found) {
            Some(version) if version >= MIN_NODE => Ok(()),
            Some(_) | None => Err(BuildError::OldNode { found }),
        }
    }

    async fn npm(&self, line: &[&str], time_limit: Duration, lock: &File) -> Result<(), BuildError> {
        self.command(line, time_limit, Some(lock)).run().await.map(|_| ())
    }

    fn command<'a>(&'a self, line: &'a [&'a str], time_limit: Duration, lock: Option<&'a File>) -> BuildCommand<'a> {
        BuildCommand {
            line,
            folder: self.folder.web(),
            search_path: &self.search_path,
            variables: vec![(DIST_VARIABLE, self.folder.new_dist().into())],
            time_limit,
            lock,
        }
    }

    /// Waits until no other server builds the page.
    async fn lock(&self, add_step: impl Fn(BuildStep)) -> Result<File, BuildError> {
        let (file, started) = (self.folder.open_lock()?, Instant::now());
        let mut is_waiting = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if started.elapsed() < self.limits.lock => {
                    if !is_waiting {
                        add_step(BuildStep::Waiting);
                    }
                    is_waiting = true;
                    sleep(LOCK_INTERVAL).await;
                }
                Err(TryLockError::WouldBlock) => return Err(BuildError::Locked(self.limits.lock)),
                Err(TryLockError::Error(error)) => return Err(BuildError::file(self.folder.web())(error)),
            }
        }
    }

    async fn state(&self) -> PageState {
        let folder = self.folder.clone();
        spawn_blocking(move || folder.state()).await.unwrap_or(PageState::Missing)
    }

    /// Runs file operations that may take some time.
    async fn in_background(
        &self,
        work: impl FnOnce(&PageFolder) -> Result<(), BuildError> + Send + 'static,
    ) -> Result<(), BuildError> {
        let folder = self.folder.clone();
        let result = spawn_blocking(move || work(&folder)).await;
        result.unwrap_or_else(|error| Err(BuildError::File { path: self.folder.web(), error: Arc::new(error.into()) }))
    }
}

/// The major and the minor version of `v20.19.4`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix('v')?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
