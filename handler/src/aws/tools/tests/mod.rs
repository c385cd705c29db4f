//! Runs of tools against an HTTP server that stands for AWS and GraphQL APIs, and an embedded table.
mod graphql;
mod handler_tools;
mod lambda;
mod mcp;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use api::types::{ToolStatus, ToolUse};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_types::base64;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Response, StatusCode, Uri},
};
use serde_json::{Value, json};
use tokio::{sync::watch, time::sleep};
use turn::{
    model::ToolOutput,
    tool::{Caller, Tool, ToolApproval, ToolEffect, ToolOutcome, ToolRun, ToolTarget},
};

use super::{CredentialCache, InvocationTools, Lambda, ToolClients, ToolRunner};
use crate::{
    aws::{
        dynamodb::{
            Table,
            test_support::{FAR, NOW, claim, embedded_table, number, time, turn_item, with},
        },
        http_client,
        kms::Kms,
        knowledge_base::KnowledgeBases,
        mcp::{McpServers, McpSessions},
        secrets_manager::SecretsManager,
        signed_http,
    },
    clock::{self, Clock},
    graphql_urls::GraphqlUrls,
    mcp_urls::{AllowedSecrets, McpUrls},
    tool::HandlerTools,
};

const KMS_PATH: &str = "/kms";
const NOT_REACHED: &str = "The tool could not be reached.";
const NOT_ALLOWED: &str = "The tool may not be used or does not exist.";

fn assert_failed(outcome: &ToolOutcome, text: &str) {
    assert_eq!((outcome.status, &outcome.output), (ToolStatus::Failed, &ToolOutput::Text(text.into())));
}

fn assert_unknown(outcome: &ToolOutcome, text: &str) {
    let text = format!("{text} It may have taken effect: check before calling the tool again.");
    assert_eq!((outcome.status, &outcome.output), (ToolStatus::Unknown, &ToolOutput::Text(text)));
}

fn run_for(effect: ToolEffect, target: ToolTarget, time_limit: Duration) -> ToolRun {
    let tool = Tool {
        name: "look".into(),
        title: None,
        description: "Looks.".into(),
        input_schema: r#"{"type":"object"}"#.into(),
        effect,
        approval: Some(ToolApproval::Never),
        target,
    };
    let input = r#"{"z": 1.0,"a":[]}"#.into();
    ToolRun {
        claim: claim(),
        caller: Caller { id: Some("u1".into()), name: Some("Ann".into()), groups: Vec::new(), credential: None },
        position: 8,
        tool: Arc::new(tool),
        tool_use: ToolUse { id: "a.1".into(), name: "look".into(), title: None, input },
        given: None,
        guardrail: None,
        until: clock::now() + time_limit,
    }
}

/// What the server does with one request.
enum Reply {
    Answer(Response<Body>),
    Delayed(Duration),
    /// Closes the connection in the middle of the response.
    Hangup,
}

impl Reply {
    fn json(body: impl Into<Body>) -> Self {
        Self::Answer(Response::new(body.into()))
    }

    fn status(status: u16) -> Self {
        let body = Body::from(r#"{"message":"secret"}"#);
        Self::Answer(Response::builder().status(status).header("location", "/").body(body).unwrap())
    }

    fn header(self, name: &'static str, value: &'static str) -> Self {
        let Self::Answer(mut response) = self else { panic!("not an answer") };
        response.headers_mut().insert(name, value.parse().unwrap());
        Self::Answer(response)
    }

    fn with_status(self, status: u16) -> Self {
        let Self::Answer(mut response) = self else { panic!("not an answer") };
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        Self::Answer(response)
    }

    async fn into_response(self) -> Response<Body> {
        match self {
            Self::Answer(response) => response,
            Self::Delayed(delay) => {
                sleep(delay).await;
                Response::new(Body::empty())
            }
            Self::Hangup => Response::builder().header("content-length", "100").body(broken_body()).unwrap(),
        }
    }
}

fn broken_body() -> Body {
    let error = std::io::Error::other("hung up");
    Body::from_stream(futures::stream::iter([Ok("1".to_owned()), Err(error)]))
}

#[derive(Debug)]
struct Request {
    path: String,
    headers: HeaderMap,
    body: String,
}

/// A service with scripted replies that stands for Lambda, KMS and GraphQL APIs, and the table of a turn that
/// attempt 1 owns.
struct Server {
    clients: ToolClients,
    credential: CredentialCache,
    mcp_sessions: McpSessions,
    table: Table,
    /// The URL of a GraphQL API, which is the handler's own one.
    graphql_url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    /// Changes with each request.
    arrivals: watch::Receiver<()>,
    /// What KMS answers next. Without a reply it unseals.
    kms_replies: Arc<Mutex<VecDeque<Reply>>>,
    kms_requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let replies = Arc::new(Mutex::new(replies.into_iter().collect::<VecDeque<_>>()));
        let kms_requests = Arc::new(Mutex::new(Vec::new()));
        let kms_replies = Arc::new(Mutex::new(VecDeque::new()));
        let (arrival, arrivals) = watch::channel(());
        let arrival = Arc::new(arrival);
        let (received, unsealed) = (Arc::clone(&requests), Arc::clone(&kms_requests));
        let scripted_kms_replies = Arc::clone(&kms_replies);
        let respond = move |uri: Uri, headers: HeaderMap, body: String| async move {
            let request = Request { path: uri.path().to_owned(), headers, body };
            let reply = if request.path.starts_with(KMS_PATH) {
                let scripted = scripted_kms_replies.lock().unwrap().pop_front();
                let reply = scripted.unwrap_or_else(|| unsealing_reply(&request.body));
                unsealed.lock().unwrap().push(request);
                Some(reply)
            } else {
                received.lock().unwrap().push(request);
                arrival.send_replace(());
                replies.lock().unwrap().pop_front()
            };
            match reply {
                Some(reply) => reply.into_response().await,
                None => Reply::status(StatusCode::IM_A_TEAPOT.as_u16()).into_response().await,
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, Router::new().fallback(respond)).await });
        let credentials = Credentials::new("any", "any", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let table = embedded_table().await;
        table.put_items([turn_item("RUNNING", Some(FAR), FAR)]).await;
        let graphql_url = format!("{endpoint}/graphql");
        let http = http_client().unwrap();
        let signed_http = signed_http::from_config(http.clone(), &config).unwrap();
        let kms_endpoint = format!("{endpoint}{KMS_PATH}");
        let secrets = SecretsManager::new(signed_http.clone(), None);
        let clients = ToolClients {
            lambda: Lambda::new(signed_http.clone(), Some(format!("{endpoint}/"))),
            knowledge_bases: KnowledgeBases::new(signed_http.clone(), Some(endpoint.to_string())),
            kms: Kms::new(signed_http, Some(kms_endpoint)),
            mcp: McpServers::new(http.clone(), secrets, McpUrls::default(), AllowedSecrets::default()),
            http,
            graphql_urls: GraphqlUrls::from_list(&graphql_url, "none").unwrap(),
            handler_tools: HandlerTools::default(),
        };
        let (credential, mcp_sessions) = (CredentialCache::default(), McpSessions::default());
        Self { clients, credential, mcp_sessions, table, graphql_url, requests, arrivals, kms_replies, kms_requests }
    }

    async fn run(&self, run: &ToolRun) -> ToolOutcome {
        let clock = Clock::starting_at(time(NOW));
        let Self { table, clients, credential, mcp_sessions, .. } = self;
        let backend = InvocationTools { clients, credential, mcp_sessions, clock };
        ToolRunner { table, backend: &backend, clock }.run(run).await
    }

    /// Drops a run once its request has come.
    async fn cut_off(&self, run: &ToolRun) {
        let mut arrivals = self.arrivals.clone();
        let arrived = arrivals.wait_for(|()| !self.requests.lock().unwrap().is_empty());
        tokio::select! {
            outcome = self.run(run) => panic!("the run has ended: {outcome:?}"),
            arrived = arrived => drop(arrived.expect("the server runs")),
        }
    }

    /// Runs a call again, as the next attempt does with a stored call.
    async fn run_by_second_attempt(&self, mut run: ToolRun) -> ToolOutcome {
        self.claim_for_attempt(2).await;
        run.claim.attempt = 2;
        self.run(&run).await
    }

    async fn claim_for_attempt(&self, attempt: u32) {
        let turn = turn_item("RUNNING", Some(FAR), FAR);
        self.table.put_items([with(turn, "attempt", number(attempt))]).await;
    }

    fn script_kms(&self, replies: impl IntoIterator<Item = Reply>) {
        self.kms_replies.lock().unwrap().extend(replies);
    }

    fn take_kms_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.kms_requests.lock().unwrap())
    }

    fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

/// KMS seals by writing `sealed:` before the plaintext.
fn sealed(plaintext: &str) -> String {
    base64::encode(format!("sealed:{plaintext}"))
}

fn unsealing_reply(body: &str) -> Reply {
    let request: Value = serde_json::from_str(body).unwrap();
    let ciphertext = base64::decode(request["CiphertextBlob"].as_str().unwrap()).unwrap();
    let plaintext = ciphertext.strip_prefix(b"sealed:").expect("a sealed text");
    Reply::json(json!({ "Plaintext": base64::encode(plaintext), "KeyId": "key" }).to_string())
}
