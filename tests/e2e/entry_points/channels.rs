//! Who publishes and listens to which channel. The samples let any user listen to another, by a wildcard or
//! by name, and publish answers to another.
use std::time::{Duration, SystemTime};

use client::requests::ListConversations;
use local::{identity::TokenUse, template::ACCOUNT};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::fixture::{EntryPoints, EventsCaller, post_signed};
use crate::backend::with_timeout;

/// Channels of another user, those around them, and wildcards that match them.
fn channels_of_others(other: &str) -> Vec<String> {
    let around = ["/chat/*", "/chat/request/*", "/chat/responses/*", "/chat", "/chat/responses"];
    let mut channels = around.map(str::to_owned).to_vec();
    for folder in ["request", "responses", "other"] {
        channels.push(format!("/chat/{folder}/{other}"));
        channels.push(format!("/chat/{folder}/{other}/*"));
        channels.push(format!("/chat/{folder}/{other}/more"));
        channels.push(format!("/chat/{folder}/more/{other}"));
        channels.push(format!("/chat/{folder}/{}", other.to_uppercase()));
    }
    channels
}

fn error_type(errors: &Value) -> &str {
    errors[0]["errorType"].as_str().unwrap_or_default()
}

/// Publishing to a channel of others, and listening to it, is refused. A wildcard is no channel to publish
/// to.
async fn check_refusals(entry_points: &EntryPoints, caller: &EventsCaller, channel: &str) {
    let refusal = entry_points.listen_to(caller, channel).await.err();
    let errors = refusal.unwrap_or_else(|| panic!("{} may listen to {channel}", caller.own));
    assert_eq!(error_type(&errors), "Unauthorized", "{channel}: {errors}");
    let (status, response) = entry_points.publish_to(caller, channel, &json!({ "content": "Spoofed" })).await;
    let expected = if channel.ends_with('*') { (400, "BadRequestException") } else { (401, "UnauthorizedException") };
    assert_eq!((status, error_type(&response["errors"])), expected, "{channel}: {response}");
}

async fn check_neighbours(entry_points: &EntryPoints, one: &EventsCaller, other: &EventsCaller) {
    for channel in channels_of_others(&other.own) {
        check_refusals(entry_points, one, &channel).await;
    }
    // Below the own channel there is nothing either.
    let own_answers = format!("/chat/responses/{}", one.own);
    for channel in [format!("{own_answers}/*"), format!("{own_answers}/more")] {
        check_refusals(entry_points, one, &channel).await;
    }
    // Answers are published by the backend alone.
    let (status, response) = entry_points.publish_to(one, &own_answers, &json!({ "result": { "text": "" } })).await;
    assert_eq!((status, error_type(&response["errors"])), (401, "UnauthorizedException"), "{response}");
}

#[tokio::test]
async fn malformed_and_unknown_channels_are_refused() {
    let entry_points = EntryPoints::start().await;
    let ada = entry_points.pool_caller("ada");
    let long = format!("/chat/{}", "a".repeat(51));
    for (channel, of_listening, of_publishing) in [
        ("/*", "BadRequestException", (400, "BadRequestException")),
        ("", "BadRequestException", (400, "BadRequestException")),
        ("/chat//a", "BadRequestException", (400, "BadRequestException")),
        ("/chat/-a", "BadRequestException", (400, "BadRequestException")),
        ("/chat/*/a", "BadRequestException", (400, "BadRequestException")),
        ("/chat/a/b/c/d/e", "BadRequestException", (400, "BadRequestException")),
        (&long, "BadRequestException", (400, "BadRequestException")),
        ("/other/a", "ResourceNotFound", (401, "UnauthorizedException")),
    ] {
        let errors = entry_points.listen_to(&ada, channel).await.err().unwrap_or_default();
        assert_eq!(error_type(&errors), of_listening, "{channel}: {errors}");
        let (status, response) = entry_points.publish_to(&ada, channel, &json!({ "content": "Hello" })).await;
        assert_eq!((status, error_type(&response["errors"])), of_publishing, "{channel}: {response}");
    }
}

#[tokio::test]
async fn nobody_listens_or_publishes_to_the_channels_of_others() {
    let entry_points = EntryPoints::start().await;
    let callers = [
        entry_points.pool_caller("ada"),
        entry_points.pool_caller("bob"),
        entry_points.oidc_caller("ada"),
        entry_points.key_caller(),
    ];
    for (index, one) in callers.iter().enumerate() {
        for (_, other) in callers.iter().enumerate().filter(|(other, _)| *other != index) {
            check_neighbours(&entry_points, one, other).await;
        }
    }
}

#[tokio::test]
async fn answers_reach_the_one_who_asked_and_nobody_else() {
    let entry_points = EntryPoints::start().await;
    let callers = [
        entry_points.pool_caller("ada"),
        entry_points.pool_caller("bob"),
        entry_points.oidc_caller("ada"),
        entry_points.oidc_caller("bob"),
        entry_points.key_caller(),
    ];
    let mut sockets = Vec::new();
    for caller in &callers {
        sockets.push(entry_points.listen(caller).await);
    }
    for caller in &callers {
        entry_points.ask(caller, &json!({ "content": format!("Question of {}", caller.own) })).await;
    }
    for (caller, socket) in callers.iter().zip(&mut sockets) {
        assert_eq!(socket.next().await["result"]["text"], format!("Question of {}", caller.own));
    }
    for (caller, socket) in callers.iter().zip(&mut sockets) {
        let more = timeout(Duration::from_millis(300), socket.next()).await;
        assert!(more.is_err(), "{} hears {more:?}", caller.own);
    }
}

/// All callers with the API key are one user, so the names of their channels are secrets.
#[tokio::test]
async fn callers_with_the_api_key_choose_channels_that_nobody_guesses() {
    let entry_points = EntryPoints::start().await;
    let caller = entry_points.key_caller();
    for guessable in ["", "/", "/*", "/0123456789abcde", "/0123456789abcde-", "/0123456789abcdef/more"] {
        let errors = entry_points.listen_to(&caller, &format!("/chat/responses/api-key{guessable}")).await.err();
        assert!(errors.is_some(), "{guessable} is accepted");
        let channel = format!("/chat/request/api-key{guessable}");
        assert_ne!(entry_points.publish_to(&caller, &channel, &json!({ "content": "Hello" })).await.0, 200);
    }
    let mut answers = entry_points.listen(&caller).await;
    let mut of_another = entry_points.listen(&entry_points.key_caller()).await;
    // The sample's ids could be guessed. On a channel they are idempotency keys as any other.
    let question = json!({ "id": 1_732_659_999_999_u64, "content": "Mine?" });
    entry_points.ask(&caller, &question).await;
    let first = answers.next().await;
    assert_eq!(first["result"]["text"], "Mine?");
    entry_points.ask(&caller, &question).await;
    let again = answers.next().await;
    assert_eq!((&again["sessionId"], &again["turnId"]), (&first["sessionId"], &first["turnId"]));
    assert!(timeout(Duration::from_millis(300), of_another.next()).await.is_err());
}

/// A subject that is no segment of a channel is encoded. Another subject has another segment.
#[tokio::test]
async fn any_subject_of_the_provider_has_channels_of_its_own() {
    let entry_points = EntryPoints::start().await;
    let provider = entry_points.backend.server.issuers.oidc.as_ref().unwrap();
    let long = "a".repeat(51);
    for (subject, segment) in [
        ("a", "a"),
        ("auth0|5f7c", "x-auth0-7C5f7c"),
        ("x-auth0-7C5f7c", "x-x-2Dauth0-2D7C5f7c"),
        ("a.b*c+d_e f-", "x-a-2Eb-2Ac-2Bd-5Fe-20f-2D"),
        ("ann@example.com", "x-ann-40example-2Ecom"),
        ("%2E", "x--252E"),
        (&long, &format!("x-{long}")),
    ] {
        let mut claims = provider.claims(&"ada".parse().unwrap(), TokenUse::Access, SystemTime::now());
        claims["sub"] = json!(subject);
        let caller = entry_points.token_caller(&provider.key().sign(&claims).unwrap(), &format!("oidc/{segment}"));
        let own = format!("/chat/responses/{}", caller.own);
        // A segment has at most 50 characters.
        let may_listen = segment.len() <= 50;
        assert_eq!(entry_points.listen_to(&caller, &own).await.is_ok(), may_listen, "{subject}: {segment}");
        let (status, response) = entry_points.ask(&caller, &json!({ "content": "Mine?" })).await;
        assert_eq!(status == 200, may_listen, "{subject}: {response}");
    }
}

/// The question of a user is delivered to its other devices.
#[tokio::test]
async fn question_is_delivered_to_the_channel_of_questions() {
    let entry_points = EntryPoints::start().await;
    let ada = entry_points.pool_caller("ada");
    let mut questions = entry_points.listen_to(&ada, &format!("/chat/request/{}", ada.own)).await.unwrap();
    let question = json!({ "content": "Who else?" });
    entry_points.ask(&ada, &question).await;
    assert_eq!(questions.next().await, question);
}

#[tokio::test]
async fn callers_without_valid_credentials_are_refused() {
    let entry_points = EntryPoints::start().await;
    let host = entry_points.pool_caller("ada").headers["host"].clone();
    let own = entry_points.pool_caller("ada").own;
    for headers in [
        json!({ "host": host, "x-api-key": "da2-wrong" }),
        json!({ "host": host, "Authorization": "no-token" }),
        json!({ "host": host }),
        // The key of the GraphQL API is not that of the Events API.
        json!({ "host": host, "x-api-key": entry_points.api_key() }),
    ] {
        let caller = EventsCaller { headers, own: own.clone() };
        assert!(entry_points.listen_to(&caller, &format!("/chat/responses/{own}")).await.is_err());
        let (status, _) = entry_points.ask(&caller, &json!({ "content": "Let me in" })).await;
        assert_eq!(status, 401);
    }
}

/// The role of an IAM caller has channels of its own, and only the backend's roles publish answers.
#[tokio::test]
async fn role_asks_over_its_own_channels() {
    let entry_points = EntryPoints::start().await;
    let keys = entry_points.backend.role_session_keys("Analyst", "appsync:*");
    let url = entry_points.events_url();
    let own = format!("/chat/request/iam/{ACCOUNT}/AROAANALYST");
    let others = [
        "/chat/request/api-key/0123456789abcdef",
        "/chat/responses/api-key/0123456789abcdef",
        &own.replace("request", "responses"),
    ];
    for (channel, expected) in [(own.as_str(), 200)].into_iter().chain(others.map(|channel| (channel, 401))) {
        let body = json!({ "channel": channel, "events": [json!({ "content": "As a role?" }).to_string()] });
        assert_eq!(post_signed(url, &keys, &body.to_string()).await, expected, "{channel}");
    }
    let user = entry_points.backend.iam_user("Analyst");
    with_timeout(async {
        while user.api.call(&ListConversations::default()).await.unwrap().items.is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
