//! A capturing proxy between the functions and the Runtime API.
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

use super::planted_secrets::{CapturedText, Location};

pub struct TrafficCapture {
    address: SocketAddr,
    streams: CapturedStreams,
}

/// The bytes of each direction of each connection so far.
type CapturedStreams = watch::Sender<Vec<(Location, Vec<u8>)>>;

impl TrafficCapture {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, streams) = (listener.local_addr().unwrap(), CapturedStreams::default());
        let router = Router::new().route("/{runtime_api}", get(start_proxy)).with_state(streams.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, streams }
    }

    /// Replaces the file at `path` by a script that becomes the program. First the script writes its
    /// environment into a file next to it, and replaces the address of the Runtime API by that of a proxy.
    pub fn wrap_program(&self, program: &Path, path: &Path) {
        let (program, path_text, address) = (program.display(), path.display(), self.address);
        let script = format!(
            "#!/bin/sh\nenv > {path_text}.$$.environment\n\
             AWS_LAMBDA_RUNTIME_API=$(curl -s http://{address}/$AWS_LAMBDA_RUNTIME_API)\n\
             export AWS_LAMBDA_RUNTIME_API\nexec {program} \"$@\"\n"
        );
        let temporary = path.with_extension("script");
        fs::write(&temporary, script).unwrap();
        fs::set_permissions(&temporary, Permissions::from_mode(0o755)).unwrap();
        fs::rename(temporary, path).unwrap();
    }

    /// Waits until functions have been invoked with this many failure records.
    pub async fn wait_for_failure_records(&self, count: usize) {
        self.streams.subscribe().wait_for(|streams| failure_records(streams).len() >= count).await.unwrap();
    }

    pub fn captured_texts(&self) -> Vec<CapturedText> {
        let streams = self.streams.borrow();
        let mut texts: Vec<_> = streams
            .iter()
            .map(|(location, bytes)| CapturedText { location: location.clone(), text: lossy_utf8(bytes) })
            .collect();
        for mut record in failure_records(&streams) {
            record.as_object_mut().unwrap().remove("requestPayload");
            texts.push(CapturedText { location: Location::FailureRecord, text: record.to_string() });
        }
        texts
    }
}

/// Starts a proxy of a Runtime API for one function, and responds with its address.
async fn start_proxy(
    State(streams): State<CapturedStreams>,
    extract::Path(runtime_api): extract::Path<String>,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(forward_connection(streams.clone(), connection, runtime_api.clone()));
        }
    });
    address
}

/// Forwards both directions until either side closes the connection.
async fn forward_connection(streams: CapturedStreams, function: TcpStream, runtime_api: String) {
    let Ok(lambda) = TcpStream::connect(runtime_api).await else { return };
    let (from_function, to_function) = function.into_split();
    let (from_lambda, to_lambda) = lambda.into_split();
    tokio::select! {
        () = copy_and_capture(&streams, Location::FunctionResponse, from_function, to_lambda) => {}
        () = copy_and_capture(&streams, Location::Invocation, from_lambda, to_function) => {}
    }
}

async fn copy_and_capture(
    streams: &CapturedStreams,
    location: Location,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) {
    let mut index = 0;
    streams.send_modify(|streams| {
        index = streams.len();
        streams.push((location, Vec::new()));
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        streams.send_modify(|streams| streams[index].1.extend_from_slice(&buffer[..read]));
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}

/// The failure records among the events that Lambda has sent to functions.
fn failure_records(streams: &[(Location, Vec<u8>)]) -> Vec<Value> {
    let mut records = Vec::new();
    for (location, bytes) in streams {
        if *location != Location::Invocation {
            continue;
        }
        for response in lossy_utf8(bytes).split("HTTP/1.1 ") {
            let Some((_, body)) = response.split_once("\r\n\r\n") else { continue };
            let Ok(event) = serde_json::from_str::<Value>(body) else { continue };
            if event.get("requestPayload").is_some() {
                records.push(event);
            }
        }
    }
    records
}

fn lossy_utf8(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
