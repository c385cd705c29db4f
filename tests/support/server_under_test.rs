//! The program in a process of its own, with its memory and its panics under observation.
use std::{
    net::SocketAddr,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
};

use client::{AppSync, Credentials, credentials::IamKeys};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
};

const MEGABYTE: u64 = 1 << 20;

pub struct ServerUnderTest {
    pub endpoint: Endpoint,
    process: Child,
    stderr_lines: Arc<Mutex<Vec<String>>>,
    initial_resident_bytes: u64,
    _state: TempDir,
}

/// The members of `endpoint.json` that the tests use.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    pub url: String,
    pub api_key: String,
    pub region: String,
    pub administrator: AccessKey,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessKey {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl Endpoint {
    pub fn address(&self) -> SocketAddr {
        let port = self.url.split([':', '/']).filter_map(|part| part.parse().ok()).next();
        SocketAddr::from(([127, 0, 0, 1], port.expect("the URL has a port")))
    }

    pub fn host(&self) -> String {
        format!("localhost:{}", self.address().port())
    }

    pub fn administrator_credentials(&self) -> Credentials {
        Credentials::Iam(IamKeys {
            access_key: self.administrator.access_key_id.clone(),
            secret_key: self.administrator.secret_access_key.clone(),
            session_token: None,
            region: self.region.clone(),
        })
    }
}

impl ServerUnderTest {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts the program with further arguments. Returns once it accepts requests.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let state = tempfile::tempdir().expect("a temporary folder is created");
        let arguments = [&["--parameter", "ApiKeyListing=true"], arguments].concat();
        Self::start_in(state, &arguments).await
    }

    /// As `start_with`, with the state in a folder, and without any other argument.
    pub async fn start_in(state: TempDir, arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_parlance"))
            .args(["--ephemeral", "--no-page", "--port", "0", "--state"])
            .arg(state.path())
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdout_lines = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
        while let Some(line) = stdout_lines.next_line().await.expect("stdout is readable") {
            let is_last_start_line = line.contains("cargo run -- chat");
            if is_last_start_line {
                break;
            }
        }
        let stderr_lines = Arc::default();
        tokio::spawn(collect_lines(process.stderr.take().expect("stderr is piped"), Arc::clone(&stderr_lines)));
        let endpoint = read_endpoint(state.path());
        let initial_resident_bytes = resident_bytes(&process);
        Self { endpoint, process, stderr_lines, initial_resident_bytes, _state: state }
    }

    /// A client with the API key.
    pub fn user(&self) -> AppSync {
        let credentials = Credentials::ApiKey(self.endpoint.api_key.clone());
        AppSync::new(&self.endpoint.url, credentials).expect("the URL is valid")
    }

    /// Fails if the process has ended, has panicked, or has grown by more than `max_growth_megabytes` since
    /// its start.
    pub fn check_health(&mut self, max_growth_megabytes: u64) -> Result<(), String> {
        if let Some(status) = self.process.try_wait().expect("the process has a status") {
            return Err(format!("the server ended: {status}"));
        }
        let stderr_lines = self.stderr_lines.lock().expect("the reader does not panic");
        if let Some(panic) = stderr_lines.iter().find(|line| line.contains("panicked at")) {
            return Err(format!("the server panicked: {panic}"));
        }
        let growth = resident_bytes(&self.process).saturating_sub(self.initial_resident_bytes);
        let growth_megabytes = growth / MEGABYTE;
        if growth_megabytes > max_growth_megabytes {
            return Err(format!("the server grew by {growth_megabytes} MB, more than {max_growth_megabytes} MB"));
        }
        Ok(())
    }
}

async fn collect_lines(output: impl AsyncRead + Unpin, collected: Arc<Mutex<Vec<String>>>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        collected.lock().expect("no reader panics").push(line);
    }
}

fn read_endpoint(state: &Path) -> Endpoint {
    let text = std::fs::read_to_string(state.join("endpoint.json")).expect("the server writes endpoint.json");
    serde_json::from_str(&text).expect("endpoint.json is valid")
}

/// The resident set size, from `/proc` or, where there is none, from `ps`.
fn resident_bytes(process: &Child) -> u64 {
    let id = process.id().expect("the process is running").to_string();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let from_proc = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).map(str::to_owned);
    let kilobytes = from_proc.unwrap_or_else(|| {
        let output = std::process::Command::new("ps").args(["-o", "rss=", "-p", &id]).output().expect("ps runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    kilobytes.trim().trim_end_matches(" kB").parse::<u64>().expect("the size is a number") * 1024
}
