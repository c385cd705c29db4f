//! Tools that are operations of GraphQL APIs.
use std::time::Duration;

use serde_json::{Value, json};
use turn::{
    model::ToolOutput,
    tool::{CallerCredential, GraphqlTool, NoCredential, ToolEffect, ToolOutcome, ToolRun, ToolTarget},
};

use super::*;

const DOCUMENT: &str = "query Find($z: Float, $a: [Int]) { find(z: $z, a: $a) { id } }";
const DATA: &str = r#"{"data":{"find":7}}"#;
const NOT_ACCEPTED: &str = "The caller's sign-in was not accepted. It may have expired.";

fn api_key() -> CallerCredential {
    CallerCredential::ApiKey { sealed: sealed("da2-secret") }
}

fn token(plaintext: &str) -> CallerCredential {
    CallerCredential::Token { sealed: sealed(plaintext) }
}

/// A token whose payload expires at this second.
fn expiring_token(exp: impl Into<Value>) -> CallerCredential {
    let payload = base64::encode(json!({ "sub": "ÿ?>", "exp": exp.into() }).to_string());
    let base64_url = payload.trim_end_matches('=').replace('+', "-").replace('/', "_");
    token(&format!("e30.{base64_url}.c2ln"))
}

fn tool_run(effect: ToolEffect) -> ToolRun {
    run_with(effect, DOCUMENT, None, api_key())
}

fn run_with(effect: ToolEffect, document: &str, url: Option<&str>, credential: CallerCredential) -> ToolRun {
    let target = ToolTarget::Graphql(GraphqlTool { document: document.into(), url: url.map(str::to_owned) });
    let mut run = run_for(effect, target, Duration::from_secs(30));
    run.caller.credential = Some(Arc::new(credential));
    run
}

fn with_credential(credential: Option<CallerCredential>) -> ToolRun {
    let mut run = tool_run(ToolEffect::Write);
    run.caller.credential = credential.map(Arc::new);
    run
}

async fn run_against(reply: Reply) -> ToolOutcome {
    Server::start([reply]).await.run(&tool_run(ToolEffect::Read)).await
}

#[tokio::test]
async fn operation_is_sent_with_its_variables_and_the_callers_api_key() {
    let server = Server::start([Reply::json(DATA)]).await;
    server.run(&tool_run(ToolEffect::Read)).await;
    let [request] = server.take_requests().try_into().unwrap();
    assert_eq!(request.path, "/graphql");
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["x-api-key"], "da2-secret");
    assert!(!request.headers.contains_key("authorization"));
    let expected = format!(r#"{{"query":"{DOCUMENT}","variables":{{"z": 1.0,"a":[]}}}}"#);
    assert_eq!(request.body, expected);
}

#[tokio::test]
async fn token_is_sent_without_a_name_of_an_anonymous_operation() {
    let server = Server::start([Reply::json(DATA)]).await;
    server.run(&run_with(ToolEffect::Read, "{ find }", None, token("opaque"))).await;
    let [request] = server.take_requests().try_into().unwrap();
    assert_eq!(request.headers["authorization"], "opaque");
    assert!(!request.headers.contains_key("x-api-key"));
    assert_eq!(request.body, r#"{"query":"{ find }","variables":{"z": 1.0,"a":[]}}"#);
}

#[tokio::test]
async fn credential_is_unsealed_once_for_the_conversation_and_turn() {
    let server = Server::start((0..3).map(|_| Reply::json(DATA))).await;
    let (first, second) = (tool_run(ToolEffect::Read), tool_run(ToolEffect::Read));
    tokio::join!(server.run(&first), server.run(&second));
    server.run(&first).await;
    assert_eq!(server.take_requests().len(), 3);
    let [request] = server.take_kms_requests().try_into().unwrap();
    assert_eq!(request.path, "/kms/");
    assert_eq!(request.headers["x-amz-target"], "TrentService.Decrypt");
    assert_eq!(request.headers["content-type"], "application/x-amz-json-1.1");
    let authorization = request.headers["authorization"].to_str().unwrap();
    assert!(
        authorization.contains("/us-east-1/kms/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target")
    );
    let expected = json!({
        "CiphertextBlob": sealed("da2-secret"),
        "EncryptionContext": { "conversationId": "c1", "turnId": "t1" },
    });
    assert_eq!(serde_json::from_str::<Value>(&request.body).unwrap(), expected);
}

#[tokio::test]
async fn result_is_the_data_byte_for_byte() {
    for (body, expected) in [
        (r#"{"data":{"b": 1.0,"a":"\u00e9\ud83d"}}"#, r#"{"b": 1.0,"a":"\u00e9\ud83d"}"#),
        (r#" {"extensions":{"x":1},"errors":[],"data" : {"a":null} } "#, r#"{"a":null}"#),
        (r#"{"data":{"a":[1]},"errors":null}"#, r#"{"a":[1]}"#),
    ] {
        let outcome = run_against(Reply::json(body)).await;
        assert_eq!((outcome.status, outcome.output), (ToolStatus::Succeeded, ToolOutput::Json(expected.into())));
        assert!(outcome.started_at.is_some() && outcome.ended_at >= outcome.started_at);
    }
}

#[tokio::test]
async fn errors_without_data_fail_with_their_messages_alone() {
    let long = "é".repeat(1_500);
    let error = |message: &str| json!({ "message": message, "errorInfo": "secret", "locations": [1] });
    let many: Vec<_> = (0..12).map(|index| error(&index.to_string())).collect();
    for (body, expected) in [
        (json!({ "errors": [error("No."), error("Never.")] }), "No.\nNever."),
        (json!({ "data": null, "errors": [error("No.")] }), "No."),
        (json!({ "data": { "a": null, "b": null }, "errors": [error("No.")] }), "No."),
        (json!({ "errors": [error(&long)] }), &long[..2_000]),
        (json!({ "errors": many }), "0\n1\n2\n3\n4\n5\n6\n7\n8\n9"),
        (json!({ "errors": [{ "errorType": "E" }, error(" ")] }), "The tool failed."),
        (json!({ "data": null }), "The tool failed."),
        (json!({}), "The tool failed."),
    ] {
        let outcome = run_against(Reply::json(body.to_string())).await;
        assert_failed(&outcome, expected);
        assert!(outcome.ended_at.is_some(), "{body}");
    }
}

#[tokio::test]
async fn errors_beside_data_are_part_of_the_result() {
    let long_path = "a".repeat(1_000);
    let body = format!(
        r#"{{"errors":[{{"message":"No.","path":["a", 0],"errorType":"E"}},{{"message":"B","path":["{long_path}"]}}],
        "data":{{"a": [null],"b":null}}}}"#
    );
    let outcome = run_against(Reply::json(body)).await;
    let expected = r#"{"data":{"a": [null],"b":null},"errors":[{"message":"No.","path":["a", 0]},{"message":"B"}]}"#;
    assert_eq!((outcome.status, outcome.output), (ToolStatus::Succeeded, ToolOutput::Json(expected.into())));
}

#[tokio::test]
async fn response_that_is_no_graphql_response_or_too_large_fails() {
    let json_of = |length: usize| format!(r#"{{"data":"{}"}}"#, "a".repeat(length - 11));
    for (body, expected) in [
        (String::new(), "The tool's result is not JSON."),
        ("<html>".to_owned(), "The tool's result is not JSON."),
        ("[]".to_owned(), "The tool's result is not JSON."),
        (r#"{"data":1,"data":2}"#.to_owned(), "The tool's result is not JSON."),
        (json_of(1024 * 1024 + 1), "The tool's result is larger than 1 MB."),
    ] {
        assert_failed(&run_against(Reply::json(body)).await, expected);
    }
    assert_eq!(run_against(Reply::json(json_of(1024 * 1024))).await.status, ToolStatus::Succeeded);
}

#[tokio::test]
async fn refused_sign_in_is_told_as_such() {
    let unauthorized = json!({ "errors": [{ "errorType": "UnauthorizedException", "message": "secret" }] });
    for reply in [Reply::status(401), Reply::status(403), Reply::json(unauthorized.to_string())] {
        let server = Server::start([reply]).await;
        assert_failed(&server.run(&tool_run(ToolEffect::Write)).await, NOT_ACCEPTED);
        assert_eq!(server.take_requests().len(), 1);
    }
}

#[tokio::test]
async fn other_refusals_fail_at_once_and_redirects_are_not_followed() {
    let message = json!({ "errors": [{ "message": "Unable to parse." }] });
    for (reply, expected) in [
        (Reply::status(302), "The tool's API did not accept the request."),
        (Reply::status(307), "The tool's API did not accept the request."),
        (Reply::status(404), "The tool's API did not accept the request."),
        (Reply::json("{}").with_status(400), "The tool's API did not accept the request."),
        (Reply::json(DATA).with_status(400), "The tool's API did not accept the request."),
        (Reply::json(message.to_string()).with_status(400), "Unable to parse."),
    ] {
        let server = Server::start([reply, Reply::json(DATA)]).await;
        assert_failed(&server.run(&tool_run(ToolEffect::Write)).await, expected);
        assert_eq!(server.take_requests().len(), 1);
    }
}

#[tokio::test]
async fn stored_document_with_a_refused_field_is_not_sent() {
    for document in ["mutation { a: sendMessage { id } }", "mutation { a"] {
        let server = Server::start([Reply::json(DATA)]).await;
        assert_failed(&server.run(&run_with(ToolEffect::Write, document, None, api_key())).await, NOT_ALLOWED);
        assert_eq!(server.take_requests().len() + server.take_kms_requests().len(), 0);
    }
}

#[tokio::test]
async fn credential_that_the_api_echoes_is_removed_from_results_and_errors() {
    let echo = json!({ "x-api-key": "da2-secret", "authorization": "Bearer da2-secret", "da2-secret": 1 });
    let as_text = echo.to_string().replace("da2", "d\\u00612");
    let long = format!("{}da2-secret", "é".repeat(995));
    for (body, status) in [
        (json!({ "data": { "headers": echo } }).to_string(), 200),
        (json!({ "data": { "headers": as_text } }).to_string(), 200),
        (json!({ "data": as_text }).to_string().replace("secret", "se\\u0063ret"), 200),
        (json!({ "data": 1, "errors": [{ "message": "No da2-secret.", "path": ["da2-secret"] }] }).to_string(), 200),
        (json!({ "errors": [{ "message": "No da2-secret." }] }).to_string(), 200),
        (json!({ "errors": [{ "message": long }] }).to_string(), 400),
    ] {
        let outcome = run_against(Reply::json(body.clone()).with_status(status)).await;
        let (ToolOutput::Json(text) | ToolOutput::Text(text)) = &outcome.output;
        let unescaped = text.replace("\\u0061", "a").replace("\\u0063", "c").replace('\\', "");
        assert!(!unescaped.contains("da2") && !text.contains("Bearer"), "{text}");
        assert!(text.contains("[cred"), "{text}");
        assert!(status == 400 || body.contains("errors") || outcome.status == ToolStatus::Succeeded, "{outcome:?}");
    }
}

#[tokio::test]
async fn outcome_is_kept_if_the_next_attempt_has_no_credential() {
    let server = Server::start([Reply::json(DATA)]).await;
    let first = server.run(&tool_run(ToolEffect::Write)).await;
    assert_eq!(first.status, ToolStatus::Succeeded);
    let credential = CallerCredential::None { reason: NoCredential::Iam };
    let second = run_with(ToolEffect::Write, DOCUMENT, None, credential);
    assert_eq!((server.run_by_second_attempt(second).await, server.take_requests().len()), (first, 1));
}

#[tokio::test]
async fn query_is_repeated_after_failures_that_may_end() {
    let replies = [Reply::status(429), Reply::status(503), Reply::Hangup, Reply::json(DATA)];
    let server = Server::start(replies).await;
    let outcome = server.run(&tool_run(ToolEffect::Read)).await;
    assert_eq!(outcome.output, ToolOutput::Json(r#"{"find":7}"#.into()));
    assert_eq!(server.take_requests().len(), 4);
}

#[tokio::test]
async fn mutation_is_repeated_only_if_it_was_not_started() {
    let server = Server::start([Reply::status(429), Reply::json(DATA)]).await;
    assert_eq!(server.run(&tool_run(ToolEffect::Write)).await.status, ToolStatus::Succeeded);
    assert_eq!(server.take_requests().len(), 2);
    let failed = "The tool's service failed.";
    let broken = "The connection to the tool broke.";
    for (reply, expected) in [(Reply::status(500), failed), (Reply::status(408), failed), (Reply::Hangup, broken)] {
        let server = Server::start([reply, Reply::json(DATA)]).await;
        let outcome = server.run(&tool_run(ToolEffect::Write)).await;
        assert_unknown(&outcome, expected);
        assert_eq!(server.take_requests().len(), 1);
        assert_eq!(server.run_by_second_attempt(tool_run(ToolEffect::Write)).await, outcome);
        assert_eq!(server.take_requests().len(), 0);
    }
}

#[tokio::test]
async fn mutation_that_cannot_be_sent_has_failed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/graphql", listener.local_addr().unwrap());
    drop(listener);
    let mut server = Server::start([]).await;
    server.clients.graphql_urls = GraphqlUrls::from_list("", &url).unwrap();
    let mut run = run_with(ToolEffect::Write, DOCUMENT, Some(&url), api_key());
    run.until = clock::now() + Duration::from_secs(1);
    let outcome = server.run(&run).await;
    assert_failed(&outcome, NOT_REACHED);
    assert_eq!((outcome.started_at, outcome.ended_at), (None, None));
}

#[tokio::test]
async fn mutation_without_an_answer_in_time_is_unknown_and_a_query_has_failed() {
    for effect in [ToolEffect::Read, ToolEffect::Write] {
        let server = Server::start([Reply::Delayed(Duration::from_secs(20))]).await;
        let mut run = tool_run(effect);
        run.until = clock::now() + Duration::from_secs(1);
        let outcome = server.run(&run).await;
        let text = "The tool did not answer within 1 seconds.";
        match effect {
            ToolEffect::Read => assert_failed(&outcome, text),
            ToolEffect::Write => assert_unknown(&outcome, text),
        }
        assert_eq!(server.take_requests().len(), 1);
    }
}

#[tokio::test]
async fn mutation_is_run_by_the_first_attempt_alone() {
    let server = Server::start([Reply::Delayed(Duration::from_secs(20))]).await;
    let run = tool_run(ToolEffect::Write);
    server.cut_off(&run).await;
    let outcome = server.run_by_second_attempt(run).await;
    assert_eq!(outcome.status, ToolStatus::Unknown);
    assert_eq!(server.take_requests().len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_to_a_url_that_is_no_longer_allowed() {
    let server = Server::start([Reply::json(DATA), Reply::json(DATA)]).await;
    let own = server.run(&run_with(ToolEffect::Write, DOCUMENT, Some(&server.graphql_url), api_key())).await;
    assert_eq!(own.status, ToolStatus::Succeeded);
    server.take_requests();
    server.take_kms_requests();
    let other = server.graphql_url.replace("/graphql", "/other");
    let outcome = server.run(&run_with(ToolEffect::Write, DOCUMENT, Some(&other), api_key())).await;
    assert_failed(&outcome, NOT_ALLOWED);
    assert_eq!((outcome.started_at, outcome.ended_at), (None, None));
    assert_eq!((server.take_requests().len(), server.take_kms_requests().len()), (0, 0));
}

#[tokio::test]
async fn caller_without_a_credential_gets_the_reason() {
    let none = |reason| Some(CallerCredential::None { reason });
    for (credential, expected) in [
        (
            none(NoCredential::Iam),
            "This tool needs the caller's own sign-in, and callers with IAM have none that can be passed on.",
        ),
        (
            none(NoCredential::OnBehalf),
            "This tool needs the caller's own sign-in, which only a request over GraphQL passes on. It can be run \
             if the caller asks over GraphQL.",
        ),
        (none(NoCredential::TooLong), "The caller's token is longer than 4,096 bytes and cannot be passed on."),
        (none(NoCredential::NotSealed), "The caller's sign-in could not be sealed."),
        (none(NoCredential::Disabled), "This deployment does not pass sign-ins to tools."),
        (None, "The caller's sign-in could not be sealed."),
    ] {
        let server = Server::start([]).await;
        assert_failed(&server.run(&with_credential(credential)).await, expected);
        assert_eq!((server.take_requests().len(), server.take_kms_requests().len()), (0, 0));
        // The call is not claimed: it has no effect.
        assert_eq!(server.table.all_items().await.len(), 1);
    }
}

#[tokio::test]
async fn expired_token_is_not_sent() {
    let now = Clock::starting_at(time(NOW)).now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (exp, is_sent) in [
        (json!(now - 1), false),
        (json!(now as f64 - 0.5), false),
        (json!(now + 60), true),
        (json!(1e300), true),
        (json!("soon"), true),
    ] {
        let server = Server::start([Reply::json(DATA)]).await;
        let outcome = server.run(&with_credential(Some(expiring_token(exp.clone())))).await;
        assert_eq!(server.take_requests().len(), usize::from(is_sent), "{exp}");
        match is_sent {
            true => assert_eq!(outcome.status, ToolStatus::Succeeded),
            false => assert_failed(&outcome, NOT_ACCEPTED),
        }
    }
}

#[tokio::test]
async fn credential_that_is_no_header_is_not_sent() {
    let server = Server::start([]).await;
    assert_failed(&server.run(&with_credential(Some(token("a\nb: c")))).await, NOT_ACCEPTED);
    assert_eq!(server.take_requests().len(), 0);
}

#[tokio::test]
async fn refusal_of_kms_is_final() {
    let refusal = r#"{"__type":"com.amazonaws.kms#InvalidCiphertextException","message":"secret"}"#;
    for reply in [
        Reply::json(refusal).with_status(400),
        Reply::json(r#"{"Plaintext":"gA=="}"#),
        Reply::json(r#"{"Plaintext":"?"}"#),
        Reply::json("{}"),
    ] {
        let server = Server::start([]).await;
        server.script_kms([reply]);
        for _ in 0..2 {
            assert_failed(
                &server.run(&tool_run(ToolEffect::Write)).await,
                "The caller's sign-in could not be unsealed.",
            );
        }
        assert_eq!((server.take_requests().len(), server.take_kms_requests().len()), (0, 1));
    }
}

#[tokio::test]
async fn kms_is_asked_again_after_throttling_and_server_errors() {
    let throttled = Reply::json(r#"{"__type":"ThrottlingException"}"#).with_status(400);
    let server = Server::start([Reply::json(DATA)]).await;
    server.script_kms([throttled, Reply::status(500), Reply::Hangup]);
    assert_eq!(server.run(&tool_run(ToolEffect::Write)).await.status, ToolStatus::Succeeded);
    assert_eq!(server.take_kms_requests().len(), 4);

    let server = Server::start([Reply::json(DATA)]).await;
    server.script_kms((0..100).map(|_| Reply::status(500)));
    let mut run = tool_run(ToolEffect::Write);
    run.until = clock::now() + Duration::from_secs(1);
    assert_failed(&server.run(&run).await, "The caller's sign-in could not be unsealed.");
    assert_eq!(server.take_requests().len(), 0);
}

#[tokio::test]
async fn kms_is_asked_again_if_it_does_not_answer() {
    let server = Server::start([Reply::json(DATA)]).await;
    server.script_kms([Reply::Delayed(Duration::from_secs(60))]);
    assert_eq!(server.run(&tool_run(ToolEffect::Write)).await.status, ToolStatus::Succeeded);
    assert_eq!(server.take_kms_requests().len(), 2);
}

#[test]
fn secrets_are_not_shown_by_debug_output() {
    let body = format!(r#"{{"Plaintext":"{}"}}"#, base64::encode("da2-secret"));
    let secret = crate::aws::kms::plaintext(body.as_bytes()).unwrap();
    assert_eq!((secret.expose(), format!("{secret:?}").as_str()), ("da2-secret", "Secret"));
}
