//! The function under test, played by this binary when Lambda's variables are there.
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::{Value, json};

/// Whether this process was started as an execution environment.
pub fn is_asked_for() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Serves invocations until standard input closes.
#[tokio::main(flavor = "current_thread")]
pub async fn play() {
    std::thread::spawn(end_with_standard_input);
    match std::env::var("FUNCTION_INIT").as_deref() {
        Ok("refuse") => refuse_to_start().await,
        Ok("exit") => std::process::exit(4),
        _ => lambda_runtime::run(service_fn(answer)).await.expect("the Runtime API answers"),
    }
}

fn end_with_standard_input() {
    io::stdin().read_to_end(&mut Vec::new()).ok();
    std::process::exit(0);
}

async fn refuse_to_start() {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").expect("an address");
    let report = json!({ "errorType": "Settings.Missing", "errorMessage": "TABLE_NAME is not set." });
    let url = format!("http://{api}/2018-06-01/runtime/init/error");
    reqwest::Client::new().post(url).json(&report).send().await.expect("an acknowledgement");
    std::process::exit(1);
}

async fn answer(event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    let mut caller = tell(&event);
    let payload = event.payload;
    match payload["do"].as_str().unwrap_or("echo") {
        "fail" => {
            let message = payload["message"].as_str().unwrap_or_default().to_owned();
            Err(Diagnostic { error_type: "Deliberate".into(), error_message: message })
        }
        "exit" => std::process::exit(3),
        "hang" => std::future::pending().await,
        "wait" => {
            wait(caller.as_mut().expect("FUNCTION_TELLS"));
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

fn wait(caller: &mut BufReader<TcpStream>) {
    let mut order = String::new();
    caller.read_line(&mut order).expect("a line");
    if order == "exit\n" {
        std::process::exit(3);
    }
    writeln!(caller.get_mut(), "went on").expect("the test reads");
}

/// Tells the test of the invocation, over a connection that stays open as long as this process lives.
fn tell(event: &LambdaEvent<Value>) -> Option<BufReader<TcpStream>> {
    let mut caller = TcpStream::connect(std::env::var("FUNCTION_TELLS").ok()?).expect("the test listens");
    let told = json!({
        "function": event.context.env_config.function_name,
        "requestId": event.context.request_id,
        "payload": event.payload,
    });
    writeln!(caller, "{told}").expect("the test reads");
    std::mem::forget(caller.try_clone().expect("a second handle"));
    Some(BufReader::new(caller))
}
