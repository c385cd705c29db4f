//! Callers with tokens of the stack's user pool and of an OpenID Connect provider.
use std::time::SystemTime;

use client::{
    AppSync, Credentials, Error,
    errors::ErrorType,
    requests::{CreateConversation, GetConversation, ListConversations, PutAgent, Request},
};
use local::identity::{LocalIssuer, SigningKey, TokenUse};
use serde_json::{Value, json};

use crate::{
    backend::{Backend, User, execute, expect_api_error, new_id, send_message},
    subscriber::Subscriber,
};

const USERS: [&str; 2] = ["ada:administrators", "bob"];

async fn create_conversation(user: &User) -> String {
    user.api.call(&CreateConversation::default()).await.unwrap().id
}

/// The message of the 401 response to a request.
async fn unauthorized_message<R: Request>(api: &AppSync, request: &R) -> String
where
    R::Answer: std::fmt::Debug,
{
    match api.call(request).await {
        Err(Error::Http { status: 401, errors }) => errors[0].message.clone(),
        other => panic!("the response has status 401, not {other:?}"),
    }
}

#[tokio::test]
async fn users_of_each_issuer_see_only_their_own_conversations() {
    let backend = Backend::with_users(&USERS, [("ApiKeyAccess", "false")]).await;
    let (ada, bob, other_ada) = (backend.pool_user("ada"), backend.pool_user("bob"), backend.oidc_user("ada"));
    for user in [&ada, &bob, &other_ada] {
        let conversation = create_conversation(user).await;
        let mut subscriber = Subscriber::subscribe(&user.api, &conversation).await;
        let turn = send_message(&user.api, &conversation, &new_id(), "Hello!").await.unwrap();
        assert!(subscriber.updates_until_end(&turn.id).await.iter().any(|update| update.event.is_some()));
        let list = user.api.call(&ListConversations::default()).await.unwrap();
        assert_eq!(list.items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), [conversation.as_str()]);
        for other in [&ada, &bob, &other_ada].into_iter().filter(|other| other.id != user.id) {
            let get = GetConversation { id: conversation.clone() };
            assert_eq!(expect_api_error(&other.api, &get).await.0, ErrorType::NotFound);
        }
    }
}

#[tokio::test]
async fn only_administrators_of_the_pool_put_agents() {
    let backend = Backend::with_users(&USERS, []).await;
    let put_agent = PutAgent { id: "poet".into(), model_id: "parlance.echo".into(), ..PutAgent::default() };
    let get_system_prompt = "{ getAgent(id: \"default\") { systemPrompt } }";
    let ada = backend.pool_user("ada").api;
    ada.call(&put_agent).await.unwrap();
    assert!(execute(&ada, get_system_prompt, json!({})).await["data"]["getAgent"]["systemPrompt"].is_string());
    // A group claim in a token of the provider makes no administrator.
    let oidc = backend.server.issuers.oidc.as_ref().unwrap();
    let mut claims = oidc.claims(&"ada".parse().unwrap(), TokenUse::Id, SystemTime::now());
    claims["cognito:groups"] = json!(["administrators"]);
    let oidc_user = backend.client_with_token(oidc.key().sign(&claims).unwrap());
    for other in [backend.pool_user("bob").api, oidc_user] {
        assert_eq!(expect_api_error(&other, &put_agent).await.0, ErrorType::Unauthorized);
        let response = execute(&other, get_system_prompt, json!({})).await;
        assert_eq!(response["data"]["getAgent"], json!({ "systemPrompt": null }));
    }
}

#[tokio::test]
async fn invalid_tokens_are_refused_over_http_and_websocket() {
    let backend = Backend::with_users(&USERS, []).await;
    let pool = backend.server.issuers.pool.as_ref().unwrap();
    let sign = |key: &SigningKey, changed_claims: Value| {
        let mut claims = pool.claims(&"ada".parse().unwrap(), TokenUse::Access, SystemTime::now());
        for (name, value) in changed_claims.as_object().unwrap() {
            claims[name] = value.clone();
        }
        key.sign(&claims).unwrap()
    };
    let other_key_with_same_id = SigningKey::generate().unwrap().with_key_id(pool.key().key_id());
    let other_issuer = LocalIssuer::open_id("https://id.example.com".into(), SigningKey::generate().unwrap());
    let token_of_other_issuer = other_issuer.issue_tokens("ada", SystemTime::now()).unwrap().access_token;
    let expired = "Token has expired.";
    let unauthorized = "You are not authorized to make this call.";
    let cases = [
        (sign(pool.key(), json!({ "exp": 1 })), expired),
        (sign(pool.key(), json!({ "client_id": "another" })), unauthorized),
        (sign(&other_key_with_same_id, json!({})), unauthorized),
        (token_of_other_issuer, unauthorized),
        ("no-jwt".to_owned(), "Unable to parse JWT token."),
    ];
    for (token, message) in cases {
        let api = backend.client_with_token(token);
        assert_eq!(unauthorized_message(&api, &ListConversations::default()).await, message);
        let errors = Subscriber::try_subscribe(&api, "c").await.err().expect("the handshake is refused");
        assert_eq!(errors[0].message, message);
    }
}

#[tokio::test]
async fn switched_off_modes_are_refused_and_the_handler_still_publishes() {
    let backend = Backend::with_users(&[], [("ApiKeyAccess", "false"), ("IamAccess", "false")]).await;
    assert_eq!(backend.server.endpoint.api_key, None);
    let with_key = AppSync::new(&backend.server.endpoint.url, Credentials::ApiKey("da2-any".into())).unwrap();
    let sentence = "Valid authorization header not provided.";
    assert_eq!(unauthorized_message(&with_key, &ListConversations::default()).await, sentence);
    assert_eq!(
        expect_api_error(&backend.administrator, &ListConversations::default()).await.0,
        ErrorType::Unauthorized
    );
    let user = backend.oidc_user("ada");
    let conversation = create_conversation(&user).await;
    let mut subscriber = Subscriber::subscribe(&user.api, &conversation).await;
    let turn = send_message(&user.api, &conversation, &new_id(), "Does the handler publish?").await.unwrap();
    subscriber.updates_until_end(&turn.id).await;
}
