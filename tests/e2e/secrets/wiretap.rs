//! What crosses the Runtime API between Lambda and its processes, and the keys that these are given.
use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use axum::{
    Router,
    extract::{self, State},
    routing::get,
};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::planted::{Place, Written};

/// Stands between the two once a process is started through its script.
pub struct Wiretap {
    address: SocketAddr,
    heard: Heard,
}

/// One entry for each direction of each connection.
type Heard = watch::Sender<Vec<(Place, Vec<u8>)>>;

impl Wiretap {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Heard::default());
        let router = Router::new().route("/{runtime_api}", get(divert)).with_state(heard.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, heard }
    }

    /// Puts a program in the place of another one, which it becomes after it has noted its environment in a file beside
    /// it and been given another way to the Runtime API.
    pub fn put_before(&self, program: &Path, place: &Path) {
        let (program, noted, address) = (program.display(), place.display(), self.address);
        let script = format!(
            "#!/bin/sh\nenv > {noted}.$$.environment\n\
             AWS_LAMBDA_RUNTIME_API=$(curl -s http://{address}/$AWS_LAMBDA_RUNTIME_API)\n\
             export AWS_LAMBDA_RUNTIME_API\nexec {program} \"$@\"\n"
        );
        let written = place.with_extension("script");
        fs::write(&written, script).unwrap();
        fs::set_permissions(&written, Permissions::from_mode(0o755)).unwrap();
        fs::rename(written, place).unwrap();
    }

    /// Waits until processes have been handed so many failure records.
    pub async fn until_records(&self, count: usize) {
        self.heard.subscribe().wait_for(|heard| records(heard).len() >= count).await.unwrap();
    }

    pub fn count_records(&self) -> usize {
        records(&self.heard.borrow()).len()
    }

    pub fn written(&self) -> Vec<Written> {
        let heard = self.heard.borrow();
        let crossed = heard.iter().map(|(place, bytes)| Written { place: place.clone(), text: lossy(bytes) });
        let told = records(&heard).into_iter().map(|mut record| {
            record.as_object_mut().unwrap().remove("requestPayload");
            Written { place: Place::Record, text: record.to_string() }
        });
        crossed.chain(told).collect()
    }
}

/// Opens another way to a Runtime API, for one process, and names it.
async fn divert(State(heard): State<Heard>, extract::Path(runtime_api): extract::Path<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((process, _)) = listener.accept().await {
            tokio::spawn(listen_in(heard.clone(), process, runtime_api.clone()));
        }
    });
    address
}

/// Until either side closes.
async fn listen_in(heard: Heard, process: TcpStream, runtime_api: String) {
    let Ok(lambda) = TcpStream::connect(runtime_api).await else { return };
    let ((from_process, to_process), (from_lambda, to_lambda)) = (process.into_split(), lambda.into_split());
    tokio::select! {
        () = pass_on(&heard, Place::Report, from_process, to_lambda) => {}
        () = pass_on(&heard, Place::Invocation, from_lambda, to_process) => {}
    }
}

async fn pass_on(heard: &Heard, place: Place, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut line = 0;
    heard.send_modify(|heard| {
        line = heard.len();
        heard.push((place, Vec::new()));
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        heard.send_modify(|heard| heard[line].1.extend_from_slice(&buffer[..read]));
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}

/// The failure records among the bodies of what Lambda answers.
fn records(heard: &[(Place, Vec<u8>)]) -> Vec<Value> {
    let invocations = heard.iter().filter(|(place, _)| *place == Place::Invocation).map(|(_, bytes)| lossy(bytes));
    let bodies = invocations.flat_map(|text| text.split("HTTP/1.1 ").map(str::to_owned).collect::<Vec<_>>());
    let documents = bodies.filter_map(|answer| serde_json::from_str::<Value>(answer.split_once("\r\n\r\n")?.1).ok());
    documents.filter(|document| document.get("requestPayload").is_some()).collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
