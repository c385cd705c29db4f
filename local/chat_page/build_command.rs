//! Commands of a build.
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, ErrorKind},
    os::fd::OwnedFd,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use tokio::{net::unix::pipe::Receiver, process::Command, time::timeout};

use super::{
    build_error::{BuildError, FailureReason},
    output_tail::OutputTail,
};
use crate::process_group::{ProcessGroup, ProcessGroupGuard};

/// Settings of npm and of what it runs: no colors, no requests besides those for packages.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("NO_COLOR", "1"),
    ("npm_config_audit", "false"),
    ("npm_config_color", "false"),
    ("npm_config_fund", "false"),
    ("npm_config_progress", "false"),
    ("npm_config_update_notifier", "false"),
];

/// A program with arguments, and what it runs with.
pub struct BuildCommand<'a> {
    pub line: &'a [&'a str],
    pub folder: PathBuf,
    /// `PATH`
    pub search_path: &'a OsStr,
    pub variables: Vec<(&'static str, OsString)>,
    pub time_limit: Duration,
    /// Its lock ends with the last process of the command, also if that outlives the server.
    pub lock: Option<&'a File>,
}

impl BuildCommand<'_> {
    /// Runs the command to its end and returns the last lines of its output. When the returned future is
    /// dropped, the command and the processes that it has started are killed.
    pub async fn run(&self) -> Result<Vec<String>, BuildError> {
        let mut tail = OutputTail::default();
        match self.run_into(&mut tail).await {
            Ok(Ok(status)) if status.success() => Ok(tail.last_lines()),
            Ok(Ok(status)) => Err(self.failure(exit_reason(status), &tail)),
            Ok(Err(time_limit)) => Err(self.failure(FailureReason::TimeLimit(time_limit), &tail)),
            Err(error) if error.kind() == ErrorKind::NotFound && self.line[0] == "node" => Err(BuildError::NoNode),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(BuildError::NoNpm),
            Err(error) => Err(self.failure(FailureReason::Start(Arc::new(error)), &tail)),
        }
    }

    /// The inner error is the time limit.
    async fn run_into(&self, tail: &mut OutputTail) -> io::Result<Result<ExitStatus, Duration>> {
        let (output, writer) = io::pipe()?;
        let mut command = Command::new(self.line[0]);
        command.args(&self.line[1..]).current_dir(&self.folder).process_group(0).kill_on_drop(true);
        command.env("PATH", self.search_path).env_remove("FORCE_COLOR").envs(ENVIRONMENT);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(self.stdin()?).stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn()?;
        let group = ProcessGroupGuard::new(ProcessGroup::of(child.id()));
        // It holds the output open.
        drop(command);
        let output = Receiver::from_owned_fd(OwnedFd::from(output))?;
        let exit = async {
            group.end_with_leader().await;
            child.wait().await
        };
        match timeout(self.time_limit, async { tokio::join!(exit, tail.read(output)) }).await {
            Ok((status, ())) => status.map(Ok),
            Err(_) => Ok(Err(self.time_limit)),
        }
    }

    fn stdin(&self) -> io::Result<Stdio> {
        self.lock.map_or(Ok(Stdio::null()), |lock| lock.try_clone().map(Stdio::from))
    }

    fn failure(&self, reason: FailureReason, tail: &OutputTail) -> BuildError {
        BuildError::Command { command: self.line.join(" "), reason, last_lines: tail.last_lines() }
    }
}

fn exit_reason(status: ExitStatus) -> FailureReason {
    status.code().map_or(FailureReason::Killed, FailureReason::ExitCode)
}
