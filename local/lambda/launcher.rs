//! Starts the processes of execution environments.
use std::{collections::BTreeMap, io, path::PathBuf, process::Stdio, sync::Arc};

use tokio::process::{Child, Command};
use uuid::Uuid;

use super::process::Processes;
use crate::{command_line::CommandLine, fault_injection::FaultInjector, stack::Function};

/// Builds the environment variables of one process of a function.
pub type EnvironmentBuilder = dyn Fn(&Function) -> BTreeMap<String, String> + Send + Sync;

/// Starts a program as an execution environment.
#[derive(Clone)]
pub struct Launcher {
    /// The program of a function without a command of its own.
    pub executable: PathBuf,
    pub arguments: Vec<String>,
    /// Called at every start, for the variables beside the function's own: endpoints, region, credentials.
    /// They override the function's own. Of this process's environment only `PATH` is passed on, and to a
    /// command also `HOME`, which package managers and language runtimes need.
    pub environment: Arc<EnvironmentBuilder>,
    /// Length of a second of the event queue (retries, backoff, event age), in seconds; tests shorten it.
    pub time_scale: f64,
    /// Injects faults into the event queue.
    pub faults: FaultInjector,
    /// The processes that this launcher started.
    pub processes: Processes,
}

impl Launcher {
    pub fn new(executable: PathBuf, arguments: Vec<String>, environment: BTreeMap<String, String>) -> Self {
        Self {
            executable,
            arguments,
            environment: Arc::new(move |_| environment.clone()),
            time_scale: 1.0,
            faults: FaultInjector::default(),
            processes: Processes::default(),
        }
    }

    /// Starts a process. Returns it with its access key id, which is random when the environment has none.
    pub(super) fn launch(&self, function: &Function, runtime_api: &str) -> io::Result<(Child, String)> {
        let environment = (self.environment)(function);
        let access_key_id = environment.get("AWS_ACCESS_KEY_ID").cloned();
        let (program, arguments, inherited) = match &function.command {
            None => (&self.executable, &self.arguments, &["PATH"][..]),
            Some(CommandLine { program, arguments }) => (program, arguments, &["PATH", "HOME"][..]),
        };
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(inherited.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(&function.environment)
            .envs(environment)
            .envs(reserved_variables(function, runtime_api))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C in a terminal signals the whole process group; the service alone ends its processes. A
            // kill signals the group, because a command may be a script that starts the function.
            .process_group(0)
            .spawn()?;
        Ok((child, access_key_id.unwrap_or_else(|| Uuid::new_v4().to_string())))
    }
}

/// The variables that Lambda defines.
fn reserved_variables(function: &Function, runtime_api: &str) -> [(&'static str, String); 10] {
    [
        ("_HANDLER", "bootstrap".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.name.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_megabytes.to_string()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.name)),
        ("AWS_LAMBDA_LOG_STREAM_NAME", format!("[$LATEST]{}", Uuid::new_v4().simple())),
    ]
}
