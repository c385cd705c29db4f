//! The program as a process with a state folder of its own, and everything that it writes or sends.
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Mutex,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use client::{AppSync, Credentials, requests::Request};
use local::dynamodb::DynamoDb;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};
use uuid::Uuid;

use super::{
    planted_secrets::{ADMINISTRATOR_KEY, API_KEY, CapturedText, Findings, Location, PlantedSecret, SecretKind},
    traffic_capture::TrafficCapture,
};
use crate::backend::with_timeout;

const PROGRAM: &str = env!("CARGO_BIN_EXE_parlance");
/// The file of the key that seals callers' credentials.
pub const KMS_KEY_FILE: &str = "kms-parlance-CallerKey";
const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

pub struct Fixture {
    /// On the file system of the program, so that the program can be linked into it.
    folder: TempDir,
    pub traffic: TrafficCapture,
    secrets: Mutex<Vec<PlantedSecret>>,
    captured: Mutex<Vec<CapturedText>>,
}

pub struct TestServer {
    pub url: String,
    pub api_key: String,
    /// The administrator's keys, as in endpoint.json.
    pub administrator: Value,
    process: Child,
    streams: [JoinHandle<String>; 2],
}

impl Fixture {
    pub async fn new() -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let traffic = TrafficCapture::start().await;
        Self { folder, traffic, secrets: Mutex::default(), captured: Mutex::default() }
    }

    /// Plants unique text and returns it.
    pub fn text(&self, name: &str) -> String {
        let prefix = name.replace(|c: char| !c.is_ascii_alphanumeric(), "");
        self.plant(SecretKind::Text, name, prefix + &random_hex())
    }

    /// Plants a made-up credential and returns it.
    pub fn credential(&self, name: &str) -> String {
        self.plant(SecretKind::Credential, name, random_hex() + &random_hex())
    }

    /// Plants the signature of a token, which is its secret part, and returns the token.
    pub fn plant_token(&self, name: &str, token: String) -> String {
        let signature = token.rsplit('.').next().unwrap().to_owned();
        self.plant(SecretKind::Credential, name, signature);
        token
    }

    pub fn plant(&self, kind: SecretKind, name: &str, value: String) -> String {
        self.secrets.lock().unwrap().push(PlantedSecret { kind, name: name.to_owned(), value: value.clone() });
        value
    }

    pub fn has_planted(&self, name: &str) -> bool {
        self.secrets.lock().unwrap().iter().any(|secret| secret.name == name)
    }

    pub fn capture(&self, location: Location, text: impl Into<String>) {
        self.captured.lock().unwrap().push(CapturedText { location, text: text.into() });
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Copies the files that the program loads, so that a test can change them.
    pub fn copy_project(&self) -> PathBuf {
        let root = self.folder.path().join("project");
        for name in ["template.yaml", "schema.graphql", "resolvers"] {
            copy(&Path::new(PROJECT).join(name), &root.join(name));
        }
        root
    }

    /// Starts the program. Its handler processes use the capturing proxy.
    pub async fn start(&self, root: &Path, log: &str, arguments: &[&str]) -> TestServer {
        let program = self.folder.path().join("parlance");
        drop(fs::remove_file(&program));
        fs::hard_link(PROGRAM, &program).unwrap();
        let mut command = Command::new(&program);
        command.args(["--no-page", "--port", "0", "--root"]).arg(root).arg("--state").arg(self.state()).args(arguments);
        command.env("RUST_LOG", log).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.kill_on_drop(true).spawn().unwrap();
        let stderr = tokio::spawn(read_all(process.stderr.take().unwrap()));
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut startup_output = String::new();
        while !startup_output.contains("cargo run -- chat") {
            let read = with_timeout(stdout.read_line(&mut startup_output)).await.unwrap();
            assert_ne!(read, 0, "the server starts");
        }
        self.capture(Location::StartupOutput, startup_output);
        // The server starts its own executable as the handler, which from now on is the script.
        self.traffic.wrap_program(Path::new(PROGRAM), &program);
        let endpoint: Value = serde_json::from_slice(&fs::read(self.state().join("endpoint.json")).unwrap()).unwrap();
        let secret_key = endpoint["administrator"]["secretAccessKey"].as_str().unwrap();
        self.plant(SecretKind::Credential, ADMINISTRATOR_KEY, secret_key.to_owned());
        let api_key = endpoint["apiKey"].as_str().unwrap().to_owned();
        TestServer {
            url: endpoint["url"].as_str().unwrap().to_owned(),
            api_key: self.plant(SecretKind::Credential, API_KEY, api_key),
            administrator: endpoint["administrator"].clone(),
            process,
            streams: [stderr, tokio::spawn(read_all(stdout))],
        }
    }

    /// Stops the server as Ctrl-C does, and captures its log, its files and its table.
    pub async fn stop(&self, mut server: TestServer) {
        self.capture_state_files();
        let id = server.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
        assert!(with_timeout(server.process.wait()).await.unwrap().success());
        for stream in server.streams {
            self.capture(Location::Log, with_timeout(stream).await.unwrap());
        }
        self.capture_state_files();
        self.capture_table_items().await;
        self.plant_process_credentials();
        self.plant_signing_keys();
        self.plant_encryption_key();
    }

    /// Sends a request and captures the response. Returns no answer if the request is refused.
    pub async fn call<R: Request>(&self, client: &AppSync, request: &R) -> Option<R::Answer> {
        let data = self.execute(client, R::DOCUMENT, request.variables()).await;
        serde_json::from_value(data.get(R::FIELD)?.clone()).ok()
    }

    /// Executes a document, captures the response, and returns its data.
    pub async fn execute(&self, client: &AppSync, document: &str, variables: Value) -> Value {
        match client.execute(document, variables).await {
            Ok(response) => {
                self.capture(Location::ResponseData, response.data.to_string());
                self.capture(Location::ResponseError, format!("{:?}", response.errors));
                response.data
            }
            Err(error) => {
                self.capture(Location::ResponseError, format!("{error:?}"));
                Value::Null
            }
        }
    }

    /// Scans everything captured so far for everything planted so far.
    pub fn scan(&self) -> Findings {
        let traffic = self.traffic.captured_texts();
        let captured = self.captured.lock().unwrap();
        Findings::scan(&self.secrets.lock().unwrap(), captured.iter().chain(&traffic))
    }

    /// The joined text that was captured in one location.
    pub fn captured_text(&self, location: &Location) -> String {
        let traffic = self.traffic.captured_texts();
        let captured = self.captured.lock().unwrap();
        let in_location = captured.iter().chain(&traffic).filter(|captured| captured.location == *location);
        in_location.map(|captured| captured.text.as_str()).collect()
    }

    /// The names of all captured files of the state folder.
    pub fn state_files(&self) -> BTreeSet<String> {
        let captured = self.captured.lock().unwrap();
        let files = captured.iter().filter_map(|text| match &text.location {
            Location::StateFile(name) => Some(name.clone()),
            _ => None,
        });
        files.collect()
    }

    fn capture_state_files(&self) {
        for entry in fs::read_dir(self.state()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                assert_eq!(name, "events", "no other folder is in the state folder");
                self.capture_queued_events(&entry.path());
                continue;
            }
            let bytes = fs::read(entry.path()).unwrap();
            self.capture(Location::StateFile(name), String::from_utf8_lossy(&bytes));
        }
    }

    fn capture_queued_events(&self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            self.capture(Location::Invocation, String::from_utf8_lossy(&bytes));
        }
    }

    async fn capture_table_items(&self) {
        let database = DynamoDb::open(Some(&self.state().join("table.db"))).unwrap();
        let mut next_token = Value::Null;
        loop {
            let scan = json!({ "operation": "Scan", "nextToken": next_token });
            let outcome = database.run("parlance-Table", &scan).await;
            assert_eq!(outcome.error, None);
            self.capture(Location::TableItem, outcome.result["items"].to_string());
            next_token = outcome.result["nextToken"].clone();
            if next_token.is_null() {
                break;
            }
        }
    }

    /// Plants the credentials in the environments that handler processes have written down.
    fn plant_process_credentials(&self) {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "environment")) {
            for line in fs::read_to_string(&file).unwrap().lines() {
                if let Some((name @ ("AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN"), value)) = line.split_once('=') {
                    self.plant(SecretKind::Credential, &format!("a process's {name}"), value.to_owned());
                }
            }
            fs::remove_file(file).unwrap();
        }
    }

    /// Plants the key that seals callers' credentials, in base64 as in any text form of the key.
    fn plant_encryption_key(&self) {
        let key = fs::read(self.state().join(KMS_KEY_FILE)).unwrap();
        self.plant(SecretKind::Credential, KMS_KEY_FILE, STANDARD.encode(key));
    }

    /// Plants a part of each issuer's secret prime, in base64 as in any text form of the key.
    fn plant_signing_keys(&self) {
        for name in ["pool-key", "oidc-key"] {
            if let Ok(bytes) = fs::read(self.state().join(name)) {
                self.plant(SecretKind::Credential, name, STANDARD.encode(&bytes[600..648]));
            }
        }
    }
}

impl TestServer {
    pub fn client(&self, credentials: Credentials) -> AppSync {
        AppSync::new(&self.url, credentials).unwrap()
    }

    pub fn api_key_client(&self) -> AppSync {
        self.client(Credentials::ApiKey(self.api_key.clone()))
    }
}

async fn read_all(mut stream: impl AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn random_hex() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Copies a file, or a folder with everything in it.
fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
        return;
    }
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}
