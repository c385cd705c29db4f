//! Conversations that several users read and write, for as long as their owner wants it.
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

use crate::backend::{Backend, Ear, User, draw, refusal, say};

async fn begin(owner: &User) -> String {
    owner.api.call(&CreateConversation::default()).await.unwrap().id
}

async fn share(owner: &User, conversation: &str, with: &User, access: Access) {
    owner.api.call(&sharing(conversation, &with.id, access)).await.unwrap();
}

fn sharing(conversation: &str, user_id: &str, access: Access) -> ShareConversation {
    ShareConversation { conversation_id: conversation.into(), user_id: user_id.into(), access }
}

fn unsharing(conversation: &str, user: &User) -> UnshareConversation {
    UnshareConversation { conversation_id: conversation.into(), user_id: user.id.clone() }
}

async fn participants(api: &AppSync, conversation: &str) -> Vec<(String, Access)> {
    let asked = GetParticipants { conversation_id: conversation.into() };
    let participants = api.call(&asked).await.unwrap().participants.unwrap();
    participants.into_iter().map(|participant| (participant.user_id, participant.access)).collect()
}

async fn listed(api: &AppSync) -> Vec<(String, Option<Access>)> {
    let page = api.call(&ListConversations::default()).await.unwrap();
    page.items.into_iter().map(|conversation| (conversation.id, conversation.access)).collect()
}

#[tokio::test]
async fn a_participant_who_reads_sees_and_hears_everything_and_changes_nothing() {
    let backend = Backend::start().await;
    let (ann, bob) = (backend.user("Ann"), backend.user("Bob"));
    let id = begin(&ann).await;
    share(&ann, &id, &bob, Access::Read).await;
    let (mut owners, mut readers) = (Ear::open(&ann.api, &id).await, Ear::open(&bob.api, &id).await);
    let turn = say(&ann.api, &id, "t1", "Hello!").await.unwrap();
    let (heard, also_heard) = tokio::join!(owners.until_end(&turn.id), readers.until_end(&turn.id));
    assert_eq!(heard, also_heard);

    let seen = bob.api.call(&GetConversation { id: id.clone() }).await.unwrap();
    assert_eq!((seen.owner_id.as_deref(), seen.access), (Some(ann.id.as_str()), Some(Access::Read)));
    assert_eq!(participants(&bob.api, &id).await, [(bob.id.clone(), Access::Read)]);
    let refused = say(&bob.api, &id, &draw(), "May I?").await.unwrap_err();
    assert_eq!(refused.api_error().unwrap().error_type, Some(ErrorType::Unauthorized));
    let (conversation_id, turn) = (id.clone(), turn.id);
    let cancel = CancelTurn { conversation_id: conversation_id.clone(), id: turn.clone() };
    assert_eq!(refusal(&bob.api, &cancel).await.0, ErrorType::Unauthorized);
    let retry = RetryTurn { conversation_id: conversation_id.clone(), id: turn.clone() };
    assert_eq!(refusal(&bob.api, &retry).await.0, ErrorType::Unauthorized);
    let go_on = ContinueTurn { conversation_id, id: turn };
    assert_eq!(refusal(&bob.api, &go_on).await.0, ErrorType::Unauthorized);
    assert_eq!(refusal(&bob.api, &sharing(&id, &bob.id, Access::Write)).await.0, ErrorType::Unauthorized);
}

#[tokio::test]
async fn a_participant_who_writes_is_named_by_what_it_sends_and_may_do_with_turns_what_the_owner_may() {
    let backend = Backend::start().await;
    let (ann, bob) = (backend.user("Ann"), backend.user("Bob"));
    let id = begin(&ann).await;
    share(&ann, &id, &bob, Access::Write).await;
    let mut ear = Ear::open(&ann.api, &id).await;
    say(&bob.api, &id, "t1", "Hello!").await.unwrap();
    let updates = ear.until_end("t1").await;
    let sender = &updates[0].event.as_ref().unwrap().sender;
    assert_eq!((sender.id.as_deref(), sender.name.as_deref()), (Some(bob.id.as_str()), None));
    let again = say(&bob.api, &id, "t1", "Hello!").await.unwrap();
    assert_eq!((again.status, again.run), (TurnStatus::Completed, 1), "the same message is the same turn");

    bob.api.call(&RetryTurn { conversation_id: id.clone(), id: "t1".into() }).await.unwrap();
    ear.until_end("t1").await;
    bob.api.call(&ContinueTurn { conversation_id: id.clone(), id: "t1".into() }).await.unwrap();
    ear.until_end("t1").await;
    let cancelled = bob.api.call(&CancelTurn { conversation_id: id.clone(), id: "t1".into() }).await.unwrap();
    assert_eq!((cancelled.status, cancelled.run), (TurnStatus::Completed, 3));
    assert_eq!(refusal(&bob.api, &sharing(&id, &draw(), Access::Read)).await.0, ErrorType::Unauthorized);
    for id in [id, draw()] {
        let rename = UpdateConversation { id: id.clone(), title: Some("Mine".into()), agent_id: None };
        assert_eq!(refusal(&bob.api, &rename).await.0, ErrorType::NotFound, "renaming is the owner's");
        assert_eq!(refusal(&bob.api, &DeleteConversation { id }).await.0, ErrorType::NotFound, "so is deleting");
    }
}

#[tokio::test]
async fn whoever_is_shut_out_hears_and_sees_no_more() {
    let backend = Backend::start().await;
    let (ann, bob, cat) = (backend.user("Ann"), backend.user("Bob"), backend.user("Cat"));
    let id = begin(&ann).await;
    share(&ann, &id, &bob, Access::Write).await;
    share(&ann, &id, &cat, Access::Read).await;
    let (mut owners, mut bobs, mut cats) =
        (Ear::open(&ann.api, &id).await, Ear::open(&bob.api, &id).await, Ear::open(&cat.api, &id).await);
    let ended = ann.api.call(&unsharing(&id, &bob)).await.unwrap().unwrap();
    assert_eq!((ended.user_id.as_str(), ended.access), (bob.id.as_str(), Access::Write));
    assert_eq!(bobs.until_refused().await[0].error_type, Some(ErrorType::NotFound));
    assert_eq!(refusal(&bob.api, &GetConversation { id: id.clone() }).await.0, ErrorType::NotFound);
    assert_eq!(listed(&bob.api).await, []);
    assert_eq!(participants(&ann.api, &id).await, [(cat.id.clone(), Access::Read)]);

    say(&ann.api, &id, "t1", "Without Bob.").await.unwrap();
    tokio::join!(owners.until_end("t1"), cats.until_end("t1"));
    assert_eq!(ann.api.call(&unsharing(&id, &bob)).await.unwrap(), None, "the same again is no error");
}

#[tokio::test]
async fn nobody_listens_to_what_is_deleted() {
    let backend = Backend::start().await;
    let (ann, bob) = (backend.user("Ann"), backend.user("Bob"));
    let id = begin(&ann).await;
    share(&ann, &id, &bob, Access::Read).await;
    let ears = [Ear::open(&ann.api, &id).await, Ear::open(&bob.api, &id).await];
    ann.api.call(&DeleteConversation { id }).await.unwrap();
    for mut ear in ears {
        assert_eq!(ear.until_refused().await[0].error_type, Some(ErrorType::NotFound));
    }
}

#[tokio::test]
async fn a_participant_leaves() {
    let backend = Backend::without_handler().await;
    let (ann, bob, cat) = (backend.user("Ann"), backend.user("Bob"), backend.user("Cat"));
    let id = begin(&ann).await;
    share(&ann, &id, &bob, Access::Read).await;
    share(&ann, &id, &cat, Access::Read).await;
    assert_eq!(refusal(&bob.api, &unsharing(&id, &cat)).await.0, ErrorType::Unauthorized, "others stay");
    assert!(bob.api.call(&unsharing(&id, &bob)).await.unwrap().is_some());
    assert_eq!(refusal(&bob.api, &unsharing(&id, &bob)).await.0, ErrorType::NotFound);
    assert_eq!(participants(&ann.api, &id).await, [(cat.id.clone(), Access::Read)]);
}

#[tokio::test]
async fn shared_conversations_are_listed_among_ones_own_by_last_activity() {
    let backend = Backend::without_handler().await;
    let (ann, bob) = (backend.user("Ann"), backend.user("Bob"));
    let (first, second) = (begin(&ann).await, begin(&ann).await);
    let own = begin(&bob).await;
    share(&ann, &first, &bob, Access::Write).await;
    share(&ann, &second, &bob, Access::Read).await;
    let access = |id: &str, access| (id.to_owned(), Some(access));
    let shared = [access(&second, Access::Read), access(&first, Access::Write), access(&own, Access::Owner)];
    assert_eq!(listed(&bob.api).await, shared);
    say(&bob.api, &first, "t1", "Hello!").await.unwrap();
    let moved = [access(&first, Access::Write), access(&second, Access::Read), access(&own, Access::Owner)];
    assert_eq!(listed(&bob.api).await, moved, "what the participant last wrote to is first");

    let mut paged = Vec::new();
    let mut next_token = None;
    for _ in 0..3 {
        let page = bob.api.call(&ListConversations { limit: Some(1), next_token }).await.unwrap();
        paged.extend(page.items.into_iter().map(|conversation| (conversation.id, conversation.access)));
        next_token = page.next_token;
    }
    assert_eq!((paged.as_slice(), next_token), (moved.as_slice(), None));
    ann.api.call(&DeleteConversation { id: first }).await.unwrap();
    assert_eq!(listed(&bob.api).await, [moved[1].clone(), moved[2].clone()]);
}

#[tokio::test]
async fn a_conversation_has_at_most_fifty_participants() {
    let backend = Backend::with_parameters([("MessagesPerMinute", "0")]).await;
    let ann = backend.user("Ann");
    let id = begin(&ann).await;
    let wish = |number: usize, access| sharing(&id, &format!("https://id.example.com#{number}"), access);
    for number in 0..50 {
        ann.api.call(&wish(number, Access::Read)).await.unwrap();
    }
    let full = (ErrorType::InvalidInput, json!({ "field": "userId" }));
    assert_eq!(refusal(&ann.api, &wish(50, Access::Read)).await, full);
    let known = ann.api.call(&wish(7, Access::Read)).await.unwrap();
    let changed = ann.api.call(&wish(7, Access::Write)).await.unwrap();
    assert_eq!((changed.access, &changed.shared_at), (Access::Write, &known.shared_at), "a change is no new one");
    assert_eq!(participants(&ann.api, &id).await.len(), 50);
    let gone = UnshareConversation { conversation_id: id.clone(), user_id: "https://id.example.com#3".into() };
    ann.api.call(&gone).await.unwrap();
    ann.api.call(&wish(50, Access::Read)).await.unwrap();
    assert_eq!(refusal(&ann.api, &wish(51, Access::Read)).await, full);
    say(&ann.api, &id, "t1", "To all of you.").await.unwrap();
}

#[tokio::test]
async fn nobody_is_an_owner_twice_and_nobody_in_particular_takes_part() {
    let backend = Backend::without_handler().await;
    let (ann, bob) = (backend.user("Ann"), backend.user("Bob"));
    let id = begin(&ann).await;
    for (user_id, access, field) in [
        (bob.id.as_str(), Access::Owner, "access"),
        (&ann.id, Access::Write, "userId"),
        ("API_KEY", Access::Read, "userId"),
        ("", Access::Read, "userId"),
        ("IAM#\u{e4}", Access::Read, "userId"),
        (&format!("IAM#{}", "x".repeat(253)), Access::Read, "userId"),
    ] {
        let refused = refusal(&ann.api, &sharing(&id, user_id, access)).await;
        assert_eq!(refused, (ErrorType::InvalidInput, json!({ "field": field })), "{user_id}");
    }
    let keyed = backend.conversation().await;
    let refused = refusal(&backend.api, &sharing(&keyed, &bob.id, Access::Read)).await.0;
    assert_eq!(refused, ErrorType::Unauthorized, "with an API key nothing is shared");
}

#[tokio::test]
async fn a_purge_leaves_nothing_of_participants() {
    let backend = Backend::with_parameters([("MessagesPerMinute", "0")]).await;
    let (ann, bob) = (backend.user("Ann"), backend.user("Bob"));
    let id = begin(&ann).await;
    share(&ann, &id, &bob, Access::Write).await;
    ann.api.call(&DeleteConversation { id: id.clone() }).await.unwrap();
    assert_eq!(refusal(&bob.api, &GetConversation { id: id.clone() }).await.0, ErrorType::NotFound);
    backend.purged(&id).await;
    assert_eq!(backend.count_all_items().await, 1, "a tombstone, and nothing that lists it");
}
