//! The program as a process on a state folder of its own, and everything that it writes.
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
    planted::{ADMINISTRATOR, API_KEY, Kind, Place, Planted, Search, Written},
    wiretap::Wiretap,
};
use crate::backend::patiently;

const PROGRAM: &str = env!("CARGO_BIN_EXE_parlance");

pub struct Stage {
    /// On the disk of the program, which is linked there.
    folder: TempDir,
    pub wiretap: Wiretap,
    planted: Mutex<Vec<Planted>>,
    written: Mutex<Vec<Written>>,
}

pub struct Server {
    pub url: String,
    pub api_key: String,
    pub administrator: Value,
    process: Child,
    streams: [JoinHandle<String>; 2],
}

impl Stage {
    pub async fn set() -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self { folder, wiretap: Wiretap::open().await, planted: Mutex::default(), written: Mutex::default() }
    }

    pub fn text(&self, name: &str) -> String {
        self.plant(Kind::Text, name, format!("{}{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), ""), drawn()))
    }

    /// Somebody's, made up.
    pub fn made_up(&self, name: &str) -> String {
        self.plant(Kind::Credential, name, drawn() + &drawn())
    }

    pub fn plant(&self, kind: Kind, name: &str, value: String) -> String {
        self.planted.lock().unwrap().push(Planted { kind, name: name.to_owned(), value: value.clone() });
        value
    }

    pub fn write_down(&self, place: Place, text: impl Into<String>) {
        self.written.lock().unwrap().push(Written { place, text: text.into() });
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// A copy of the project's files, for changes.
    pub fn root(&self, name: &str) -> PathBuf {
        let (root, project) = (self.folder.path().join(name), Path::new(env!("CARGO_MANIFEST_DIR")));
        for name in ["template.yaml", "schema.graphql", "resolvers"] {
            copy(&project.join(name), &root.join(name));
        }
        root
    }

    /// A running server, whose processes are listened to.
    pub async fn serve(&self, root: &Path, log: &str, arguments: &[&str]) -> Server {
        let program = self.folder.path().join("parlance");
        drop(fs::remove_file(&program));
        fs::hard_link(PROGRAM, &program).unwrap();
        let mut command = Command::new(&program);
        command.args(["--port", "0", "--root"]).arg(root).arg("--state").arg(self.state()).args(arguments);
        command.env("RUST_LOG", log).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.kill_on_drop(true).spawn().unwrap();
        let told = tokio::spawn(all(process.stderr.take().unwrap()));
        let mut printed = BufReader::new(process.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("cargo run -- chat") {
            assert_ne!(patiently(printed.read_line(&mut greeting)).await.unwrap(), 0, "it starts");
        }
        self.write_down(Place::Greeting, greeting);
        self.wiretap.put_before(Path::new(PROGRAM), &program);
        let endpoint: Value = serde_json::from_slice(&fs::read(self.state().join("endpoint.json")).unwrap()).unwrap();
        let told_in = |name: &str| endpoint[name].as_str().unwrap().to_owned();
        let secret = endpoint["administrator"]["secretAccessKey"].as_str().unwrap();
        self.plant(Kind::Credential, ADMINISTRATOR, secret.to_owned());
        Server {
            url: told_in("url"),
            api_key: self.plant(Kind::Credential, API_KEY, told_in("apiKey")),
            administrator: endpoint["administrator"].clone(),
            process,
            streams: [told, tokio::spawn(all(printed))],
        }
    }

    /// Ends it as Ctrl-C does, and keeps all that it has written.
    pub async fn end(&self, mut server: Server) {
        self.keep_files();
        let id = server.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
        assert!(patiently(server.process.wait()).await.unwrap().success());
        for stream in server.streams {
            self.write_down(Place::Log, patiently(stream).await.unwrap());
        }
        self.keep_files();
        self.keep_items().await;
        self.plant_keys_of_processes();
        self.plant_signing_keys();
    }

    /// Asks as a client of the library, and keeps what it is told.
    pub async fn ask<R: Request>(&self, caller: &AppSync, request: &R) -> Option<R::Answer> {
        let data = self.ask_for(caller, R::DOCUMENT, request.variables()).await;
        serde_json::from_value(data.get(R::FIELD)?.clone()).ok()
    }

    pub async fn ask_for(&self, caller: &AppSync, document: &str, variables: Value) -> Value {
        match caller.execute(document, variables).await {
            Ok(response) => {
                self.write_down(Place::Answer, response.data.to_string());
                self.write_down(Place::Refusal, format!("{:?}", response.errors));
                response.data
            }
            Err(error) => {
                self.write_down(Place::Refusal, format!("{error:?}"));
                Value::Null
            }
        }
    }

    /// What lies where it must not.
    pub fn leaks(&self) -> BTreeSet<String> {
        let mut written = self.wiretap.written();
        written.append(&mut self.written.lock().unwrap());
        let search = Search::of(self.planted.lock().unwrap().clone());
        let leaks = search.leaks(&written);
        self.written.lock().unwrap().append(&mut written);
        leaks
    }

    /// The names of everything planted that lies in such places.
    pub fn found(&self, places: impl Fn(&Place) -> bool) -> BTreeSet<String> {
        let search = Search::of(self.planted.lock().unwrap().clone());
        let written = self.written.lock().unwrap();
        let found =
            written.iter().filter(|written| places(&written.place)).flat_map(|written| search.found(&written.text));
        found.map(|(_, planted)| planted.name.clone()).collect()
    }

    pub fn has_planted(&self, name: &str) -> bool {
        self.planted.lock().unwrap().iter().any(|planted| planted.name == name)
    }

    /// Everything written in such places.
    pub fn read(&self, places: impl Fn(&Place) -> bool) -> String {
        let written = self.written.lock().unwrap();
        written.iter().filter(|written| places(&written.place)).map(|written| written.text.as_str()).collect()
    }

    /// The names of the state folder's files so far.
    pub fn files(&self) -> BTreeSet<String> {
        let written = self.written.lock().unwrap();
        let name = |written: &Written| if let Place::File(name) = &written.place { Some(name.clone()) } else { None };
        written.iter().filter_map(name).collect()
    }

    fn keep_files(&self) {
        for entry in fs::read_dir(self.state()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let bytes = fs::read(entry.path()).unwrap();
            self.write_down(Place::File(name), String::from_utf8_lossy(&bytes));
        }
    }

    async fn keep_items(&self) {
        let database = DynamoDb::open(Some(&self.state().join("table.db"))).unwrap();
        let mut next = Value::Null;
        loop {
            let answer = database.run("parlance-Table", &json!({ "operation": "Scan", "nextToken": next })).await;
            assert_eq!(answer.error, None);
            self.write_down(Place::Item, answer.result["items"].to_string());
            next = answer.result["nextToken"].clone();
            if next.is_null() {
                break;
            }
        }
    }

    fn plant_keys_of_processes(&self) {
        let noted = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        for file in noted.filter(|file| file.extension().is_some_and(|extension| extension == "environment")) {
            for line in fs::read_to_string(&file).unwrap().lines() {
                if let Some((name @ ("AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN"), value)) = line.split_once('=') {
                    self.plant(Kind::Credential, &format!("a process's {name}"), value.to_owned());
                }
            }
            fs::remove_file(file).unwrap();
        }
    }

    /// In base64, as they are written wherever people read them: some of the secret prime.
    fn plant_signing_keys(&self) {
        for name in ["pool-key", "oidc-key"] {
            if let Ok(bytes) = fs::read(self.state().join(name)) {
                self.plant(Kind::Credential, name, STANDARD.encode(&bytes[600..648]));
            }
        }
    }
}

impl Server {
    pub fn caller(&self, credentials: Credentials) -> AppSync {
        AppSync::new(&self.url, credentials).unwrap()
    }
}

async fn all(mut stream: impl AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn drawn() -> String {
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
