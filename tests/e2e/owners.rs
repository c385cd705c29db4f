//! Nobody reads, sends or subscribes where they do not belong.
use std::time::SystemTime;

use client::{
    Credentials,
    errors::ErrorType,
    requests::{CreateConversation, GetTurn, ListConversations, PutAgent, SendMessage, ShareConversation},
    schema::{Access, TurnStatus},
};
use serde_json::{Value, json};

use crate::backend::{Backend, Ear, refusal, say};

#[tokio::test]
async fn two_owners_with_the_same_message_id_never_meet() {
    let backend = Backend::start().await;
    let (mine, theirs) = (&backend.api, &backend.administrator);
    let my_place = mine.call(&CreateConversation::default()).await.unwrap().id;
    let their_place = theirs.call(&CreateConversation::default()).await.unwrap().id;
    let (mut my_ear, mut their_ear) = (Ear::open(mine, &my_place).await, Ear::open(theirs, &their_place).await);
    say(mine, &my_place, "same", "This is mine.").await.unwrap();
    say(theirs, &their_place, "same", "This is theirs.").await.unwrap();
    let (my_updates, their_updates) = tokio::join!(my_ear.until_end("same"), their_ear.until_end("same"));
    assert!(my_updates.iter().all(|update| update.conversation_id == my_place));
    assert!(their_updates.iter().all(|update| update.conversation_id == their_place));

    let get = |id: &str| GetTurn { conversation_id: id.into(), id: "same".into(), ..GetTurn::default() };
    let (my_turn, their_turn) =
        (mine.call(&get(&my_place)).await.unwrap(), theirs.call(&get(&their_place)).await.unwrap());
    let text = |turn: &client::schema::Turn| {
        turn.batches
            .iter()
            .flatten()
            .filter_map(|batch| batch.metadata.agent_partial_message.clone())
            .collect::<String>()
    };
    assert!(text(&my_turn).contains("mine") && !text(&my_turn).contains("theirs"), "{}", text(&my_turn));
    assert!(text(&their_turn).contains("theirs"), "{}", text(&their_turn));
}

#[tokio::test]
async fn two_users_first_messages_with_the_same_id_never_meet() {
    let backend = Backend::without_handler().await;
    let (ann, bob) = (backend.user("Ann"), backend.user("Bob"));
    let message = |text: &str| SendMessage { conversation_id: None, id: Some("same".into()), text: text.into() };
    let anns = ann.api.call(&message("Hello!")).await.unwrap();
    let bobs = bob.api.call(&message("Hello!")).await.unwrap();
    assert_ne!(anns.conversation_id, bobs.conversation_id);
    for (api, first) in [(&ann.api, anns), (&bob.api, bobs)] {
        assert_eq!(api.call(&message("Hello!")).await.unwrap().conversation_id, first.conversation_id);
        assert_eq!(refusal(api, &message("Goodbye!")).await.0, ErrorType::IdConflict);
        assert_eq!(api.call(&ListConversations::default()).await.unwrap().items.len(), 1);
    }
}

/// What anybody may ask about a conversation, of which `t` is a turn.
const QUESTIONS: [&str; 10] = [
    "query($id: ID!) { getConversation(id: $id) { id title ownerId events { items { text } } participants { userId } } }",
    "query($id: ID!) { getTurn(conversationId: $id, id: \"t\") { status question { text } batches { sequence } } }",
    "mutation($id: ID!) { updateConversation(input: {id: $id, title: \"Mine\"}) { id } }",
    "mutation($id: ID!) { deleteConversation(id: $id) { id } }",
    "mutation($id: ID!) { sendMessage(input: {conversationId: $id, id: \"t\", text: \"Private.\"}) { id status } }",
    "mutation($id: ID!) { cancelTurn(conversationId: $id, id: \"t\") { status } }",
    "mutation($id: ID!) { retryTurn(conversationId: $id, id: \"t\") { status } }",
    "mutation($id: ID!) { continueTurn(conversationId: $id, id: \"t\") { status } }",
    "mutation($id: ID!) { shareConversation(input: {conversationId: $id, userId: \"a#b\", access: READ}) { userId } }",
    "mutation($id: ID!) { unshareConversation(conversationId: $id, userId: \"a#b\") { userId } }",
];

#[tokio::test]
async fn somebody_elses_conversation_is_byte_for_byte_one_that_does_not_exist() {
    let backend = Backend::without_handler().await;
    let (ann, bob, cat) = (backend.user("Ann"), backend.user("Bob"), backend.user("Cat"));
    let theirs = ann.api.call(&CreateConversation::default()).await.unwrap().id;
    let access = Access::Write;
    ann.api.call(&ShareConversation { conversation_id: theirs.clone(), user_id: bob.id, access }).await.unwrap();
    say(&ann.api, &theirs, "t", "Private.").await.unwrap();

    let strangers = [Credentials::Iam(backend.session_of("Cat")), backend.api.credentials().clone()];
    for credentials in strangers {
        for question in QUESTIONS {
            let found = answer(&backend, &credentials, question, &theirs).await;
            let missing = answer(&backend, &credentials, question, "no-such-conversation").await;
            assert_eq!(found.replace(&theirs, "no-such-conversation"), missing, "{question}");
            let told: Value = serde_json::from_str(&missing).unwrap();
            let error_type = told["errors"][0]["errorType"].as_str();
            assert!(matches!(error_type, Some("NotFound" | "Unauthorized")), "{missing}");
        }
    }
    for api in [&cat.api, &backend.api] {
        let refused = Ear::try_open(api, &theirs).await.err().expect("the subscription is refused");
        let missing = Ear::try_open(api, "no-such-conversation").await.err().expect("the subscription is refused");
        assert_eq!(refused[0].error_type, Some(ErrorType::NotFound));
        assert_eq!(format!("{refused:?}").replace(&theirs, "no-such-conversation"), format!("{missing:?}"));
        assert!(api.call(&ListConversations::default()).await.unwrap().items.is_empty());
    }
}

/// The body of the answer, as it came.
async fn answer(backend: &Backend, credentials: &Credentials, document: &str, id: &str) -> String {
    let url = reqwest::Url::parse(&backend.server.endpoint.url).unwrap();
    let body = json!({ "query": document, "variables": { "id": id } }).to_string();
    let headers = credentials.http_headers(&url, &body, SystemTime::now()).unwrap();
    let request = headers
        .into_iter()
        .fold(reqwest::Client::new().post(url), |request, (name, value)| request.header(name, value));
    let request = request.header("content-type", "application/json").body(body);
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn only_the_handler_publishes_and_only_administrators_put_agents() {
    let backend = Backend::start().await;
    let put = PutAgent { id: "mine".into(), model_id: "parlance.echo".into(), ..PutAgent::default() };
    assert_eq!(refusal(&backend.api, &put).await.0, ErrorType::Unauthorized);
    let publish = "mutation { agentPublishMetadata(data: {conversationId: \"c\", turnId: \"t\", run: 1, attempt: 1, sequence: 1, status: RUNNING}) { sequence } }";
    let answer = backend.execute(publish, json!({})).await;
    assert_eq!(answer["errors"][0]["errorType"], "Unauthorized");
    assert_eq!(answer["data"]["agentPublishMetadata"], json!(null));
}

#[tokio::test]
async fn without_iam_access_nobody_signs_but_the_handler_and_the_closer() {
    let backend = Backend::with_parameters([("IamAccess", "false")]).await;
    let conversation = backend.conversation().await;
    assert_eq!(backend.converse(&conversation, "Hello!").await.turn.status, TurnStatus::Completed);
    let put = PutAgent { id: "mine".into(), model_id: "parlance.echo".into(), ..PutAgent::default() };
    assert_eq!(refusal(&backend.administrator, &put).await.0, ErrorType::Unauthorized);
    let ann = backend.user("Ann");
    assert_eq!(refusal(&ann.api, &ListConversations::default()).await.0, ErrorType::Unauthorized);
    let refused = Ear::try_open(&ann.api, &conversation).await.err().expect("the subscription is refused");
    assert_eq!(refused[0].error_type, Some(ErrorType::Unauthorized));
}

#[tokio::test]
async fn system_prompts_are_read_by_administrators_only() {
    let backend = Backend::start().await;
    let ask = "{ getAgent(id: \"default\") { id systemPrompt } }";
    let refused = backend.execute(ask, json!({})).await;
    assert_eq!(refused["errors"][0]["errorType"], "Unauthorized");
    assert_eq!(refused["data"]["getAgent"], json!({ "id": "default", "systemPrompt": null }));
    let told = crate::backend::execute(&backend.administrator, ask, json!({})).await;
    assert!(told["data"]["getAgent"]["systemPrompt"].is_string());
}
