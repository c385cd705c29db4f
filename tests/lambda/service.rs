//! A Lambda service whose functions tell the test of every invocation.
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use local::{
    fault_injection::{FaultInjector, FaultPlan},
    lambda::{Fault, InvocationType, InvokeError, Lambda, Launcher},
    stack::{Asynchronous, Function, Role},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use uuid::Uuid;

/// The test that plays the function when this binary is started again.
pub const FUNCTION_TEST: &str = "a_function_answers_through_the_runtime_api";
/// Lambda's minute takes 30 milliseconds.
const TIME_SCALE: f64 = 0.0005;
/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Service {
    pub lambda: Lambda,
    told: TcpListener,
}

/// A function's word of an invocation, and the connection that lasts as long as its process.
pub struct Told {
    pub function: String,
    pub request_id: String,
    pub payload: Value,
    connection: BufReader<TcpStream>,
}

impl Service {
    pub async fn start(functions: impl IntoIterator<Item = Function>) -> Self {
        Self::start_with_faults(functions, &FaultPlan::default()).await
    }

    pub async fn start_with_faults(functions: impl IntoIterator<Item = Function>, plan: &FaultPlan) -> Self {
        let told = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = told.local_addr().expect("an address").to_string();
        let functions = functions.into_iter().map(|function| function.telling(&address));
        Self { lambda: lambda_with_faults(functions, plan).await.expect("functions that can be served"), told }
    }

    /// Where functions tell of invocations.
    pub fn address(&self) -> String {
        self.told.local_addr().expect("an address").to_string()
    }

    pub async fn ask(&self, function: &str, payload: Value) -> Result<Value, InvokeError> {
        self.lambda.invoke(function, InvocationType::RequestResponse, payload).await
    }

    pub async fn queue(&self, function: &str, payload: Value) {
        let queued = self.lambda.invoke(function, InvocationType::Event, payload).await;
        assert_eq!(queued, Ok(Value::Null));
    }

    /// The next invocation that a function tells of.
    pub async fn told(&self) -> Told {
        let (connection, _) = patiently(self.told.accept()).await.expect("a connection");
        let mut connection = BufReader::new(connection);
        let line = line_of(&mut connection).await;
        let told: Value = serde_json::from_str(&line).expect("JSON");
        let text = |name: &str| told[name].as_str().expect("a string").to_owned();
        Told { function: text("function"), request_id: text("requestId"), payload: told["payload"].clone(), connection }
    }
}

impl Told {
    /// Lets a function that waits go on, and sees it go on.
    pub async fn release(&mut self) {
        self.connection.write_all(b"go on\n").await.expect("the function reads");
        assert_eq!(line_of(&mut self.connection).await, "went on\n");
    }

    /// Makes a function that waits end its process.
    pub async fn break_down(&mut self) {
        self.connection.write_all(b"exit\n").await.expect("the function reads");
    }

    /// Returns when the process is gone.
    pub async fn process_ended(mut self) {
        patiently(self.connection.read_to_end(&mut Vec::new())).await.ok();
    }
}

async fn line_of(connection: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    patiently(connection.read_line(&mut line)).await.expect("a line");
    line
}

/// What never comes fails the test instead of halting it.
async fn patiently<T>(coming: impl Future<Output = T>) -> T {
    timeout(PATIENCE, coming).await.expect("this comes sooner")
}

/// What a test wants of the function that it starts.
pub trait Playing {
    /// Tells of each invocation there.
    fn telling(self, address: &str) -> Self;
}

impl Playing for Function {
    fn telling(mut self, address: &str) -> Self {
        self.environment.insert("FUNCTION_TELLS".into(), address.to_owned());
        self
    }
}

/// A service in a hurry that starts this binary for each function.
pub async fn lambda(functions: impl IntoIterator<Item = Function>) -> Result<Lambda, Fault> {
    lambda_with_faults(functions, &FaultPlan::default()).await
}

async fn lambda_with_faults(functions: impl IntoIterator<Item = Function>, plan: &FaultPlan) -> Result<Lambda, Fault> {
    let functions = functions.into_iter().map(|function| (function.name.clone(), function)).collect();
    let executable = std::env::current_exe().expect("this binary");
    let arguments = [FUNCTION_TEST, "--exact", "--nocapture"].map(str::to_owned).to_vec();
    let launcher = Launcher {
        environment: Arc::new(|_| environment()),
        time_scale: TIME_SCALE,
        faults: FaultInjector::new(plan),
        ..Launcher::new(executable, arguments, BTreeMap::new())
    };
    Lambda::start(&functions, launcher).await
}

/// Of each process, with an access key id of its own.
fn environment() -> BTreeMap<String, String> {
    let variables = [("AWS_REGION", "eu-west-1".to_owned()), ("AWS_ACCESS_KEY_ID", Uuid::new_v4().to_string())];
    variables.map(|(name, value)| (name.to_owned(), value)).into()
}

pub fn function(name: &str) -> Function {
    Function {
        name: name.to_owned(),
        arn: arn(name),
        memory_megabytes: 256,
        timeout_seconds: 60,
        reserved_concurrency: None,
        environment: BTreeMap::from([("GREETING".to_owned(), "Hello".to_owned())]),
        asynchronous: Asynchronous { retries: 2, event_age_seconds: 21_600, on_failure: None },
        role: Role { arn: format!("arn:aws:iam::123456789012:role/{name}"), statements: Vec::new() },
    }
}

pub fn arn(name: &str) -> String {
    format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}")
}
