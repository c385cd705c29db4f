//! A backend in a hurry, and the verbs of its users: each is repeated until it is granted, as users do.
use std::time::Duration;

use client::{
    AppSync, Credentials, Error,
    credentials::IamKeys,
    requests::{CancelTurn, CreateConversation, ListConversations, PutAgent, Request, SendMessage},
};
use futures::FutureExt;
use local::{
    fault_injection::FaultPlan,
    server::{Models, Server, ServerOptions},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    checker::{Evidence, check},
    reader::{Reader, Seen},
};

/// A minute of Lambda's event queue takes 36 seconds: longer than the lease of a process that died.
pub const OUTLIVING_LEASES: f64 = 0.6;
/// So many turns are answered at the same time.
pub const AT_ONCE: usize = 100;
/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

pub struct Stage {
    pub server: Server,
    api: AppSync,
    administrator: AppSync,
    _state: TempDir,
}

/// A conversation in which one thing is said.
pub struct Scene {
    pub id: String,
    pub turn_id: String,
    pub text: String,
}

impl Stage {
    pub async fn set(fault_plan: FaultPlan, time_scale: f64) -> Self {
        let state = tempfile::tempdir().unwrap();
        let options = ServerOptions {
            root: env!("CARGO_MANIFEST_DIR").into(),
            state: state.path().to_owned(),
            ephemeral: true,
            port: 0,
            parameters: [("HandlerReservedConcurrency".into(), AT_ONCE.to_string())].into(),
            users: Vec::new(),
            oidc: false,
            models: Models::Scripted,
            executable: env!("CARGO_BIN_EXE_parlance").into(),
            fault_plan,
            time_scale,
        };
        let server = Server::start(options).await.unwrap();
        let (endpoint, keys) = (&server.endpoint, &server.endpoint.administrator);
        let keys = IamKeys {
            access_key: keys.access_key_id.clone(),
            secret_key: keys.secret_access_key.clone(),
            session_token: None,
            region: endpoint.region.clone(),
        };
        let api =
            AppSync::new(&endpoint.url, Credentials::ApiKey(endpoint.api_key.clone().expect("the API takes a key")))
                .unwrap();
        let administrator = AppSync::new(&endpoint.url, Credentials::Iam(keys)).unwrap();
        Self { server, api, administrator, _state: state }
    }

    /// A conversation with an agent of the scripted model; every name in it is told apart by `number`.
    pub async fn scene(&self, model_id: &str, number: usize) -> Scene {
        let agent = model_id.replace('.', "-");
        let put = PutAgent { id: agent.clone(), model_id: model_id.into(), ..PutAgent::default() };
        insist(&self.administrator, &put).await;
        let id = format!("c{number}");
        let wish = CreateConversation { id: Some(id.clone()), agent_id: Some(agent), ..CreateConversation::default() };
        insist(&self.api, &wish).await;
        Scene { id, turn_id: format!("t{number}"), text: format!("Say it, {number}.") }
    }

    pub async fn read(&self, scene: &Scene) -> Reader {
        Reader::open(&self.api, &scene.id, &scene.turn_id).await
    }

    pub async fn say(&self, scene: &Scene) {
        let (conversation_id, id) = (Some(scene.id.clone()), Some(scene.turn_id.clone()));
        insist(&self.api, &SendMessage { conversation_id, id, text: scene.text.clone() }).await;
    }

    pub async fn cancel(&self, scene: &Scene) {
        insist(&self.api, &CancelTurn { conversation_id: scene.id.clone(), id: scene.turn_id.clone() }).await;
    }

    /// The ids of the conversations, as far as one page holds them.
    pub async fn list(&self) -> Vec<String> {
        let page = insist(&self.api, &ListConversations { limit: Some(100), next_token: None }).await;
        page.items.into_iter().map(|conversation| conversation.id).collect()
    }

    /// Reads while it is said, until the turn has ended.
    pub async fn play(&self, scene: &Scene) -> Seen {
        let reader = self.read(scene).await;
        let saying = self.say(scene).shared();
        tokio::join!(reader.until_end(saying.clone()), saying).0
    }

    /// Finds every invariant kept in a conversation whose turn has ended.
    pub async fn check(&self, scene: &Scene, said: &str, seen: &[Seen]) {
        let items = self.items(&format!("CONVERSATION#{}", scene.id)).await;
        let batches = self.items(&format!("TURN#{}#{}", scene.id, scene.turn_id)).await;
        let evidence = Evidence { question: &scene.text, said, items: &items, batches: &batches, seen };
        let violations = check(&evidence);
        assert!(violations.is_empty(), "{}: {violations:#?}\n{evidence:#?}", scene.id);
    }

    async fn items(&self, partition: &str) -> Vec<Value> {
        let request = json!({
            "operation": "Query",
            "query": { "expression": "pk = :pk", "expressionValues": { ":pk": { "S": partition } } },
            "consistentRead": true,
        });
        loop {
            let answer = self.server.database.run("parlance-Table", &request).await;
            if let (Value::Array(items), None) = (answer.result["items"].clone(), answer.error) {
                assert!(answer.result["nextToken"].is_null(), "one page holds a conversation of a test");
                return items;
            }
        }
    }
}

async fn insist<R: Request>(api: &AppSync, request: &R) -> R::Answer {
    let granted = async {
        loop {
            match api.call(request).await {
                Ok(answer) => return answer,
                Err(error) => pause_after(&error).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, granted).await.expect("it is granted in time")
}

async fn pause_after(error: &Error) {
    assert!(error.is_transient(), "{error}");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// What `parlance.deltas-N-M` says.
pub fn deltas(count: usize) -> String {
    (1..=count).map(|number| format!("{:04} ", number % 10_000)).collect()
}
