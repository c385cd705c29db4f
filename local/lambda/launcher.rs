//! How the process of an execution environment is started.
use std::{collections::BTreeMap, io, path::PathBuf, process::Stdio, sync::Arc};

use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::stack::Function;

/// The variables for a function's processes.
type EnvironmentOf = dyn Fn(&Function) -> BTreeMap<String, String> + Send + Sync;

/// What is started as an execution environment, and with what around it.
#[derive(Clone)]
pub struct Launcher {
    pub executable: PathBuf,
    pub arguments: Vec<String>,
    /// What a function's processes get beside the function's own environment: endpoints, region, credentials. It wins
    /// over the function's own. Nothing of this process's environment is passed on but `PATH`.
    pub environment: Arc<EnvironmentOf>,
    /// How long a second of the event queue (retries, backoff, event age) lasts, in seconds: 1.0 but in tests.
    pub time_scale: f64,
}

impl Launcher {
    pub fn new(executable: PathBuf, arguments: Vec<String>, environment: BTreeMap<String, String>) -> Self {
        Self { executable, arguments, environment: Arc::new(move |_| environment.clone()), time_scale: 1.0 }
    }

    pub(super) fn launch(&self, function: &Function, runtime_api: &str) -> io::Result<Child> {
        Command::new(&self.executable)
            .args(&self.arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(&function.environment)
            .envs((self.environment)(function))
            .envs(reserved(function, runtime_api))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C in a terminal reaches the whole process group: the service decides when its processes end.
            .process_group(0)
            .spawn()
    }
}

/// The variables that Lambda itself defines.
fn reserved(function: &Function, runtime_api: &str) -> [(&'static str, String); 10] {
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
