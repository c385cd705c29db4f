//! A Lambda service whose functions report every invocation to the test.
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use local::{
    fault_injection::{FaultInjector, FaultPlan},
    lambda::{DestinationError, InvocationType, InvokeError, Lambda, Launcher},
    stack::{EventInvokeConfig, Function, Role},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use uuid::Uuid;

/// The test that runs as the function when this binary is started as a Lambda environment.
pub const FUNCTION_TEST: &str = "function_responds_through_the_runtime_api";
/// A minute of the event queue takes 30 milliseconds.
const TIME_SCALE: f64 = 0.0005;
pub const QUEUE_ARN: &str = "arn:aws:sqs:eu-west-1:123456789012:failures";
/// Longer than any step of a test takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

pub struct Service {
    pub lambda: Lambda,
    reports: TcpListener,
}

/// A function's report of an invocation. The connection stays open until the function's process ends.
pub struct InvocationReport {
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
        let reports = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = reports.local_addr().expect("an address").to_string();
        let functions = functions.into_iter().map(|function| function.reporting_to(&address));
        Self { lambda: lambda_with_faults(functions, plan).await.expect("valid functions"), reports }
    }

    /// The address that receives the reports.
    pub fn address(&self) -> String {
        self.reports.local_addr().expect("an address").to_string()
    }

    pub async fn invoke(&self, function: &str, payload: Value) -> Result<Value, InvokeError> {
        self.lambda.invoke(function, InvocationType::RequestResponse, payload).await
    }

    pub async fn invoke_event(&self, function: &str, payload: Value) {
        let result = self.lambda.invoke(function, InvocationType::Event, payload).await;
        assert_eq!(result, Ok(Value::Null));
    }

    /// The report of the next invocation.
    pub async fn next_report(&self) -> InvocationReport {
        let (connection, _) = with_timeout(self.reports.accept()).await.expect("a connection");
        let mut connection = BufReader::new(connection);
        let line = read_line(&mut connection).await;
        let report: Value = serde_json::from_str(&line).expect("JSON");
        let text = |name: &str| report[name].as_str().expect("a string").to_owned();
        InvocationReport {
            function: text("function"),
            request_id: text("requestId"),
            payload: report["payload"].clone(),
            connection,
        }
    }
}

impl InvocationReport {
    /// Makes a waiting function return.
    pub async fn release(&mut self) {
        self.connection.write_all(b"return\n").await.expect("the function reads");
        assert_eq!(read_line(&mut self.connection).await, "continued\n");
    }

    /// Makes a waiting function exit its process.
    pub async fn exit_process(&mut self) {
        self.connection.write_all(b"exit\n").await.expect("the function reads");
    }

    /// Waits until the process has ended.
    pub async fn process_ended(mut self) {
        with_timeout(self.connection.read_to_end(&mut Vec::new())).await.ok();
    }
}

async fn read_line(connection: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    with_timeout(connection.read_line(&mut line)).await.expect("a line");
    line
}

/// Fails the test where it would wait forever.
async fn with_timeout<T>(future: impl Future<Output = T>) -> T {
    timeout(TIMEOUT, future).await.expect("the test does not hang")
}

pub trait ReportInvocations {
    /// The function reports each invocation to this address.
    fn reporting_to(self, address: &str) -> Self;
}

impl ReportInvocations for Function {
    fn reporting_to(mut self, address: &str) -> Self {
        self.environment.insert("FUNCTION_REPORTS_TO".into(), address.to_owned());
        self
    }
}

/// A service with a short retry schedule that starts this binary for each function.
pub async fn lambda(functions: impl IntoIterator<Item = Function>) -> Result<Lambda, DestinationError> {
    lambda_with_faults(functions, &FaultPlan::default()).await
}

async fn lambda_with_faults(
    functions: impl IntoIterator<Item = Function>,
    plan: &FaultPlan,
) -> Result<Lambda, DestinationError> {
    let functions = functions.into_iter().map(|function| (function.name.clone(), function)).collect();
    let executable = std::env::current_exe().expect("this binary");
    let arguments = test_arguments();
    let launcher = Launcher {
        environment: Arc::new(|_| environment()),
        time_scale: TIME_SCALE,
        faults: FaultInjector::new(plan),
        ..Launcher::new(executable, arguments, BTreeMap::new())
    };
    Lambda::start(&functions, launcher).await
}

/// The arguments that make this binary a function.
pub fn test_arguments() -> Vec<String> {
    [FUNCTION_TEST, "--exact", "--nocapture"].map(str::to_owned).to_vec()
}

/// The environment of a process, with an access key id of its own.
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
        code_folder: String::new(),
        command: None,
        environment: BTreeMap::from([("GREETING".to_owned(), "Hello".to_owned())]),
        event_invoke: EventInvokeConfig { max_retries: 2, max_event_age_seconds: 21_600, on_failure: None },
        role: Role { arn: format!("arn:aws:iam::123456789012:role/{name}"), statements: Vec::new() },
    }
}

pub fn arn(name: &str) -> String {
    format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}")
}
