//! What a function's process tells the Runtime API.
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use local::{
    lambda::{InvocationType, InvokeError, Lambda, Launcher},
    stack::{EventInvokeConfig, Function, Role},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::sleep;

use super::{Target, besiege, texts};

/// A process that only lives: what it would say is said for it.
const PROCESS: &str = r#"echo "$AWS_LAMBDA_RUNTIME_API" > "$TOLD.new"; mv "$TOLD.new" "$TOLD"; exec cat"#;
const API: &str = "/2018-06-01/runtime";

struct Answers {
    lambda: Lambda,
    http: reqwest::Client,
    told: PathBuf,
    _folder: TempDir,
}

impl Answers {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let told = folder.path().join("address");
        let environment = BTreeMap::from([("TOLD".to_owned(), told.display().to_string())]);
        let launcher = Launcher::new("sh".into(), vec!["-c".into(), PROCESS.into()], environment);
        let function = Function {
            name: "f".into(),
            arn: "arn:aws:lambda:us-east-1:000000000000:function:f".into(),
            memory_megabytes: 128,
            timeout_seconds: 60,
            reserved_concurrency: Some(1),
            environment: BTreeMap::new(),
            event_invoke: EventInvokeConfig { max_retries: 0, max_event_age_seconds: 60, on_failure: None },
            role: Role { arn: "arn:aws:iam::000000000000:role/f".into(), statements: Vec::new() },
        };
        let lambda = Lambda::start(&[("f".to_owned(), function)].into(), launcher).await.expect("a service");
        Self { lambda, http: reqwest::Client::new(), told, _folder: folder }
    }

    async fn address(&self) -> String {
        loop {
            match std::fs::read_to_string(&self.told) {
                Ok(address) => return address.trim().to_owned(),
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        }
    }
}

impl Target for Answers {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let mut answers = texts(&[
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
        answers.push(vec![b'x'; 6_291_557]);
        answers.push(b"\"\xff\xfe\"".to_vec());
        answers
    }

    /// The invocation ends with what was told of it, answer or error, and the next one is served.
    async fn take(&mut self, input: &[u8]) -> Result<(), String> {
        let lambda = self.lambda.clone();
        let invoked = tokio::spawn(async move { lambda.invoke("f", InvocationType::RequestResponse, json!({})).await });
        let api = format!("http://{}{API}", self.address().await);
        let asked = self.http.get(format!("{api}/invocation/next")).send().await.map_err(|fault| fault.to_string())?;
        let id = asked.headers()["lambda-runtime-aws-request-id"].to_str().expect("an id").to_owned();
        let kind = if input.len().is_multiple_of(2) { "response" } else { "error" };
        let nobody = self.http.post(format!("{api}/invocation/nobody/{kind}")).body(input.to_vec()).send();
        let told = self.http.post(format!("{api}/invocation/{id}/{kind}")).body(input.to_vec()).send();
        let statuses = [nobody.await, told.await].map(|told| told.map(|told| told.status().as_u16()));
        match (statuses, invoked.await.map_err(|panicked| panicked.to_string())?) {
            ([Ok(400), Ok(202 | 413)], Ok(_) | Err(InvokeError::Unhandled(_))) => Ok(()),
            unexpected => Err(format!("{unexpected:?}")),
        }
    }

    async fn after(&mut self) -> Result<(), String> {
        self.lambda.stop().await;
        Ok(())
    }
}

#[tokio::test]
async fn answers_of_functions() {
    besiege("answers", 40, &mut Answers::new().await).await;
}
