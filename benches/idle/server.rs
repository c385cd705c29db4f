//! The program in a process of its own.
use std::{
    net::SocketAddr,
    process::{Command as Again, ExitCode, Stdio},
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

/// Set when this program runs with as many files as it may have.
const RAISED: &str = "IDLE_BENCH_LIMIT_RAISED";

pub struct Server {
    pub url: String,
    pub api_key: String,
    pub administrator: Keys,
    pub region: String,
    /// When the scripted model said something.
    pub words: Mutex<UnboundedReceiver<Instant>>,
    process: Child,
    _state: TempDir,
}

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

pub fn raises_its_limit() -> bool {
    std::env::var_os(RAISED).is_none()
}

/// A connection is a file, here and in the server: both get as many as the system gives them.
pub fn again_with_more_files() -> ExitCode {
    let mut shell = Again::new("sh");
    shell.args(["-c", "ulimit -n $(ulimit -Hn); exec \"$0\""]).arg(std::env::current_exe().expect("this program"));
    let ended = shell.env(RAISED, "yes").status().expect("a shell");
    if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Server {
    pub async fn start() -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let mut process = Command::new(env!("CARGO_BIN_EXE_parlance"))
            .args(["--ephemeral", "--port", "0", "--state"])
            .arg(state.path())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .env("RUST_LOG", "warn,local::bedrock=trace")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        while let Some(line) = lines.next_line().await.expect("its output") {
            if line.contains("cargo run -- chat") {
                break;
            }
        }
        let (say, words) = unbounded_channel();
        tokio::spawn(listen(process.stderr.take().expect("its trace"), say));
        let text = std::fs::read_to_string(state.path().join("endpoint.json")).expect("it tells where it is");
        let Endpoint { url, api_key, region, administrator } = serde_json::from_str(&text).expect("JSON");
        Self { url, api_key, administrator, region, words: Mutex::new(words), process, _state: state }
    }

    pub fn address(&self) -> SocketAddr {
        let port = self.url.split([':', '/']).filter_map(|part| part.parse().ok()).next();
        SocketAddr::from(([127, 0, 0, 1], port.expect("the URL has a port")))
    }

    /// Of the server alone; the handler's processes have their own.
    pub fn resident_kilobytes(&self) -> u64 {
        let id = self.process.id().expect("it lives").to_string();
        let told = Again::new("ps").args(["-o", "rss=", "-p", &id]).output().expect("ps");
        String::from_utf8_lossy(&told.stdout).trim().parse().expect("kilobytes")
    }
}

/// To the trace of the scripted model, which names each event as it is sent.
async fn listen(trace: ChildStderr, say: UnboundedSender<Instant>) {
    let mut lines = BufReader::new(trace).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.contains("contentBlockDelta") {
            say.send(Instant::now()).ok();
        }
    }
}
