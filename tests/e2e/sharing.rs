//! Conversations that are shared with other users for reading or writing.
use std::time::Duration;

use client::{
    AppSync,
    errors::ErrorType,
    requests::{
        CancelTurn, ContinueTurn, CreateConversation, DeleteConversation, GetConversation, GetParticipants,
        ListConversations, RetryTurn, ShareConversation, UnshareConversation, UpdateConversation,
    },
    schema::{Access, TurnStatus},
};
use serde_json::json;

use crate::{
    backend::{Backend, User, expect_api_error, new_id, send_message, with_timeout},
    subscriber::Subscriber,
};

async fn create_conversation(owner: &User) -> String {
    owner.api.call(&CreateConversation::default()).await.unwrap().id
}

async fn share(owner: &User, conversation: &str, with: &User, access: Access) {
    owner.api.call(&share_request(conversation, &with.id, access)).await.unwrap();
}

fn share_request(conversation: &str, user_id: &str, access: Access) -> ShareConversation {
    ShareConversation { conversation_id: conversation.into(), user_id: user_id.into(), access }
}

fn unshare_request(conversation: &str, user_id: &str) -> UnshareConversation {
    UnshareConversation { conversation_id: conversation.into(), user_id: user_id.into() }
}

async fn participants(api: &AppSync, conversation: &str) -> Vec<(String, Access)> {
    let request = GetParticipants { conversation_id: conversation.into() };
    let participants = api.call(&request).await.unwrap().participants.unwrap();
    participants.into_iter().map(|participant| (participant.user_id, participant.access)).collect()
}

async fn list(api: &AppSync) -> Vec<(String, Option<Access>)> {
    let page = api.call(&ListConversations::default()).await.unwrap();
    page.items.into_iter().map(|conversation| (conversation.id, conversation.access)).collect()
}

#[tokio::test]
async fn reader_receives_everything_and_changes_nothing() {
    let backend = Backend::start().await;
    let (ann, bob) = (backend.iam_user("Ann"), backend.iam_user("Bob"));
    let id = create_conversation(&ann).await;
    share(&ann, &id, &bob, Access::Read).await;
    let mut ann_subscriber = Subscriber::subscribe(&ann.api, &id).await;
    let mut bob_subscriber = Subscriber::subscribe(&bob.api, &id).await;
    let turn = send_message(&ann.api, &id, "t1", "Hello!").await.unwrap();
    let (ann_updates, bob_updates) =
        tokio::join!(ann_subscriber.updates_until_end(&turn.id), bob_subscriber.updates_until_end(&turn.id));
    assert_eq!(ann_updates, bob_updates);

    let conversation = bob.api.call(&GetConversation { id: id.clone() }).await.unwrap();
    assert_eq!((conversation.owner_id.as_ref(), conversation.access), (Some(&ann.id), Some(Access::Read)));
    assert_eq!(participants(&bob.api, &id).await, [(bob.id.clone(), Access::Read)]);
    let refused = send_message(&bob.api, &id, &new_id(), "May I?").await.unwrap_err();
    assert_eq!(refused.api_error().unwrap().error_type, Some(ErrorType::Unauthorized));
    let cancel = CancelTurn { conversation_id: id.clone(), id: turn.id.clone() };
    assert_eq!(expect_api_error(&bob.api, &cancel).await.0, ErrorType::Unauthorized);
    let retry = RetryTurn { conversation_id: id.clone(), id: turn.id.clone() };
    assert_eq!(expect_api_error(&bob.api, &retry).await.0, ErrorType::Unauthorized);
    let continue_turn = ContinueTurn { conversation_id: id.clone(), id: turn.id };
    assert_eq!(expect_api_error(&bob.api, &continue_turn).await.0, ErrorType::Unauthorized);
    let share = share_request(&id, &bob.id, Access::Write);
    assert_eq!(expect_api_error(&bob.api, &share).await.0, ErrorType::Unauthorized);
}

#[tokio::test]
async fn writer_is_the_sender_of_its_messages_and_controls_turns() {
    let backend = Backend::start().await;
    let (ann, bob) = (backend.iam_user("Ann"), backend.iam_user("Bob"));
    let id = create_conversation(&ann).await;
    share(&ann, &id, &bob, Access::Write).await;
    let mut subscriber = Subscriber::subscribe(&ann.api, &id).await;
    send_message(&bob.api, &id, "t1", "Hello!").await.unwrap();
    let updates = subscriber.updates_until_end("t1").await;
    let sender = &updates[0].event.as_ref().unwrap().sender;
    assert_eq!((sender.id.as_ref(), sender.name.as_ref()), (Some(&bob.id), None));
    let resent = send_message(&bob.api, &id, "t1", "Hello!").await.unwrap();
    assert_eq!((resent.status, resent.run), (TurnStatus::Completed, 1), "the same message is the same turn");

    bob.api.call(&RetryTurn { conversation_id: id.clone(), id: "t1".into() }).await.unwrap();
    subscriber.updates_until_end("t1").await;
    bob.api.call(&ContinueTurn { conversation_id: id.clone(), id: "t1".into() }).await.unwrap();
    subscriber.updates_until_end("t1").await;
    let cancelled = bob.api.call(&CancelTurn { conversation_id: id.clone(), id: "t1".into() }).await.unwrap();
    assert_eq!((cancelled.status, cancelled.run), (TurnStatus::Completed, 3));
}

#[tokio::test]
async fn writer_cannot_share_rename_or_delete() {
    let backend = Backend::without_handler().await;
    let (ann, bob) = (backend.iam_user("Ann"), backend.iam_user("Bob"));
    let shared = create_conversation(&ann).await;
    share(&ann, &shared, &bob, Access::Write).await;
    let share = share_request(&shared, &new_id(), Access::Read);
    assert_eq!(expect_api_error(&bob.api, &share).await.0, ErrorType::Unauthorized);
    let missing = new_id();
    for id in [shared, missing] {
        let rename = UpdateConversation { id: id.clone(), title: Some("Mine".into()), agent_id: None };
        assert_eq!(expect_api_error(&bob.api, &rename).await.0, ErrorType::NotFound);
        assert_eq!(expect_api_error(&bob.api, &DeleteConversation { id }).await.0, ErrorType::NotFound);
    }
}

#[tokio::test]
async fn removed_participant_loses_access_and_its_subscription() {
    let backend = Backend::start().await;
    let (ann, bob, cat) = (backend.iam_user("Ann"), backend.iam_user("Bob"), backend.iam_user("Cat"));
    let id = create_conversation(&ann).await;
    share(&ann, &id, &bob, Access::Write).await;
    share(&ann, &id, &cat, Access::Read).await;
    let mut ann_subscriber = Subscriber::subscribe(&ann.api, &id).await;
    let mut bob_subscriber = Subscriber::subscribe(&bob.api, &id).await;
    let mut cat_subscriber = Subscriber::subscribe(&cat.api, &id).await;
    let removed = ann.api.call(&unshare_request(&id, &bob.id)).await.unwrap().unwrap();
    assert_eq!((&removed.user_id, removed.access), (&bob.id, Access::Write));
    assert_eq!(bob_subscriber.wait_for_error().await[0].error_type, Some(ErrorType::NotFound));
    assert_eq!(expect_api_error(&bob.api, &GetConversation { id: id.clone() }).await.0, ErrorType::NotFound);
    assert_eq!(list(&bob.api).await, []);
    assert_eq!(participants(&ann.api, &id).await, [(cat.id.clone(), Access::Read)]);

    send_message(&ann.api, &id, "t1", "Without Bob.").await.unwrap();
    tokio::join!(ann_subscriber.updates_until_end("t1"), cat_subscriber.updates_until_end("t1"));
    let repeated = ann.api.call(&unshare_request(&id, &bob.id)).await.unwrap();
    assert_eq!(repeated, None, "removing a user again is no error");
}

#[tokio::test]
async fn deleting_a_conversation_ends_its_subscriptions() {
    let backend = Backend::start().await;
    let (ann, bob) = (backend.iam_user("Ann"), backend.iam_user("Bob"));
    let id = create_conversation(&ann).await;
    share(&ann, &id, &bob, Access::Read).await;
    let subscribers = [Subscriber::subscribe(&ann.api, &id).await, Subscriber::subscribe(&bob.api, &id).await];
    ann.api.call(&DeleteConversation { id }).await.unwrap();
    for mut subscriber in subscribers {
        assert_eq!(subscriber.wait_for_error().await[0].error_type, Some(ErrorType::NotFound));
    }
}

#[tokio::test]
async fn participants_can_remove_only_themselves() {
    let backend = Backend::without_handler().await;
    let (ann, bob, cat) = (backend.iam_user("Ann"), backend.iam_user("Bob"), backend.iam_user("Cat"));
    let id = create_conversation(&ann).await;
    share(&ann, &id, &bob, Access::Read).await;
    share(&ann, &id, &cat, Access::Read).await;
    let remove_cat = unshare_request(&id, &cat.id);
    assert_eq!(expect_api_error(&bob.api, &remove_cat).await.0, ErrorType::Unauthorized);
    let remove_bob = unshare_request(&id, &bob.id);
    assert!(bob.api.call(&remove_bob).await.unwrap().is_some());
    assert_eq!(expect_api_error(&bob.api, &remove_bob).await.0, ErrorType::NotFound);
    assert_eq!(participants(&ann.api, &id).await, [(cat.id.clone(), Access::Read)]);
}

#[tokio::test]
async fn own_and_shared_conversations_are_listed_by_last_activity() {
    let backend = Backend::without_handler().await;
    let (ann, bob) = (backend.iam_user("Ann"), backend.iam_user("Bob"));
    let first = create_conversation(&ann).await;
    let second = create_conversation(&ann).await;
    let own = create_conversation(&bob).await;
    share(&ann, &first, &bob, Access::Write).await;
    share(&ann, &second, &bob, Access::Read).await;
    let item = |id: &str, access| (id.to_owned(), Some(access));
    let [first_item, second_item, own_item] =
        [item(&first, Access::Write), item(&second, Access::Read), item(&own, Access::Owner)];
    let after_sharing = [second_item.clone(), first_item.clone(), own_item.clone()];
    assert_eq!(list(&bob.api).await, after_sharing);
    send_message(&bob.api, &first, "t1", "Hello!").await.unwrap();
    let after_message = [first_item, second_item.clone(), own_item.clone()];
    assert_eq!(list(&bob.api).await, after_message, "the participant's last message moves its conversation up");

    let mut listed = Vec::new();
    let mut next_token = None;
    for _ in 0..3 {
        let page = bob.api.call(&ListConversations { limit: Some(1), next_token }).await.unwrap();
        listed.extend(page.items.into_iter().map(|conversation| (conversation.id, conversation.access)));
        next_token = page.next_token;
    }
    assert_eq!((listed.as_slice(), next_token), (after_message.as_slice(), None));
    ann.api.call(&DeleteConversation { id: first }).await.unwrap();
    assert_eq!(list(&bob.api).await, [second_item, own_item]);
}

/// The owner's list and the author's move with the message; the handler moves the others' when the answer is
/// finished.
#[tokio::test]
async fn conversation_moves_up_in_every_participants_list_when_its_answer_is_finished() {
    let backend = Backend::start().await;
    let (ann, bob, cat) = (backend.iam_user("Ann"), backend.iam_user("Bob"), backend.iam_user("Cat"));
    let shared = create_conversation(&ann).await;
    share(&ann, &shared, &bob, Access::Write).await;
    share(&ann, &shared, &cat, Access::Read).await;
    let mut own = Vec::new();
    for user in [&ann, &bob, &cat] {
        own.push(create_conversation(user).await);
    }
    let first_listed = async |user: &User| list(&user.api).await[0].0.clone();
    for (user, own) in [&ann, &bob, &cat].into_iter().zip(&own) {
        assert_eq!(&first_listed(user).await, own);
    }
    let mut subscriber = Subscriber::subscribe(&ann.api, &shared).await;
    let turn = send_message(&ann.api, &shared, "t1", "Hello!").await.unwrap();
    assert_eq!(first_listed(&ann).await, shared, "the owner's list has moved with the message");
    subscriber.updates_until_end(&turn.id).await;
    for user in [&bob, &cat] {
        let moved = async {
            while first_listed(user).await != shared {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        with_timeout(moved).await;
    }
}

/// listConversations leaves such a conversation out after it has read a page, so that a page may be empty.
#[tokio::test]
async fn page_of_a_deleted_conversation_is_empty_and_the_next_page_follows() {
    let backend = Backend::without_handler().await;
    let (ann, bob) = (backend.iam_user("Ann"), backend.iam_user("Bob"));
    let own = create_conversation(&bob).await;
    let shared = create_conversation(&ann).await;
    share(&ann, &shared, &bob, Access::Read).await;
    ann.api.call(&DeleteConversation { id: shared }).await.unwrap();
    let page = bob.api.call(&ListConversations { limit: Some(1), next_token: None }).await.unwrap();
    assert!(page.items.is_empty() && page.next_token.is_some(), "{page:?}");
    let next = bob.api.call(&ListConversations { limit: Some(1), next_token: page.next_token }).await.unwrap();
    assert_eq!((next.items[0].id.as_str(), next.next_token), (own.as_str(), None));
}

#[tokio::test]
async fn conversation_has_at_most_fifty_participants() {
    let backend = Backend::with_parameters([("MessagesPerMinute", "0")]).await;
    let ann = backend.iam_user("Ann");
    let id = create_conversation(&ann).await;
    let user_id = |number: usize| format!("https://id.example.com#{number}");
    let request = |number: usize, access| share_request(&id, &user_id(number), access);
    for number in 0..50 {
        ann.api.call(&request(number, Access::Read)).await.unwrap();
    }
    let full = (ErrorType::InvalidInput, json!({ "field": "userId" }));
    assert_eq!(expect_api_error(&ann.api, &request(50, Access::Read)).await, full);
    let existing = ann.api.call(&request(7, Access::Read)).await.unwrap();
    let changed = ann.api.call(&request(7, Access::Write)).await.unwrap();
    assert_eq!((changed.access, &changed.shared_at), (Access::Write, &existing.shared_at));
    assert_eq!(participants(&ann.api, &id).await.len(), 50);
    ann.api.call(&unshare_request(&id, &user_id(3))).await.unwrap();
    ann.api.call(&request(50, Access::Read)).await.unwrap();
    assert_eq!(expect_api_error(&ann.api, &request(51, Access::Read)).await, full);
    send_message(&ann.api, &id, "t1", "To all of you.").await.unwrap();
}

#[tokio::test]
async fn owners_api_keys_and_malformed_ids_cannot_be_participants() {
    let backend = Backend::without_handler().await;
    let (ann, bob) = (backend.iam_user("Ann"), backend.iam_user("Bob"));
    let id = create_conversation(&ann).await;
    for (user_id, access, field) in [
        (bob.id.as_str(), Access::Owner, "access"),
        (&ann.id, Access::Write, "userId"),
        ("API_KEY", Access::Read, "userId"),
        ("", Access::Read, "userId"),
        ("IAM#\u{e4}", Access::Read, "userId"),
        (&format!("IAM#{}", "x".repeat(253)), Access::Read, "userId"),
    ] {
        let error = expect_api_error(&ann.api, &share_request(&id, user_id, access)).await;
        assert_eq!(error, (ErrorType::InvalidInput, json!({ "field": field })), "{user_id}");
    }
    let api_key_conversation = backend.conversation().await;
    let share = share_request(&api_key_conversation, &bob.id, Access::Read);
    let error_type = expect_api_error(&backend.api, &share).await.0;
    assert_eq!(error_type, ErrorType::Unauthorized, "API key callers cannot share");
}

#[tokio::test]
async fn purge_removes_all_participants() {
    let backend = Backend::with_parameters([("MessagesPerMinute", "0")]).await;
    let (ann, bob) = (backend.iam_user("Ann"), backend.iam_user("Bob"));
    let id = create_conversation(&ann).await;
    share(&ann, &id, &bob, Access::Write).await;
    ann.api.call(&DeleteConversation { id: id.clone() }).await.unwrap();
    assert_eq!(expect_api_error(&bob.api, &GetConversation { id: id.clone() }).await.0, ErrorType::NotFound);
    backend.wait_for_purge(&id).await;
    assert_eq!(backend.count_all_items().await, 1, "only the tombstone is left");
}
