//! Documents that belong to users: a filter finds those of the caller alone.
use client::AppSync;
use futures::future::join_all;
use local::{identity::PoolUser, server::ServerOptions};
use serde_json::json;

use super::fixture::{CITING_MODEL, Fixture};

const QUESTION: &str = "What is the secret number of the project in the note?";

/// A caller, and the owner of its documents; None where nothing may be found.
struct Caller {
    name: &'static str,
    api: AppSync,
    id: Option<String>,
}

/// Of each authorization mode. Users of different issuers with the same name are different users.
fn callers(fixture: &Fixture) -> Vec<Caller> {
    let backend = &fixture.backend;
    let users = [
        ("pool-ada", backend.pool_user("ada")),
        ("pool-bob", backend.pool_user("bob")),
        ("oidc-ada", backend.oidc_user("ada")),
        ("iam-ada", backend.iam_user("Ada")),
    ];
    let users = users.into_iter().map(|(name, user)| Caller { name, api: user.api, id: Some(user.id) });
    let key = Caller { name: "key", api: backend.api.clone(), id: None };
    users.chain([key]).collect()
}

/// One note for each user, and one that belongs to nobody.
async fn fixture_with_owners() -> Fixture {
    let users = vec![PoolUser::named("ada"), "bob:staff".parse().unwrap()];
    let fixture = Fixture::with_options(&[], |options| ServerOptions { users, oidc: true, ..options }).await;
    let owners: Vec<Caller> = callers(&fixture).into_iter().filter(|caller| caller.id.is_some()).collect();
    for Caller { name, id, .. } in &owners {
        // The metadata comes first: nobody's note would be found by everybody.
        let metadata = json!({ "metadataAttributes": { "owner": id, "team": name } });
        fixture.write(&format!("{name}.md.metadata.json"), &metadata.to_string());
        fixture.write(&format!("{name}.md"), &note(name));
    }
    fixture.write("nobody.md", &note("nobody"));
    fixture.wait_for_documents(owners.len() + 1).await;
    fixture
}

fn note(name: &str) -> String {
    format!("The secret number of the project in the note of {name} is 4711.\n")
}

#[tokio::test]
async fn caller_finds_only_the_documents_that_it_owns() {
    let fixture = fixture_with_owners().await;
    let filter = json!({ "equals": { "key": "owner", "value": "$caller.id" } }).to_string();
    for mode in ["ALWAYS", "TOOL"] {
        let agent = format!("owner-{mode}").to_lowercase();
        let knowledge = json!({ "mode": mode, "results": 20, "filter": filter });
        fixture.put_agent(&agent, CITING_MODEL, knowledge).await;
        let callers = callers(&fixture);
        let answers = join_all(callers.iter().map(|caller| fixture.ask(&caller.api, &agent, QUESTION))).await;
        for (Caller { name, id, .. }, answer) in callers.iter().zip(answers) {
            let own = format!("s3://local-knowledge/{name}.md");
            let expected = if id.is_some() { vec![own.as_str()] } else { Vec::new() };
            assert_eq!(answer.sources(), expected, "{name} with {mode}");
            // Whatever an event holds, also the result of the tool.
            let stored = json!(answer.events).to_string();
            for other in callers.iter().filter(|other| other.name != *name) {
                assert!(!stored.contains(&format!("the note of {}", other.name)), "{name} with {mode}: {stored}");
            }
        }
    }
}

#[tokio::test]
async fn caller_finds_the_documents_of_its_groups() {
    let fixture = fixture_with_owners().await;
    fixture.write("staff.md.metadata.json", &json!({ "metadataAttributes": { "team": "staff" } }).to_string());
    fixture.write("staff.md", &note("staff"));
    fixture.wait_for_documents(6).await;
    let filter = json!({ "in": { "key": "team", "value": "$caller.groups" } }).to_string();
    fixture.put_agent("team", CITING_MODEL, json!({ "results": 20, "filter": filter })).await;
    let callers = callers(&fixture);
    let answers = join_all(callers.iter().map(|caller| fixture.ask(&caller.api, "team", QUESTION))).await;
    for (Caller { name, .. }, answer) in callers.iter().zip(answers) {
        let is_staff = *name == "pool-bob";
        let expected = if is_staff { vec!["s3://local-knowledge/staff.md"] } else { Vec::new() };
        assert_eq!(answer.sources(), expected, "{name}");
    }
}
