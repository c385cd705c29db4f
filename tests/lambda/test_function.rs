//! The function that the tests invoke: this test binary, started with Lambda's environment variables.
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::{Value, json};

use crate::lambda_function::exit_when_input_closes;

/// Serves invocations until standard input closes.
#[tokio::main(flavor = "current_thread")]
pub async fn run() {
    exit_when_input_closes();
    match std::env::var("FUNCTION_INIT").as_deref() {
        Ok("fail") => report_init_error().await,
        Ok("exit") => std::process::exit(4),
        Ok("copy") => copy_payloads().await,
        _ => lambda_runtime::run(service_fn(handle)).await.expect("the Runtime API answers"),
    }
}

async fn report_init_error() {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").expect("an address");
    let report = json!({ "errorType": "Settings.Missing", "errorMessage": "TABLE_NAME is not set." });
    let url = format!("http://{api}/2018-06-01/runtime/init/error");
    reqwest::Client::new().post(url).json(&report).send().await.expect("an acknowledgement");
    std::process::exit(1);
}

/// Responds to each invocation with the bytes of its payload.
async fn copy_payloads() {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").expect("an address");
    let url = format!("http://{api}/2018-06-01/runtime/invocation");
    let http = reqwest::Client::new();
    loop {
        let invocation = http.get(format!("{url}/next")).send().await.expect("an invocation");
        let request_id = invocation.headers()["lambda-runtime-aws-request-id"].to_str().expect("text").to_owned();
        let payload = invocation.bytes().await.expect("a payload");
        http.post(format!("{url}/{request_id}/response")).body(payload).send().await.expect("an acknowledgement");
    }
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    let mut test = report_invocation(&event);
    let payload = event.payload;
    match payload["do"].as_str().unwrap_or("echo") {
        "fail" => {
            let message = payload["message"].as_str().unwrap_or_default().to_owned();
            Err(Diagnostic { error_type: "Deliberate".into(), error_message: message })
        }
        "exit" => std::process::exit(3),
        "hang" => std::future::pending().await,
        "wait" => {
            wait_for_command(test.as_mut().expect("FUNCTION_REPORTS_TO"));
            Ok(Value::Null)
        }
        "describe" => Ok(json!({
            "requestId": event.context.request_id,
            "deadline": event.context.deadline,
            "arn": event.context.invoked_function_arn,
            "trace": event.context.xray_trace_id,
            "environment": std::env::vars().collect::<std::collections::BTreeMap<_, _>>(),
            "process": std::process::id(),
        })),
        "large" => Ok("x".repeat(payload["bytes"].as_u64().unwrap_or_default() as usize).into()),
        _ => Ok(payload),
    }
}

fn wait_for_command(test: &mut BufReader<TcpStream>) {
    let mut command = String::new();
    test.read_line(&mut command).expect("a line");
    if command == "exit\n" {
        std::process::exit(3);
    }
    writeln!(test.get_mut(), "continued").expect("the test reads");
}

/// Reports the invocation to the test, over a connection that stays open until this process ends.
fn report_invocation(event: &LambdaEvent<Value>) -> Option<BufReader<TcpStream>> {
    let mut test = TcpStream::connect(std::env::var("FUNCTION_REPORTS_TO").ok()?).expect("the test listens");
    let report = json!({
        "function": event.context.env_config.function_name,
        "requestId": event.context.request_id,
        "payload": event.payload,
    });
    writeln!(test, "{report}").expect("the test reads");
    std::mem::forget(test.try_clone().expect("a second handle"));
    Some(BufReader::new(test))
}
