//! The handler of the project in a simulated invocation.
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ::api::types::TurnStatus;
use futures::Stream;
use handler::{
    InvocationContext, Table,
    attempt_loop::Effects,
    clock::Clock,
    errors::HandlerError,
    function_arn::AllowedFunctions,
    graphql_urls::GraphqlUrls,
    publishing::{classify_response, request_body, title_body},
    tool::HandlerTools,
    tools::ToolRunner,
};
use http::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, timeout};
use turn::{
    deadlines::Deadlines,
    direct_write::{DirectWrite, WriteFailure},
    knowledge::RetrievalRequest,
    model::{ModelError, ModelRequest, StreamEvent},
    mutation::{Accepted, Mutation, PublishFailure},
    replies::{ReplyFailure, ReplyRequest},
    retrieval::RetrievalResult,
    tool::{ToolOutcome, ToolRun},
};
use uuid::Uuid;

use super::{api, bedrock, dynamodb_sdk, invocation, tools::SimulatedTools};
use crate::{environment::Environment, fault_profile::Link, knowledge, network::CallError, tools::ALLOWED_FUNCTIONS};

/// The timeout of the handler's own HTTP client.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves one event or request as the handler or the closer, with the time that Lambda leaves it.
pub async fn serve(
    environment: &Arc<Environment>,
    function: &str,
    payload: Value,
    time_left: Duration,
) -> Result<Value, HandlerError> {
    let table = dynamodb_sdk::table(environment, function);
    let clock = Clock::starting_at(environment.handler_time());
    let holder = environment.with_rng(|rng| Uuid::from_u64_pair(rng.number(), rng.number()));
    let effects = SimulatedEffects {
        environment: Arc::clone(environment),
        function: function.to_owned(),
        table: &table,
        clock,
        model_calls: Mutex::default(),
    };
    let context = InvocationContext {
        table: &table,
        effects: &effects,
        clock,
        deadlines: Deadlines::within(Instant::now().into_std(), time_left),
        holder,
        limits: environment.limits,
        tool_functions: &AllowedFunctions::from_list(ALLOWED_FUNCTIONS),
        graphql_urls: &GraphqlUrls::default(),
        handler_tools: &HandlerTools::default(),
        mcp_servers: None,
        knowledge_bases: None,
        api_keys: &[],
        document_links: None,
        title_model_id: None,
    };
    let result = handler::serve(payload, &context).await;
    if let Err(error) = &result {
        environment.trace(|| format!("{function}: {error}"));
    }
    result
}

struct SimulatedEffects<'a> {
    environment: Arc<Environment>,
    function: String,
    table: &'a Table,
    clock: Clock,
    /// The recorded model calls of this invocation.
    model_calls: Mutex<Vec<usize>>,
}

impl SimulatedEffects<'_> {
    fn model_calls(&self) -> MutexGuard<'_, Vec<usize>> {
        self.model_calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record_update(&self, mutation: &Mutation, body: &[u8]) {
        let model_calls = self.model_calls().clone();
        self.environment.with_recorder(|recorder| recorder.record_update(mutation, body, &model_calls));
    }

    async fn send_publish(&self, body: Vec<u8>) -> Result<Vec<u8>, CallError> {
        let body = String::from_utf8(body).expect("a request is text");
        let caller = self.environment.fixture.caller(&self.function);
        invocation::pass_fault_point(&self.environment, "a publish").await;
        let request = api::request(&self.environment, Link::HandlerToApi, caller, body);
        let result = timeout(PUBLISH_TIMEOUT, request).await;
        invocation::pass_fault_point(&self.environment, "the response to a publish").await;
        result.unwrap_or(Err(CallError::ConnectionLost))
    }
}

impl Effects for SimulatedEffects<'_> {
    async fn publish_title(&self, conversation_id: &str, title: &str) -> Result<(), PublishFailure> {
        let body = self.send_publish(title_body(conversation_id, title)).await;
        let body = body.map_err(|_| PublishFailure::Retryable)?;
        classify_response(StatusCode::OK, &body).map(drop)
    }

    fn call_model(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, ModelError>> + Send {
        let request = match self.environment.mutant {
            Some(mutant) => {
                let mut request = ModelRequest::clone(&request);
                mutant.change_model_request(&self.environment, &mut request);
                Arc::new(request)
            }
            None => request,
        };
        let (call, stream) = bedrock::converse(Arc::clone(&self.environment), &request);
        self.model_calls().push(call);
        stream
    }

    async fn retrieve(&self, _: Arc<RetrievalRequest>) -> RetrievalResult {
        knowledge::retrieve(&self.environment).await
    }

    async fn run_tool(&self, run: ToolRun) -> (String, ToolOutcome) {
        let backend = SimulatedTools { environment: Arc::clone(&self.environment) };
        let outcome = ToolRunner { table: self.table, backend: &backend, clock: self.clock }.run(&run).await;
        (run.tool_use.id, outcome)
    }

    async fn publish(&self, mutation: Arc<Mutation>, _: bool) -> Result<Accepted, PublishFailure> {
        let mut body = request_body(&mutation);
        self.record_update(&mutation, &body);
        if let Some(mutant) = self.environment.mutant {
            body = mutant.change_publish(&self.environment, body);
        }
        let result = match self.send_publish(body).await {
            Ok(response) => classify_response(StatusCode::OK, &response),
            Err(CallError::ConnectionLost) => Err(PublishFailure::Retryable),
            Err(CallError::Throttled) => classify_response(StatusCode::TOO_MANY_REQUESTS, b""),
            Err(CallError::ServerError) => classify_response(StatusCode::SERVICE_UNAVAILABLE, b""),
        };
        self.environment.trace(|| {
            let (turn_id, attempt) = (&mutation.claim.turn_id, mutation.claim.attempt);
            format!("publish of {turn_id}, attempt {attempt}, sequence {}: {result:?}", mutation.sequence)
        });
        result.map(Accepted::from)
    }

    async fn write(&self, write: DirectWrite) -> Result<TurnStatus, WriteFailure> {
        if let DirectWrite::StoreEvent(mutation) = &write {
            self.record_update(mutation, &request_body(mutation));
        }
        let result = self.table.write_directly(write.clone(), self.clock.now()).await;
        self.environment.trace(|| match &write {
            DirectWrite::RenewLease(claim) => {
                format!("renewal of {}, attempt {}: {result:?}", claim.turn_id, claim.attempt)
            }
            DirectWrite::StoreEvent(mutation) => {
                format!("direct write of sequence {}: {result:?}", mutation.sequence)
            }
        });
        result
    }
    /// No order of the simulation asks for replies.
    async fn send_replies(&self, _: Arc<ReplyRequest>) -> Result<(), ReplyFailure> {
        Err(ReplyFailure::NotDeployed)
    }
}
