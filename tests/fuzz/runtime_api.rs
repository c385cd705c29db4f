//! The Runtime API: what a function's process posts as a response or an error.
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use local::{
    lambda::{InvocationType, InvokeError, Lambda, Launcher},
    stack::{EventInvokeConfig, Function, Role},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{
    byte_inputs,
    fuzzer::{Target, fuzz},
};

/// Writes the address of its Runtime API to a file and then only waits: the test makes the calls in its
/// place.
const PROCESS_SCRIPT: &str =
    r#"echo "$AWS_LAMBDA_RUNTIME_API" > "$ADDRESS_FILE.new"; mv "$ADDRESS_FILE.new" "$ADDRESS_FILE"; exec cat"#;
/// One byte more than Lambda accepts.
const TOO_LARGE_BYTES: usize = 6_291_557;

struct FunctionResponses {
    lambda: Lambda,
    http: reqwest::Client,
    address_file: PathBuf,
    _folder: TempDir,
}

impl FunctionResponses {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder is created");
        let address_file = folder.path().join("address");
        let environment = BTreeMap::from([("ADDRESS_FILE".to_owned(), address_file.display().to_string())]);
        let launcher = Launcher::new("sh".into(), vec!["-c".into(), PROCESS_SCRIPT.into()], environment);
        let function = Function {
            name: "f".into(),
            arn: "arn:aws:lambda:us-east-1:000000000000:function:f".into(),
            memory_megabytes: 128,
            timeout_seconds: 60,
            reserved_concurrency: Some(1),
            code_folder: String::new(),
            command: None,
            environment: BTreeMap::new(),
            event_invoke: EventInvokeConfig { max_retries: 0, max_event_age_seconds: 60, on_failure: None },
            role: Role { arn: "arn:aws:iam::000000000000:role/f".into(), statements: Vec::new() },
        };
        let functions = BTreeMap::from([("f".to_owned(), function)]);
        let lambda = Lambda::start(&functions, launcher).await.expect("the service starts");
        Self { lambda, http: reqwest::Client::new(), address_file, _folder: folder }
    }

    async fn runtime_api_url(&self) -> String {
        loop {
            match std::fs::read_to_string(&self.address_file) {
                Ok(address) => return format!("http://{}/2018-06-01/runtime", address.trim()),
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// Posts the input for an invocation and returns the status of the response.
    async fn post(&self, url: String, input: &[u8]) -> Result<u16, String> {
        let response = self.http.post(url).body(input.to_vec()).send().await.map_err(|error| error.to_string())?;
        Ok(response.status().as_u16())
    }
}

impl Target for FunctionResponses {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let mut responses = byte_inputs(&[
            "",
            "null",
            "{}",
            "{",
            "\"\\ud800\"",
            "1e999",
            "{\"a\":1,\"a\":2}",
            r#"{"errorMessage":"m","errorType":"T","stackTrace":[]}"#,
            r#"{"errorMessage":1,"errorType":{},"stackTrace":null}"#,
            &"[".repeat(300_000),
        ]);
        responses.push(vec![b'x'; TOO_LARGE_BYTES]);
        responses.push(b"\"\xff\xfe\"".to_vec());
        responses
    }

    /// Posts the input as the response or the error of an unknown and of the current invocation. The
    /// invocation must end, and the next one must be served.
    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let lambda = self.lambda.clone();
        let invocation =
            tokio::spawn(async move { lambda.invoke("f", InvocationType::RequestResponse, json!({})).await });
        let api = self.runtime_api_url().await;
        let next = self.http.get(format!("{api}/invocation/next")).send().await.map_err(|error| error.to_string())?;
        let request_id = next.headers()["lambda-runtime-aws-request-id"].to_str().expect("the id is text");
        let kind = if input.len().is_multiple_of(2) { "response" } else { "error" };
        let unknown_status = self.post(format!("{api}/invocation/unknown/{kind}"), input).await?;
        let status = self.post(format!("{api}/invocation/{request_id}/{kind}"), input).await?;
        let result = invocation.await.map_err(|panic| panic.to_string())?;
        match (unknown_status, status, result) {
            (400, 202 | 413, Ok(_) | Err(InvokeError::Unhandled(_))) => Ok(()),
            unexpected => Err(format!("{unexpected:?}")),
        }
    }

    async fn finish(&mut self) -> Result<(), String> {
        self.lambda.stop().await;
        Ok(())
    }
}

#[tokio::test]
async fn function_responses() {
    fuzz("function responses", 40, &mut FunctionResponses::new().await).await;
}
