//! The functions of the stack: they record their events and return what the test has chosen.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::{BoxFuture, pending, ready};
use local::{
    graphql::FunctionBackend,
    lambda::{FunctionError, InvocationType, InvokeError},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::fixture::TIMEOUT;

const PREFIX: &str = "arn:aws:lambda:us-east-1:000000000000:function:parlance-WebSocketEntry-";

/// Clones are the same functions.
#[derive(Clone, Default)]
pub struct Functions {
    /// The names and events of the invocations that the test has not yet received.
    invocations: Arc<Mutex<Vec<(String, Value)>>>,
    responses: Arc<Mutex<HashMap<&'static str, Response>>>,
}

type Response = Box<dyn Fn(&Value) -> BoxFuture<'static, Result<Value, InvokeError>> + Send>;

impl Functions {
    /// From now on a function returns this.
    pub fn answer(&self, function: &'static str, answer: Value) {
        self.respond(function, move |_| Box::pin(ready(Ok(answer.clone()))));
    }

    /// From now on a function throws an error with this message.
    pub fn throw(&self, function: &'static str, message: &'static str) {
        self.respond(function, move |_| {
            let payload = json!({ "errorType": "Error", "errorMessage": message });
            let error = FunctionError { kind: "Error".into(), message: message.into(), payload };
            Box::pin(ready(Err(InvokeError::Unhandled(error))))
        });
    }

    /// From now on a function never returns.
    pub fn hang(&self, function: &'static str) {
        self.respond(function, |_| Box::pin(pending()));
    }

    pub fn respond(
        &self,
        function: &'static str,
        response: impl Fn(&Value) -> BoxFuture<'static, Result<Value, InvokeError>> + Send + 'static,
    ) {
        self.responses.lock().unwrap().insert(function, Box::new(response));
    }

    /// Waits for the next invocation of a function and returns its event.
    pub async fn next_event(&self, function: &str) -> Value {
        let next = async {
            loop {
                if let Some(event) = self.remove_event(function) {
                    return event;
                }
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(TIMEOUT, next).await.expect("the function is invoked")
    }

    /// The event of an invocation that has begun.
    pub fn remove_event(&self, function: &str) -> Option<Value> {
        let mut invocations = self.invocations.lock().unwrap();
        let position = invocations.iter().position(|(name, _)| name == function)?;
        Some(invocations.remove(position).1)
    }
}

fn standard_answer(function: &str) -> Value {
    let statement = json!({ "Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*" });
    match function {
        "Authorize" => json!({
            "principalId": "ada",
            "policyDocument": { "Version": "2012-10-17", "Statement": [statement] },
        }),
        _ => json!({ "statusCode": 200 }),
    }
}

impl FunctionBackend for Functions {
    fn invoke<'a>(
        &'a self,
        function: &'a str,
        kind: InvocationType,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, InvokeError>> {
        assert_eq!(kind, InvocationType::RequestResponse);
        let name = function.strip_prefix(PREFIX).expect("a function of the stack");
        self.invocations.lock().unwrap().push((name.to_owned(), payload.clone()));
        match self.responses.lock().unwrap().get(name) {
            Some(response) => response(&payload),
            None => Box::pin(ready(Ok(standard_answer(name)))),
        }
    }
}
