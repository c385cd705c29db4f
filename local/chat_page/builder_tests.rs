//! Builds with programs in place of Node and npm.
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::process::{Pid, test_kill_process};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{build_error::FailureReason, *};

/// Longer than any step of a test takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);
const NODE: &str = "echo v20.19.0";
/// Writes a page, and the packages where they are missing.
const NPM: &str = r#"
echo "$@" >> "$COMMANDS"
case "$1" in
ci) mkdir -p node_modules && echo {} > node_modules/.package-lock.json ;;
run) mkdir -p "$PARLANCE_CHAT_DIST/assets" && echo '<title>Chat</title>' > "$PARLANCE_CHAT_DIST/index.html" ;;
esac
"#;

/// A folder with sources, and one with programs.
struct Fixture {
    folder: TempDir,
}

impl Fixture {
    fn new(programs: &[(&str, &str)]) -> Self {
        let fixture = Self { folder: TempDir::new().unwrap() };
        for path in ["root/web/package.json", "root/web/package-lock.json", "root/web/chat/src/index.ts"] {
            fixture.write(path, "{}");
        }
        fs::create_dir(fixture.path("bin")).unwrap();
        for (name, script) in programs {
            let commands = fixture.path("commands");
            let script = format!("#!/bin/sh\nPATH=/usr/bin:/bin\nCOMMANDS='{}'\n{script}\n", commands.display());
            fixture.write(&format!("bin/{name}"), &script);
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(fixture.path("bin").join(name), executable).unwrap();
        }
        fixture
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    /// The arguments with which npm was called.
    fn commands(&self) -> Vec<String> {
        let commands = fs::read_to_string(self.path("commands")).unwrap_or_default();
        commands.lines().map(str::to_owned).collect()
    }

    fn page_text(&self) -> Option<String> {
        fs::read_to_string(self.path("root/web/chat/dist/index.html")).ok()
    }

    fn builder(&self) -> Builder {
        let (folder, search_path) = (PageFolder::new(&self.path("root")), self.path("bin").into());
        Builder { folder, search_path, limits: BuildLimits::default() }
    }

    async fn build(&self) -> BuildProgress {
        build(&self.builder()).await
    }
}

async fn build(builder: &Builder) -> BuildProgress {
    let progress = watch::Sender::default();
    timeout(TIMEOUT, builder.build(&progress)).await.expect("the build ends in time");
    progress.borrow().clone()
}

fn error(progress: &BuildProgress) -> &BuildError {
    match progress.steps.last() {
        Some(BuildStep::Failed(error)) => error,
        other => panic!("the build has failed, not {other:?}"),
    }
}

/// Waits for the number of a process in a file.
async fn process_id(path: &Path) -> Pid {
    let read = async {
        loop {
            let text = fs::read_to_string(path).unwrap_or_default();
            if let Some(id) = text.strip_suffix('\n') {
                return Pid::from_raw(id.parse().unwrap()).unwrap();
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, read).await.expect("the process starts in time")
}

async fn wait_for_end(process: Pid) {
    let ended = async {
        // A process whose parent has not read its status yet can still be signalled.
        while test_kill_process(process).is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, ended).await.expect("the process ends in time");
}

fn spawn_build(builder: Builder) -> (watch::Receiver<BuildProgress>, JoinHandle<()>) {
    let sender = watch::Sender::default();
    let progress = sender.subscribe();
    (progress, tokio::spawn(async move { builder.build(&sender).await }))
}

#[tokio::test]
async fn missing_page_is_built_with_its_packages() {
    let fixture = Fixture::new(&[("node", NODE), ("npm", NPM)]);
    let progress = fixture.build().await;
    assert!(
        matches!(progress.steps[..], [BuildStep::Installing, BuildStep::Building, BuildStep::Built(_)]),
        "{progress:?}"
    );
    assert!(!progress.has_earlier_build);
    assert_eq!(fixture.commands(), ["ci --omit=dev", "run build"]);
    assert_eq!(fixture.page_text().as_deref(), Some("<title>Chat</title>\n"));

    assert!(fixture.build().await.steps.is_empty(), "a current page is not built");
    assert_eq!(fixture.commands().len(), 2);
}

#[tokio::test]
async fn outdated_page_is_built_without_installing_packages_again() {
    let fixture = Fixture::new(&[("node", NODE), ("npm", NPM)]);
    fixture.build().await;
    let later = SystemTime::now() + TIMEOUT;
    let source = fs::File::options().write(true).open(fixture.path("root/web/chat/src/index.ts")).unwrap();
    source.set_modified(later).unwrap();
    let progress = fixture.build().await;
    assert!(matches!(progress.steps[..], [BuildStep::Building, BuildStep::Built(_)]), "{progress:?}");
    assert!(progress.has_earlier_build);
    assert_eq!(fixture.commands(), ["ci --omit=dev", "run build", "run build"]);
}

#[tokio::test]
async fn developers_keep_their_tools() {
    let fixture = Fixture::new(&[("node", NODE), ("npm", NPM)]);
    fixture.write("root/web/node_modules/.package-lock.json", "{ \"a\": { \"dev\": true } }");
    let list = fs::File::options().write(true).open(fixture.path("root/web/node_modules/.package-lock.json")).unwrap();
    list.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    fixture.build().await;
    assert_eq!(fixture.commands(), ["ci", "run build"]);
}

#[tokio::test]
async fn failed_build_leaves_the_earlier_one() {
    let failing = "if [ \"$1\" = run ]; then mkdir -p \"$PARLANCE_CHAT_DIST\"; echo half > \
                   \"$PARLANCE_CHAT_DIST/index.html\"; echo 'src/index.ts:1:1 unexpected token' >&2; exit 3; fi";
    let fixture = Fixture::new(&[("node", NODE), ("npm", failing)]);
    fixture.write("root/web/chat/dist/index.html", "earlier");
    let old = fs::File::options().write(true).open(fixture.path("root/web/chat/dist/index.html")).unwrap();
    old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let progress = fixture.build().await;
    let failed = error(&progress);
    assert_eq!(failed.to_string(), "npm run build ended with the exit code 3");
    assert_eq!(failed.last_lines(), ["src/index.ts:1:1 unexpected token"]);
    assert!(progress.has_earlier_build);
    assert_eq!(fixture.page_text().as_deref(), Some("earlier"));
}

#[tokio::test]
async fn missing_or_old_programs_are_named() {
    for (programs, expected) in [
        (&[][..], "there is no Node; install Node 20.19 or later and start the server again"),
        (&[("node", NODE)], "there is no npm; install it and start the server again"),
        (
            &[("node", "echo v20.18.3"), ("npm", NPM)],
            "Node v20.18.3 is too old; install Node 20.19 or later and start the server again",
        ),
        (
            &[("node", "echo v6"), ("npm", NPM)],
            "Node v6 is too old; install Node 20.19 or later and start the server again",
        ),
    ] {
        let fixture = Fixture::new(programs);
        assert_eq!(error(&fixture.build().await).to_string(), expected);
        assert!(fixture.commands().is_empty());
    }
    let fixture = Fixture::new(&[("node", "echo v26.1.0"), ("npm", NPM)]);
    assert!(matches!(fixture.build().await.steps.last(), Some(BuildStep::Built(_))));
    fs::remove_dir_all(fixture.path("root/web/chat")).unwrap();
    assert!(matches!(error(&fixture.build().await), BuildError::NoSources(_)));
}

#[tokio::test]
async fn command_that_writes_no_page_fails() {
    let fixture = Fixture::new(&[("node", NODE), ("npm", "exit 0")]);
    assert!(matches!(error(&fixture.build().await), BuildError::NoPage));
}

#[tokio::test]
async fn build_that_takes_too_long_is_killed() {
    let fixture = Fixture::new(&[("node", NODE), ("npm", "echo waiting; sleep 600 & echo $! >> \"$COMMANDS\"; wait")]);
    let limits = BuildLimits { install: Duration::from_secs(2), ..BuildLimits::default() };
    let progress = build(&Builder { limits, ..fixture.builder() }).await;
    let BuildError::Command { reason: FailureReason::TimeLimit(limit), last_lines, .. } = error(&progress) else {
        panic!("{progress:?}");
    };
    assert_eq!((*limit, last_lines.as_slice()), (limits.install, &["waiting".to_owned()][..]));
    wait_for_end(process_id(&fixture.path("commands")).await).await;
}

#[tokio::test]
async fn build_is_killed_when_it_is_dropped() {
    let fixture = Fixture::new(&[("node", NODE), ("npm", "sleep 600 & echo $! >> \"$COMMANDS\"; wait")]);
    let (_progress, task) = spawn_build(fixture.builder());
    let process = process_id(&fixture.path("commands")).await;
    task.abort();
    wait_for_end(process).await;
}

#[tokio::test]
async fn page_is_built_once_by_two_servers() {
    let slow = format!("until [ -e \"$COMMANDS.continue\" ]; do sleep 0.01; done\n{NPM}");
    let fixture = Fixture::new(&[("node", NODE), ("npm", &slow)]);
    let (mut first, first_task) = spawn_build(fixture.builder());
    first.wait_for(|progress| matches!(progress.steps.last(), Some(BuildStep::Installing))).await.unwrap();
    let (mut second, second_task) = spawn_build(fixture.builder());
    second.wait_for(|progress| matches!(progress.steps.last(), Some(BuildStep::Waiting))).await.unwrap();
    fixture.write("commands.continue", "");
    let both = async { (first_task.await.unwrap(), second_task.await.unwrap()) };
    timeout(TIMEOUT, both).await.expect("both end in time");
    let steps = second.borrow().steps.clone();
    assert!(matches!(steps[..], [BuildStep::Waiting, BuildStep::Built(_)]), "{steps:?}");
    assert_eq!(fixture.commands(), ["ci --omit=dev", "run build"]);
}

#[tokio::test]
async fn lock_outlives_a_server_that_was_killed() {
    let fixture = Fixture::new(&[("node", NODE), ("npm", NPM)]);
    let lock = fixture.builder().folder.open_lock().unwrap();
    lock.try_lock().unwrap();
    let mut orphan = std::process::Command::new("sleep").arg("600").stdin(lock).spawn().unwrap();
    let limits = BuildLimits { lock: Duration::from_millis(1), ..BuildLimits::default() };
    let refused = build(&Builder { limits, ..fixture.builder() }).await;
    assert!(matches!(error(&refused), BuildError::Locked(_)), "{refused:?}");
    orphan.kill().unwrap();
    orphan.wait().unwrap();
    assert!(matches!(fixture.build().await.steps.last(), Some(BuildStep::Built(_))));
}
