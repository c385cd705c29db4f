//! The measured server as a process of its own.
use std::{
    net::SocketAddr,
    process::{Command as BlockingCommand, ExitCode, Stdio},
    time::Instant,
};

use serde::Deserialize;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStderr, Command},
    sync::{
        Mutex,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
};

/// This environment variable is set once the limit of open files is raised.
const LIMIT_RAISED: &str = "IDLE_BENCH_LIMIT_RAISED";

pub struct Server {
    pub url: String,
    pub api_key: String,
    pub administrator: Keys,
    pub region: String,
    /// The time of each delta of the scripted model.
    pub deltas: Mutex<UnboundedReceiver<Instant>>,
    process: Child,
    _state: TempDir,
}

/// The file endpoint.json.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    url: String,
    api_key: String,
    region: String,
    administrator: Keys,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Keys {
    pub access_key_id: String,
    pub secret_access_key: String,
}

pub fn has_raised_file_limit() -> bool {
    std::env::var_os(LIMIT_RAISED).is_some()
}

/// Runs this program again with the highest limit of open files, which the server inherits. Each connection
/// is an open file on both sides.
pub fn rerun_with_raised_file_limit() -> ExitCode {
    let program = std::env::current_exe().expect("the path of this program is known");
    let mut shell = BlockingCommand::new("sh");
    shell.args(["-c", "ulimit -n $(ulimit -Hn); exec \"$0\""]).arg(program);
    let status = shell.env(LIMIT_RAISED, "yes").status().expect("the shell starts");
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Server {
    pub async fn start() -> Self {
        let state = tempfile::tempdir().expect("a folder is created");
        let mut process = Command::new(env!("CARGO_BIN_EXE_parlance"))
            .args(["--ephemeral", "--no-page", "--port", "0", "--state"])
            .arg(state.path())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .env("RUST_LOG", "warn,local::bedrock=trace")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
        while let Some(line) = lines.next_line().await.expect("stdout is text") {
            if line.contains("cargo run -- chat") {
                break;
            }
        }
        let (sender, deltas) = unbounded_channel();
        tokio::spawn(watch_deltas(process.stderr.take().expect("stderr is piped"), sender));
        let text = std::fs::read_to_string(state.path().join("endpoint.json")).expect("endpoint.json is written");
        let Endpoint { url, api_key, region, administrator } = serde_json::from_str(&text).expect("it is JSON");
        Self { url, api_key, administrator, region, deltas: Mutex::new(deltas), process, _state: state }
    }

    pub fn address(&self) -> SocketAddr {
        let port = self.url.split([':', '/']).filter_map(|part| part.parse().ok()).next();
        SocketAddr::from(([127, 0, 0, 1], port.expect("the URL has a port")))
    }

    /// The memory of the server process, without its handler processes.
    pub fn resident_kilobytes(&self) -> u64 {
        let id = self.process.id().expect("the server runs").to_string();
        let output = BlockingCommand::new("ps").args(["-o", "rss=", "-p", &id]).output().expect("ps starts");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("ps prints kilobytes")
    }
}

/// Sends the time of each delta that the scripted model traces.
async fn watch_deltas(trace: ChildStderr, sender: UnboundedSender<Instant>) {
    let mut lines = BufReader::new(trace).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.contains("contentBlockDelta") {
            sender.send(Instant::now()).ok();
        }
    }
}
