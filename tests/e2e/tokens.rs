//! Users with tokens, of the stack's own user pool and of an OpenID Connect provider.
use std::time::SystemTime;

use client::{
    AppSync, Credentials, Error,
    errors::ErrorType,
    requests::{CreateConversation, GetConversation, ListConversations, PutAgent, Request},
};
use local::identity::{Issuer, SigningKey, TokenUse};
use serde_json::{Value, json};

use crate::backend::{Backend, Ear, User, draw, execute, refusal, say};

const USERS: [&str; 2] = ["ada:administrators", "bob"];

async fn begin(user: &User) -> String {
    user.api.call(&CreateConversation::default()).await.unwrap().id
}

async fn refused_outright<R: Request>(api: &AppSync, request: &R) -> String
where
    R::Answer: std::fmt::Debug,
{
    match api.call(request).await {
        Err(Error::Http { status: 401, errors }) => errors[0].message.clone(),
        other => panic!("the request is refused, not {other:?}"),
    }
}

#[tokio::test]
async fn users_of_every_issuer_talk_where_nobody_else_hears() {
    let backend = Backend::with_users(&USERS, [("ApiKeyAccess", "false")]).await;
    let (ada, bob, other_ada) = (backend.pool_user("ada"), backend.pool_user("bob"), backend.provider_user("ada"));
    for user in [&ada, &bob, &other_ada] {
        let conversation = begin(user).await;
        let mut ear = Ear::open(&user.api, &conversation).await;
        let turn = say(&user.api, &conversation, &draw(), "Hello!").await.unwrap();
        assert!(ear.until_end(&turn.id).await.iter().any(|update| update.event.is_some()));
        let listed = user.api.call(&ListConversations::default()).await.unwrap().items;
        assert_eq!(listed.iter().map(|listed| listed.id.as_str()).collect::<Vec<_>>(), [conversation.as_str()]);
        for stranger in [&ada, &bob, &other_ada].into_iter().filter(|stranger| stranger.id != user.id) {
            let get = GetConversation { id: conversation.clone() };
            assert_eq!(refusal(&stranger.api, &get).await.0, ErrorType::NotFound);
        }
    }
}

#[tokio::test]
async fn administrators_of_the_pool_put_agents_and_no_other_user_does() {
    let backend = Backend::with_users(&USERS, []).await;
    let put = PutAgent { id: "poet".into(), model_id: "parlance.echo".into(), ..PutAgent::default() };
    let prompt = "{ getAgent(id: \"default\") { systemPrompt } }";
    let ada = backend.pool_user("ada").api;
    ada.call(&put).await.unwrap();
    assert!(execute(&ada, prompt, json!({})).await["data"]["getAgent"]["systemPrompt"].is_string());
    // The provider's users are nobody's administrators, whatever their tokens say.
    let oidc = backend.server.issuers.oidc.as_ref().unwrap();
    let mut claims = oidc.claims(&"ada".parse().unwrap(), TokenUse::Id, SystemTime::now());
    claims["cognito:groups"] = json!(["administrators"]);
    let pretender = backend.calling_with(oidc.key().sign(&claims).unwrap());
    for other in [backend.pool_user("bob").api, pretender] {
        assert_eq!(refusal(&other, &put).await.0, ErrorType::Unauthorized);
        let told = execute(&other, prompt, json!({})).await;
        assert_eq!(told["data"]["getAgent"], json!({ "systemPrompt": null }));
    }
}

#[tokio::test]
async fn a_token_that_is_not_for_this_api_lets_nobody_in() {
    let backend = Backend::with_users(&USERS, []).await;
    let pool = backend.server.issuers.pool.as_ref().unwrap();
    let sign = |key: &SigningKey, changed: Value| {
        let mut claims = pool.claims(&"ada".parse().unwrap(), TokenUse::Access, SystemTime::now());
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        key.sign(&claims).unwrap()
    };
    let impostor = SigningKey::draw().unwrap().named(pool.key().id());
    let elsewhere = Issuer::open_id("https://id.example.com".into(), SigningKey::draw().unwrap());
    let foreign = elsewhere.tokens("ada", SystemTime::now()).unwrap().access_token;
    let (expired, refused) = ("Token has expired.", "You are not authorized to make this call.");
    let cases = [
        (sign(pool.key(), json!({ "exp": 1 })), expired),
        (sign(pool.key(), json!({ "client_id": "another" })), refused),
        (sign(&impostor, json!({})), refused),
        (foreign, refused),
        ("meow".to_owned(), "Unable to parse JWT token."),
    ];
    for (token, message) in cases {
        let api = backend.calling_with(token);
        assert_eq!(refused_outright(&api, &ListConversations::default()).await, message);
        let refused = Ear::try_open(&api, "c").await.err().expect("the handshake is refused");
        assert_eq!(refused[0].message, message);
    }
}

#[tokio::test]
async fn a_mode_that_is_switched_off_lets_nobody_in() {
    let backend = Backend::with_users(&[], [("ApiKeyAccess", "false"), ("IamAccess", "false")]).await;
    assert_eq!(backend.server.endpoint.api_key, None);
    let keyed = AppSync::new(&backend.server.endpoint.url, Credentials::ApiKey("da2-any".into())).unwrap();
    let sentence = "Valid authorization header not provided.";
    assert_eq!(refused_outright(&keyed, &ListConversations::default()).await, sentence);
    assert_eq!(refusal(&backend.administrator, &ListConversations::default()).await.0, ErrorType::Unauthorized);
    let user = backend.provider_user("ada");
    let conversation = begin(&user).await;
    let mut ear = Ear::open(&user.api, &conversation).await;
    let turn = say(&user.api, &conversation, &draw(), "Does the handler publish?").await.unwrap();
    ear.until_end(&turn.id).await;
}
