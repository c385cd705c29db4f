//! Every root field, requested by every kind of caller.
mod callers;
mod fixture;
mod matrix;
mod send_request;

use std::collections::{BTreeMap, BTreeSet};

use apollo_compiler::Schema;
use futures::{StreamExt, stream};
use serde_json::Value;

use self::{
    callers::Callers,
    fixture::{Fixture, SharedConversation},
    matrix::Matrix,
    send_request::outcome,
};
use crate::backend::Backend;

const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

/// The fields about tools that queries have.
const TOOL_FIELDS: [&str; 5] = [".toolUse", ".toolResult", ".pending", ".toolCall", "getAgent.tools"];

/// Groups of cells that are tried at the same time.
const CONCURRENCY: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn every_caller_gets_the_outcome_of_the_matrix() {
    let backend = Backend::with_all_auth_modes().await;
    let callers = Callers::new(&backend).await;
    let fixture = Fixture { backend: &backend, callers: &callers, http: reqwest::Client::new() };
    let matrix = Matrix::load();
    let mut groups: BTreeMap<(&str, &str), Vec<(&str, &str)>> = BTreeMap::new();
    for (field, caller, expected) in matrix.cells() {
        groups.entry((field, callers.mode_of(caller))).or_default().push((caller, expected));
    }
    let cells: usize = groups.values().map(Vec::len).sum();
    println!("{cells} cells");
    let groups = groups.iter().map(|((field, mode), cells)| try_group(&fixture, field, mode, cells));
    let wrong: Vec<String> = stream::iter(groups).buffer_unordered(CONCURRENCY).concat().await;
    assert!(wrong.is_empty(), "{} of {cells} cells differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Tries the cells of one field and one mode, and returns those with another outcome. A conversation is used
/// until a request on it succeeds.
async fn try_group(fixture: &Fixture<'_>, field: &str, mode: &str, cells: &[(&str, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut unchanged = None;
    for (caller, expected) in cells {
        let conversation = match unchanged.take() {
            Some(conversation) => conversation,
            None => fixture.create_conversation(field, fixture.callers.owner_of(mode)).await,
        };
        let found = try_cell(fixture, field, caller, &conversation).await;
        if found != *expected {
            wrong.push(format!("{field} for {caller}: {found}, expected {expected}"));
        } else if found != "ok" {
            unchanged = Some(conversation);
        }
    }
    wrong
}

/// The outcome for one caller. A refused request must leave the conversation unchanged, and "not found" must
/// be the response for a conversation that does not exist.
async fn try_cell(fixture: &Fixture<'_>, field: &str, caller: &str, conversation: &SharedConversation) -> String {
    let before = fixture.backend.conversation_items(&conversation.id).await;
    let response = send(fixture, field, caller, conversation).await;
    let mut found = outcome(&response);
    if ["Mutation.invokeModel", "Query.listModels"].contains(&field) && found.starts_with("TryAgain: ") {
        found = "ok".to_owned();
    }
    if found == "ok" && TOOL_FIELDS.iter().any(|name| field.ends_with(name)) {
        found = tool_field_outcome(&response, field);
    }
    if found == "ok" && field == "Query.listConversations" {
        found = list_outcome(&response, &conversation.id);
    }
    if found != "ok" && before != fixture.backend.conversation_items(&conversation.id).await {
        return format!("{found}, and the conversation has changed");
    }
    if found == "not found" {
        let missing = conversation.missing();
        let missing_response = send(fixture, field, caller, &missing).await.to_string();
        let response = response.to_string();
        if missing_response.replace(&missing.id, &conversation.id) != response {
            return format!("{response}, but for a missing conversation {missing_response}");
        }
    }
    found
}

async fn send(fixture: &Fixture<'_>, field: &str, caller_name: &str, conversation: &SharedConversation) -> Value {
    let endpoint = fixture.backend.api.endpoint();
    let caller = fixture.callers.get(caller_name);
    let request = conversation.request(field, caller_name);
    if field.starts_with("Subscription.") {
        caller.subscribe(endpoint, &request).await
    } else {
        caller.post(&fixture.http, endpoint, &request).await
    }
}

/// The outcome of a request for a field about tools, which the conversation or the agent has.
fn tool_field_outcome(response: &Value, field: &str) -> String {
    let name = field.rsplit('.').next().unwrap_or_default();
    let has_value = ["{", "[{"].iter().any(|start| response.to_string().contains(&format!("\"{name}\":{start}")));
    if has_value { "ok" } else { "empty" }.to_owned()
}

fn list_outcome(response: &Value, conversation_id: &str) -> String {
    let items = response.pointer("/data/listConversations/items").and_then(Value::as_array);
    let is_listed = items.into_iter().flatten().any(|item| item["id"] == conversation_id);
    if is_listed { "ok" } else { "empty" }.to_owned()
}

#[test]
fn matrix_has_every_root_field_and_every_caller() {
    let matrix = Matrix::load();
    let mut callers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (field, caller, _) in matrix.cells() {
        callers.entry(field).or_default().insert(caller);
    }
    let all_callers: BTreeSet<&str> = callers.values().flatten().copied().collect();
    for (field, found) in &callers {
        let missing: Vec<_> = all_callers.difference(found).collect();
        assert!(missing.is_empty(), "{field} has no outcome for {missing:?}");
    }
    let fields: BTreeSet<String> =
        matrix.fields().map(|field| field.split('.').take(2).collect::<Vec<_>>().join(".")).collect();
    assert_eq!(fields, root_fields());
}

fn root_fields() -> BTreeSet<String> {
    let read = |path: &str| std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let schema = Schema::builder()
        .parse(read("local/graphql/schema/prelude.graphql"), "prelude.graphql")
        .parse(read("schema.graphql"), "schema.graphql")
        .build()
        .unwrap();
    let fields = |root: &&str| {
        let names = schema.get_object(root).unwrap().fields.keys();
        names.map(|name| format!("{root}.{name}")).collect::<Vec<_>>()
    };
    ROOTS.iter().flat_map(fields).collect()
}

#[test]
fn access_page_has_the_matrix_as_a_table() {
    let page = include_str!("../../../docs/access.md");
    let table = Matrix::load().table();
    assert!(page.contains(&table), "docs/access.md should have:\n{table}");
}
