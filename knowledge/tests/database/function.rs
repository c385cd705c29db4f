//! The init function as Lambda runs it: a process.
use std::{process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::services::{Responses, Services};

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(100);

pub struct Function {
    process: Child,
}

impl Function {
    pub fn start(services: &Services) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_knowledge-init"))
            .env_clear()
            .envs(services.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the function starts");
        Self { process }
    }

    pub async fn kill(&mut self) {
        self.process.kill().await.expect("the function is killed");
    }

    /// Ends the process. Returns everything that it has written.
    async fn into_output(mut self) -> String {
        self.process.start_kill().expect("the function is killed");
        let output = self.process.wait_with_output().await.expect("the output");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

/// Runs one invocation. Returns the output of the process, or the invocation's error.
pub async fn run_to_end(services: &Services, responses: &mut Responses) -> Result<String, Value> {
    let function = Function::start(services);
    let response = timeout(RESPONSE_TIMEOUT, responses.recv()).await;
    let output = function.into_output().await;
    match response {
        Ok(Some(Ok(_))) => Ok(output),
        Ok(Some(Err(error))) => Err(error),
        Ok(None) | Err(_) => panic!("the invocation has no response: {output}"),
    }
}
