//! A function as Lambda runs it: a process that asks the Runtime API for invocations.
use std::{
    fs::File,
    io::{Read, Seek},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    sync::{Notify, mpsc},
    time::timeout,
};

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(100);

/// The function's responses, or its errors.
pub type Responses = mpsc::UnboundedReceiver<Result<Value, Value>>;

/// Lambda's Runtime API for one process at a time.
pub struct RuntimeApi {
    invocation: Mutex<Option<Invocation>>,
    is_set: Notify,
    /// How many processes wait for an invocation, the dead whose connections are still open included.
    waiting: AtomicUsize,
    responses: mpsc::UnboundedSender<Result<Value, Value>>,
}

struct Invocation {
    event: Value,
    time: Duration,
}

impl RuntimeApi {
    pub fn new() -> (Arc<Self>, Responses) {
        let (responses, received) = mpsc::unbounded_channel();
        let api = Self { invocation: Mutex::default(), is_set: Notify::new(), waiting: AtomicUsize::new(0), responses };
        (Arc::new(api), received)
    }

    /// Sets the next invocation, which has this long.
    pub fn set_invocation(&self, event: Value, time: Duration) {
        *self.invocation.lock().unwrap() = Some(Invocation { event, time });
        self.is_set.notify_one();
    }

    /// Removes the invocation that no process has asked for.
    pub fn clear_invocation(&self) {
        *self.invocation.lock().unwrap() = None;
    }

    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next_invocation))
            .route("/2018-06-01/runtime/invocation/{id}/{result}", post(end_invocation))
            .with_state(self)
    }

    /// Returns once no process waits, so that no dead one takes the next invocation.
    async fn until_nobody_waits(&self) {
        while self.waiting.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn next(&self) -> Invocation {
        let _waiting = Waiting::new(&self.waiting);
        loop {
            if let Some(invocation) = self.invocation.lock().unwrap().take() {
                return invocation;
            }
            self.is_set.notified().await;
        }
    }
}

/// Counts a request until its connection breaks or it has its answer.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn next_invocation(State(api): State<Arc<RuntimeApi>>) -> Response {
    let Invocation { event, time } = api.next().await;
    let deadline = (SystemTime::now() + time).duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", "i1".to_owned()),
        ("Lambda-Runtime-Deadline-Ms", deadline.to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:test".to_owned()),
    ];
    (headers, Json(event)).into_response()
}

async fn end_invocation(
    State(api): State<Arc<RuntimeApi>>,
    Path((_, result)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    let body = serde_json::from_slice(&body).expect("JSON");
    let response = if result == "response" { Ok(body) } else { Err(body) };
    api.responses.send(response).expect("the test waits");
    StatusCode::ACCEPTED
}

/// The variables that every function has. `url`: of the Runtime API.
pub fn environment(url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_REGION", "us-east-1".into()),
        ("AWS_ACCESS_KEY_ID", "AKIATEST".into()),
        ("AWS_SECRET_ACCESS_KEY", "secret".into()),
        ("AWS_LAMBDA_RUNTIME_API", url.trim_start_matches("http://").to_owned()),
        ("AWS_LAMBDA_LOG_LEVEL", "DEBUG".into()),
        ("AWS_LAMBDA_FUNCTION_NAME", "test".into()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".into()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".into()),
    ]
}

/// A process, which is killed with this value.
pub struct Function {
    process: Child,
    output: File,
    runtime: Arc<RuntimeApi>,
}

impl Function {
    pub fn start(program: &str, environment: Vec<(&'static str, String)>, runtime: &Arc<RuntimeApi>) -> Self {
        // A pipe that nobody reads would stop the process once it is full.
        let output = tempfile::tempfile().expect("a file");
        let process = Command::new(program)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the file is shared"))
            .stderr(output.try_clone().expect("the file is shared"))
            .kill_on_drop(true)
            .spawn()
            .expect("the function starts");
        Self { process, output, runtime: Arc::clone(runtime) }
    }

    pub async fn kill(&mut self) {
        self.process.kill().await.expect("the function is killed");
        self.runtime.until_nobody_waits().await;
    }

    /// Ends the process. Returns everything that it has written.
    pub async fn into_output(mut self) -> String {
        self.kill().await;
        let mut output = String::new();
        self.output.rewind().expect("the file has a beginning");
        self.output.read_to_string(&mut output).expect("the output is text");
        output
    }
}

/// The response of the running invocation, or its error.
pub async fn next_response(responses: &mut Responses) -> Option<Result<Value, Value>> {
    timeout(RESPONSE_TIMEOUT, responses.recv()).await.ok().flatten()
}
