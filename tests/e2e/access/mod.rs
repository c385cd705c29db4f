//! Every root field, asked for by everybody.
mod asking;
mod matrix;
mod people;
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use apollo_compiler::Schema;
use serde_json::Value;

use self::{
    asking::outcome,
    matrix::Matrix,
    people::People,
    stage::{Scene, Stage},
};
use crate::backend::Backend;

const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

#[tokio::test(flavor = "multi_thread")]
async fn every_caller_gets_of_every_field_what_the_matrix_says() {
    let backend = Backend::for_access().await;
    let people = People::of(&backend);
    let stage = Stage { backend: &backend, people: &people };
    let (mut cells, mut wrong) = (0, Vec::new());
    let mut scenes = BTreeMap::new();
    for (field, caller, expected) in Matrix::read().cells() {
        cells += 1;
        let mode = people.mode_of(caller);
        let scene = match scenes.remove(&(field, mode)) {
            Some(untouched) => untouched,
            None => stage.set(field, people.owner_of(mode)).await,
        };
        let found = try_cell(&stage, field, caller, &scene).await;
        if found != expected {
            wrong.push(format!("{field} for {caller}: {found}, not {expected}"));
        } else if expected != "ok" {
            scenes.insert((field, mode), scene);
        }
    }
    println!("{cells} cells");
    assert!(wrong.is_empty(), "{} of {cells} cells differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// What comes of it; whoever is refused has changed nothing, and of a conversation that is not theirs they learn as much
/// as of one that does not exist.
async fn try_cell(stage: &Stage<'_>, field: &str, caller: &str, scene: &Scene) -> String {
    let before = stage.backend.items_of(&scene.conversation).await;
    let answer = put(stage, field, caller, scene).await;
    let found = match outcome(&answer) {
        shown if shown == "ok" && field == "Query.listConversations" => listed(&answer, &scene.conversation),
        other => other,
    };
    if found != "ok" && before != stage.backend.items_of(&scene.conversation).await {
        return format!("{found}, and the conversation has changed");
    }
    if found == "not found" {
        let missing = scene.missing();
        let alike = put(stage, field, caller, &missing).await.to_string();
        let answer = answer.to_string();
        if alike.replace(&missing.conversation, &scene.conversation) != answer {
            return format!("{answer}, where a missing conversation gives {alike}");
        }
    }
    found
}

async fn put(stage: &Stage<'_>, field: &str, caller: &str, scene: &Scene) -> Value {
    let (name, endpoint) = (caller, stage.backend.api.endpoint());
    let caller = stage.people.named(name);
    let asked = scene.asked(field, name);
    match field.starts_with("Subscription.") {
        true => caller.subscribe(endpoint, &asked).await,
        false => caller.post(endpoint, &asked).await,
    }
}

fn listed(answer: &Value, conversation: &str) -> String {
    let items = answer.pointer("/data/listConversations/items").and_then(Value::as_array);
    let is_listed = items.into_iter().flatten().any(|item| item["id"] == conversation);
    if is_listed { "ok" } else { "empty" }.to_owned()
}

#[test]
fn every_root_field_stands_in_the_matrix_with_every_caller() {
    let matrix = Matrix::read();
    let mut callers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (field, caller, _) in matrix.cells() {
        callers.entry(field).or_default().insert(caller);
    }
    let everybody: BTreeSet<&str> = callers.values().flatten().copied().collect();
    for (field, found) in &callers {
        let missing: Vec<_> = everybody.difference(found).collect();
        assert!(missing.is_empty(), "{field} says nothing of {missing:?}");
    }
    let known: BTreeSet<String> =
        matrix.fields().map(|field| field.split('.').take(2).collect::<Vec<_>>().join(".")).collect();
    assert_eq!(known, root_fields());
}

fn root_fields() -> BTreeSet<String> {
    let read = |path: &str| std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let schema = Schema::builder()
        .parse(read("local/graphql/prelude.graphql"), "prelude.graphql")
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
fn the_readme_has_the_matrix_as_a_table() {
    let readme = std::fs::read_to_string(format!("{}/README.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let table = Matrix::read().table();
    assert!(readme.contains(&table), "the README should have:\n{table}");
}
