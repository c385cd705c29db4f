//! The program in a process of its own, with an eye on its memory, its life and its panics.
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

pub struct Besieged {
    pub endpoint: Endpoint,
    process: Child,
    complaints: Arc<Mutex<Vec<String>>>,
    resident_at_first: u64,
    _state: TempDir,
}

/// What `endpoint.json` says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    pub url: String,
    pub api_key: String,
    pub region: String,
    pub administrator: Keys,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Keys {
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
}

impl Besieged {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub async fn start_with(arguments: &[&str]) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let mut process = Command::new(env!("CARGO_BIN_EXE_parlance"))
            .args(["--ephemeral", "--port", "0", "--state"])
            .arg(state.path())
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .kill_on_drop(true)
            .stdin(Stdio::null())
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
        let complaints = Arc::default();
        tokio::spawn(listen(process.stderr.take().expect("its complaints"), Arc::clone(&complaints)));
        let endpoint = endpoint(state.path());
        let resident_at_first = resident(&process);
        Self { endpoint, process, complaints, resident_at_first, _state: state }
    }

    pub fn user(&self) -> AppSync {
        AppSync::new(&self.endpoint.url, Credentials::ApiKey(self.endpoint.api_key.clone())).expect("an URL")
    }

    pub fn administrator(&self) -> AppSync {
        AppSync::new(&self.endpoint.url, self.signing()).expect("an URL")
    }

    pub fn signing(&self) -> Credentials {
        let Keys { access_key_id, secret_access_key } = self.endpoint.administrator.clone();
        let region = self.endpoint.region.clone();
        Credentials::Iam(IamKeys {
            access_key: access_key_id,
            secret_key: secret_access_key,
            session_token: None,
            region,
        })
    }

    /// In bytes, since it was started.
    pub fn grown(&self) -> u64 {
        resident(&self.process).saturating_sub(self.resident_at_first)
    }

    /// Whether it lives, nothing in it has panicked, and it has not grown by more than so many megabytes.
    pub fn holds(&mut self, megabytes: u64) -> Result<(), String> {
        if let Some(ended) = self.process.try_wait().expect("its state") {
            return Err(format!("the backend ended: {ended}"));
        }
        let complaints = self.complaints.lock().expect("nobody panicked");
        if let Some(panicked) = complaints.iter().find(|line| line.contains("panicked at")) {
            return Err(format!("the backend panicked: {panicked}"));
        }
        match self.grown() / MEGABYTE {
            grown if grown > megabytes => Err(format!("the backend grew by {grown} MB, more than {megabytes}")),
            _ => Ok(()),
        }
    }
}

async fn listen(output: impl AsyncRead + Unpin, complaints: Arc<Mutex<Vec<String>>>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        complaints.lock().expect("nobody panicked").push(line);
    }
}

fn endpoint(state: &Path) -> Endpoint {
    let text = std::fs::read_to_string(state.join("endpoint.json")).expect("the backend tells where it is");
    serde_json::from_str(&text).expect("JSON")
}

/// In bytes. Where there is no `/proc`, `ps` knows it.
fn resident(process: &Child) -> u64 {
    let id = process.id().expect("it lives").to_string();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let told = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).map(str::to_owned).unwrap_or_else(|| {
        let told = std::process::Command::new("ps").args(["-o", "rss=", "-p", &id]).output().expect("ps");
        String::from_utf8_lossy(&told.stdout).into_owned()
    });
    told.trim().trim_end_matches(" kB").parse::<u64>().expect("kilobytes") * 1024
}
