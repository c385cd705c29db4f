//! Lambda's Invoke API, as functions call it.
use local::{
    command_line::CommandLine,
    identity::{Authenticator, Principal},
    lambda::{InvokeError, LocalFunction},
    stack::Function,
};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::{join, net::TcpListener};

use crate::service::{InvocationReport, Service, arn, function, test_arguments};

/// The API with a caller whose role may invoke every function but `forbidden`.
struct Api {
    service: Service,
    url: String,
}

struct ApiResponse {
    status: u16,
    error_type: Option<String>,
    function_error: Option<String>,
    executed_version: Option<String>,
    request_id: String,
    body: Vec<u8>,
}

impl Api {
    async fn start(functions: impl IntoIterator<Item = Function>) -> Self {
        let service = Service::start(functions).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/2015-03-31/functions", listener.local_addr().expect("an address"));
        let router = service.lambda.router(authenticator());
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { service, url }
    }

    async fn invoke(&self, function: &str, payload: &str) -> ApiResponse {
        self.send(function, payload, &[]).await
    }

    async fn send(&self, function: &str, payload: &str, headers: &[(&str, &str)]) -> ApiResponse {
        let signature = "AWS4-HMAC-SHA256 Credential=AKIDHANDLER/20260101/us-east-1/lambda/aws4_request, Signature=0";
        let url = format!("{}/{}/invocations", self.url, function.replace(':', "%3A"));
        let mut request = reqwest::Client::new().post(url).header("authorization", signature).body(payload.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        ApiResponse::read(request.send().await.expect("a response")).await
    }

    async fn next_report(&self) -> InvocationReport {
        self.service.next_report().await
    }
}

impl ApiResponse {
    async fn read(response: Response) -> Self {
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        Self {
            status: response.status().as_u16(),
            error_type: header("x-amzn-errortype"),
            function_error: header("x-amz-function-error"),
            executed_version: header("x-amz-executed-version"),
            request_id: header("x-amzn-requestid").expect("a request id"),
            body: response.bytes().await.expect("a whole body").to_vec(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }
}

fn authenticator() -> Authenticator {
    let authenticator = Authenticator::new(Vec::new(), Vec::new());
    let credentials = ["AKIDHANDLER".into(), "secret".into(), "token".into()];
    let allow = json!({ "Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*" });
    let deny = json!({ "Effect": "Deny", "Action": "lambda:InvokeFunction", "Resource": arn("forbidden") });
    let role = "arn:aws:iam::123456789012:role/Handler";
    authenticator.add_principal(Principal::role_session(role, "run", credentials, &[allow, deny]));
    authenticator
}

#[tokio::test]
async fn payload_and_response_are_passed_on_byte_for_byte() {
    let mut copying = function("copy");
    copying.environment.insert("FUNCTION_INIT".into(), "copy".into());
    let api = Api::start([copying]).await;
    let payload = r#"{"b": 1.0, "a":"\u00e9", "n":12345678901234567890123}"#;
    let response = api.invoke(&arn("copy"), payload).await;
    assert_eq!((response.status, response.text()), (200, payload));
    assert_eq!(response.executed_version.as_deref(), Some("$LATEST"));
    assert_eq!((response.function_error, response.error_type), (None, None));
    api.service.lambda.stop().await;
}

#[tokio::test]
async fn function_error_is_a_successful_response_with_a_header() {
    let api = Api::start([function("answer")]).await;
    for (payload, expected) in [
        (
            r#"{"do":"fail","message":"No such city."}"#,
            json!({ "errorType": "Deliberate", "errorMessage": "No such city." }),
        ),
        (r#"{"do":"exit"}"#, json!({ "errorType": "Runtime.ExitError", "errorMessage": null })),
    ] {
        let response = api.invoke("answer", payload).await;
        assert_eq!((response.status, response.function_error.as_deref()), (200, Some("Unhandled")));
        let mut error = response.json();
        if expected["errorMessage"].is_null() {
            error["errorMessage"].take();
        }
        assert_eq!(error, expected);
    }
    api.service.lambda.stop().await;
}

#[tokio::test]
async fn function_is_named_by_name_or_arn() {
    let api = Api::start([function("answer")]).await;
    let named = ["answer", "answer:$LATEST", "123456789012:function:answer", &arn("answer"), &arn("answer:$LATEST")];
    for name in named {
        assert_eq!(api.invoke(name, "1").await.text(), "1", "{name}");
    }
    let elsewhere = "arn:aws:lambda:us-east-1:123456789012:function:answer";
    for (name, missing) in
        [(elsewhere, elsewhere), (&arn("question"), &arn("question")), ("answer:live", &arn("answer:live"))]
    {
        let response = api.invoke(name, "1").await;
        assert_eq!((response.status, response.error_type.as_deref()), (404, Some("ResourceNotFoundException")));
        let message = format!("Function not found: {missing}");
        assert_eq!(response.json(), json!({ "Type": "User", "Message": message }));
    }
    let response = api.invoke("no name", "1").await;
    assert_eq!((response.status, response.error_type.as_deref()), (400, Some("ValidationException")));
    api.service.lambda.stop().await;
}

#[tokio::test]
async fn caller_needs_the_permission_to_invoke() {
    let api = Api::start([function("forbidden")]).await;
    let response = api.invoke(&arn("forbidden"), "1").await;
    assert_eq!((response.status, response.error_type.as_deref()), (403, Some("AccessDeniedException")));
    let message = "User: arn:aws:sts::123456789012:assumed-role/Handler/run is not authorized to perform: \
                   lambda:InvokeFunction on resource: arn:aws:lambda:eu-west-1:123456789012:function:forbidden with an \
                   explicit deny in an identity-based policy";
    assert_eq!(response.json(), json!({ "Message": message }));
    let url = format!("{}/forbidden/invocations", api.url);
    let response = ApiResponse::read(reqwest::Client::new().post(url).send().await.expect("a response")).await;
    assert_eq!((response.status, response.error_type.as_deref()), (403, Some("UnrecognizedClientException")));
    api.service.lambda.stop().await;
}

#[tokio::test]
async fn busy_function_is_throttled() {
    let api = Api::start([Function { reserved_concurrency: Some(1), ..function("answer") }]).await;
    let (waited, throttled) = join!(api.invoke("answer", r#"{"do":"wait"}"#), async {
        let mut busy = api.next_report().await;
        let throttled = api.invoke("answer", "1").await;
        busy.release().await;
        throttled
    });
    assert_eq!(waited.text(), "null");
    assert_eq!((throttled.status, throttled.error_type.as_deref()), (429, Some("TooManyRequestsException")));
    let reason = "ReservedFunctionConcurrentInvocationLimitExceeded";
    assert_eq!(throttled.json(), json!({ "Reason": reason, "Type": "User", "message": "Rate Exceeded." }));
    api.service.lambda.stop().await;
}

#[tokio::test]
async fn payload_must_be_json_of_at_most_six_megabytes() {
    let api = Api::start([function("answer")]).await;
    assert_eq!(api.invoke("answer", "").await.text(), "{}", "no payload is an empty object");
    let response = api.invoke("answer", "{").await;
    assert_eq!((response.status, response.error_type.as_deref()), (400, Some("InvalidRequestContentException")));
    let large = format!("\"{}\"", "x".repeat(6 * 1024 * 1024));
    let response = api.invoke("answer", &large).await;
    assert_eq!((response.status, response.error_type.as_deref()), (413, Some("RequestEntityTooLargeException")));
    let message = "Request must be smaller than 6291456 bytes for the InvokeFunction operation";
    assert_eq!(response.json()["message"], message);
    api.service.lambda.stop().await;
}

#[tokio::test]
async fn invocation_type_decides_whether_the_caller_waits() {
    let api = Api::start([function("answer")]).await;
    let (event, mut report) =
        join!(api.send("answer", r#"{"do":"wait"}"#, &[("x-amz-invocation-type", "Event")]), api.next_report());
    assert_eq!((event.status, event.body.len()), (202, 0));
    assert_eq!(event.request_id, report.request_id);
    report.release().await;
    let dry = api.send("answer", "1", &[("x-amz-invocation-type", "DryRun")]).await;
    assert_eq!((dry.status, dry.body.len()), (204, 0));
    let unknown = api.send("answer", "1", &[("x-amz-invocation-type", "Later")]).await;
    assert_eq!((unknown.status, unknown.error_type.as_deref()), (400, Some("ValidationException")));
    api.service.lambda.stop().await;
}

#[tokio::test]
async fn function_with_a_command_is_a_program_of_its_own() {
    let command = CommandLine { program: "/nowhere/forecast".into(), arguments: Vec::new() };
    let missing = Function { command: Some(command), ..function("missing") };
    let service = Service::start([missing, function("answer")]).await;
    let Err(InvokeError::Unhandled(error)) = service.invoke("missing", json!({})).await else {
        panic!("a missing program responded")
    };
    assert_eq!(error.kind, "Runtime.InvalidEntrypoint");
    assert_eq!(service.invoke("answer", json!(1)).await, Ok(json!(1)));
    service.lambda.stop().await;
}

#[tokio::test]
async fn processes_that_a_command_started_end_with_it() {
    let test_binary = std::env::current_exe().expect("this binary");
    let command = format!("sleep 1000 | {} {}", test_binary.display(), test_arguments().join(" "));
    let command = CommandLine { program: "sh".into(), arguments: vec!["-c".into(), command] };
    let function = LocalFunction { name: "forecast".into(), command }.to_function();
    let service = Service::start([function]).await;
    let (_, report) = join!(service.invoke("forecast", json!({})), service.next_report());
    service.lambda.stop().await;
    report.process_ended().await;
}
