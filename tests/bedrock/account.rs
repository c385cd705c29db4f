//! The program with `--bedrock`, whose AWS is a server of this test.
use std::{path::Path, process::Stdio, time::Duration};

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::Command,
    time::timeout,
};

/// Longer than the program takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(180);
const PROFILE: &str = "us.anthropic.claude-sonnet-5";
const APPLICATION_PROFILE: &str = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1";

/// STS, and Bedrock with one model that has a profile and one that has none. Returns the URL.
async fn start_aws() -> String {
    let model = |id: &str, inference: &str, output: &str| {
        json!({
            "modelId": id, "modelName": "A model", "outputModalities": [output],
            "inferenceTypesSupported": [inference], "modelLifecycle": { "status": "ACTIVE" },
        })
    };
    let models = json!({ "modelSummaries": [
        model("anthropic.claude-sonnet-5", "INFERENCE_PROFILE", "TEXT"),
        model("amazon.nova-lite-v1:0", "ON_DEMAND", "TEXT"),
        model("amazon.titan-image", "ON_DEMAND", "IMAGE"),
    ] });
    let router = Router::new()
        .route("/", post(identify))
        .route("/foundation-models", get(|headers: HeaderMap| async move { signed(&headers, models) }))
        .route("/inference-profiles", get(list_profiles));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}

/// GetCallerIdentity.
async fn identify(headers: HeaderMap) -> Response {
    let authorization = headers["authorization"].to_str().unwrap();
    let xml = [(CONTENT_TYPE, "text/xml")];
    if !authorization.contains("Credential=AKIDGOOD/") {
        let error = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code>\
                     <Message>The security token included in the request is invalid.</Message></Error></ErrorResponse>";
        return (StatusCode::FORBIDDEN, xml, error).into_response();
    }
    let identity = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>\
                    </GetCallerIdentityResult></GetCallerIdentityResponse>";
    (xml, identity).into_response()
}

/// One profile on each of two pages.
async fn list_profiles(headers: HeaderMap, uri: Uri) -> Response {
    let query = uri.query().unwrap_or_default();
    let profile = |id: &str, kind: &str, arn: &str| {
        let model = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-5";
        json!({
            "inferenceProfileId": id, "inferenceProfileArn": arn, "inferenceProfileName": "A profile", "type": kind,
            "models": [{ "modelArn": model }],
        })
    };
    let defined =
        |id: &str| profile(id, "SYSTEM_DEFINED", &format!("arn:aws:bedrock:us-east-1::inference-profile/{id}"));
    let page = match (query.contains("type=APPLICATION"), query.contains("nextToken=a%2Fb%3D")) {
        (true, _) => json!({ "inferenceProfileSummaries": [profile("a1", "APPLICATION", APPLICATION_PROFILE)] }),
        (false, false) => json!({ "inferenceProfileSummaries": [defined(PROFILE)], "nextToken": "a/b=" }),
        (false, true) => json!({ "inferenceProfileSummaries": [defined("eu.anthropic.claude-sonnet-5")] }),
    };
    signed(&headers, page)
}

fn signed(headers: &HeaderMap, document: Value) -> Response {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !authorization.contains("/us-east-1/bedrock/aws4_request") {
        return (StatusCode::FORBIDDEN, [("x-amzn-errortype", "AccessDeniedException")], "{}").into_response();
    }
    Json(document).into_response()
}

fn parlance(aws: &str, arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlance"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        command.env_remove(name);
    }
    command.env("HOME", folder).env("AWS_REGION", "us-east-1").env("AWS_EC2_METADATA_DISABLED", "true");
    for service in ["STS", "BEDROCK", "BEDROCK_RUNTIME", "BEDROCK_AGENT_RUNTIME"] {
        command.env(format!("AWS_ENDPOINT_URL_{service}"), aws);
    }
    command
}

fn with_key<'a>(command: &'a mut Command, key: &str) -> &'a mut Command {
    command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", "secret")
}

const SERVER: [&str; 7] =
    ["--bedrock", "--port", "0", "--no-page", "--ephemeral", "--parameter", "ModelId=us.anthropic.claude-sonnet-5"];

#[tokio::test]
async fn start_message_has_model_region_and_account() {
    let (aws, folder) = (start_aws().await, tempfile::tempdir().unwrap());
    let mut command = parlance(&aws, &SERVER, folder.path());
    command.arg("--state").arg(folder.path().join("state"));
    let mut server = with_key(&mut command, "AKIDGOOD").spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut printed = None;
    while let Some(line) = timeout(TIMEOUT, lines.next_line()).await.unwrap().unwrap() {
        if line.starts_with("  Models") {
            printed = Some(line);
            break;
        }
    }
    let expected = format!("  Models         {PROFILE} of Amazon Bedrock in us-east-1, account 123456789012");
    assert_eq!(printed, Some(expected));
}

#[tokio::test]
async fn missing_and_refused_credentials_are_said_with_what_to_do() {
    let aws = start_aws().await;
    for (key, expected) in [
        (None, "parlance: Bedrock needs AWS credentials, and none were found: sign in with `aws sso login`"),
        (Some("AKIDBAD"), "parlance: AWS refuses your credentials (InvalidClientTokenId): sign in with"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = parlance(&aws, &SERVER, folder.path());
        command.arg("--state").arg(folder.path().join("state"));
        if let Some(key) = key {
            with_key(&mut command, key);
        }
        let output = timeout(TIMEOUT, command.output()).await.unwrap().unwrap();
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), sentence.lines().count()), (Some(1), 1), "{sentence}");
        assert!(sentence.starts_with(expected), "{sentence}");
    }
}

#[tokio::test]
async fn offered_models_are_listed_with_the_grants_of_the_template() {
    let (aws, folder) = (start_aws().await, tempfile::tempdir().unwrap());
    let more = format!("MoreModelArns={APPLICATION_PROFILE}");
    let arguments = [
        &["models", "--bedrock", "--json", "--parameter", "ModelId=us.anthropic.claude-sonnet-5"][..],
        &["--parameter", &more],
    ]
    .concat();
    let mut command = parlance(&aws, &arguments, folder.path());
    let output = timeout(TIMEOUT, with_key(&mut command, "AKIDGOOD").output()).await.unwrap().unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let allowed: Vec<_> = rows.iter().map(|row| (row["id"].as_str().unwrap(), row["allowed"] == true)).collect();
    let expected = [
        ("amazon.nova-lite-v1:0", false),
        (APPLICATION_PROFILE, true),
        ("eu.anthropic.claude-sonnet-5", false),
        (PROFILE, true),
    ];
    assert_eq!(allowed, expected);
    assert_eq!((&rows[2]["family"], &rows[2]["note"]), (&json!("Claude Sonnet 5"), &json!("A profile, profile")));
}
