//! Responses of tools: of Lambda functions and of GraphQL APIs.
use handler::tool_responses::{function_result, operation_result};
use serde::de::IgnoredAny;
use serde_json::json;
use turn::tool::ToolEffect;

use crate::{
    byte_inputs,
    fuzzer::{Target, fuzz, run_on_thread},
    mutator::Mutator,
};

/// Ten messages of 1,000 characters, or data as it came.
const MAX_TEXT_CHARACTERS: usize = 10 * 1_001;

struct Responses;

impl Target for Responses {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let many_errors = format!(r#"{{"data":null,"errors":[{}]}}"#, vec![r#"{"message":"No."}"#; 1_000].join(","));
        let long_errors = vec![json!({ "message": "é\n".repeat(1_000) }); 20];
        let long_errors = json!({ "errors": long_errors }).to_string();
        let long_message = format!(r#"{{"errorMessage":"{}"}}"#, "é".repeat(100_000));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let mut bodies = byte_inputs(&[
            "",
            "null",
            "7",
            r#"{"data":{"a":{"b":[1.0,"\ud83d\ude42"]}}}"#,
            r#"{"data":{"a":null},"errors":[{"message":"No.","path":["a",0],"errorType":"NotFound"}]}"#,
            r#"{"data":{"a":1,"b":null},"errors":[{"message":"No.","path":["b"]},{"message":"","path":null}]}"#,
            r#"{"errors":[{"message":"No.","errorType":"UnauthorizedException"}]}"#,
            r#"{"errors":[]}"#,
            r#"{"data":{"a":"\ud800"}}"#,
            r#"{"errorMessage":"No order.","errorType":"Error","stackTrace":["secret"]}"#,
            &many_errors,
            &long_errors,
            &long_message,
            &deep,
            &format!(r#"{{"data":{deep}}}"#),
        ]);
        bodies.push(b"\"\xff\xfe\"".to_vec());
        bodies
    }

    /// In one case of two, JSON with one value changed.
    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        let body = mutator.choose_input(corpus);
        match serde_json::from_slice(body) {
            Ok(body) if mutator.one_in(2) => mutator.mutate_json(&body).to_string().into(),
            _ => mutator.mutate_any(corpus),
        }
    }

    /// A result is JSON text, and the text of an error is short. Neither is from a stack trace.
    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let body = input.to_vec();
        let results = run_on_thread(move || {
            let results =
                [function_result(body.clone(), false), function_result(body.clone(), true), operation_result(&body)];
            results.map(|result| result.map_err(|error| error.status_and_text(ToolEffect::Write).1))
        });
        for result in results.await? {
            match result {
                Ok(json) if serde_json::from_str::<IgnoredAny>(&json).is_err() => {
                    return Err(format!("the result is not JSON: {json}"));
                }
                Err(text) if text.trim().is_empty() || text.chars().count() > MAX_TEXT_CHARACTERS => {
                    return Err(format!("the error has {} bytes", text.len()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn tool_responses() {
    fuzz("tool responses", 150, &mut Responses).await;
}
