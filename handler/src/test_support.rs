//! An invocation for tests: an embedded table, a model that says "So be it." or what a test scripts, tools
//! that return 7, and scripted results of AppSync.
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{
    backoff::Backoff,
    types::{StopReason, ToolStatus, TurnStatus, Usage},
};
use futures::{Stream, future::pending, stream};
use serde_json::{Value, json};
use turn::{
    deadlines::Deadlines,
    direct_write::{DirectWrite, WriteFailure},
    knowledge::RetrievalRequest,
    limits::Limits,
    model::{ModelError, ModelRequest, ModelStop, StreamEvent, ToolOutput},
    mutation::{Accepted, Mutation, PublishFailure},
    replies::{ReplyFailure, ReplyRequest},
    retrieval::RetrievalResult,
    tool::{ToolOutcome, ToolRun},
};

use crate::{
    ApiKey, InvocationContext, Table,
    attempt_loop::Effects,
    aws::dynamodb::test_support::{HOLDER, Item, NOW, embedded_table, time},
    clock::{self, Clock},
    errors::HandlerError,
    function_arn::AllowedFunctions,
    graphql_urls::GraphqlUrls,
    serve,
    tool::HandlerTools,
};

pub struct TestInvocation {
    pub table: Table,
    /// The time until Lambda would kill the process.
    pub remaining: Duration,
    pub limits: Limits,
    /// The usage that the model reports. `None`: its stream ends before.
    pub usage: Option<Usage>,
    /// The functions that agents may have as tools.
    pub tool_functions: AllowedFunctions,
    /// The GraphQL APIs that tools may call.
    pub graphql_urls: GraphqlUrls,
    /// What the model sends in its next streams. Later ones say "So be it."
    model_streams: Mutex<VecDeque<Vec<StreamEvent>>>,
    /// What the next searches of documents find. Later ones find nothing.
    retrieval_results: Mutex<VecDeque<RetrievalResult>>,
    /// The searches of documents.
    retrieval_requests: Mutex<Vec<Arc<RetrievalRequest>>>,
    /// The runs of tools.
    tool_runs: Mutex<Vec<ToolRun>>,
    pub api_keys: Vec<ApiKey>,
    clock: Clock,
    /// The results of the next publishes. Later publishes are accepted.
    publish_results: Mutex<VecDeque<Result<TurnStatus, PublishFailure>>>,
    /// Written to the table just before the next publish.
    item_before_publish: Mutex<Option<Item>>,
    published: Mutex<Vec<Arc<Mutation>>>,
    model_requests: Mutex<Vec<Arc<ModelRequest>>>,
    reply_requests: Mutex<Vec<Arc<ReplyRequest>>>,
    /// Whether no request with replies gets a response.
    pub are_replies_hanging: bool,
    /// The model that writes titles.
    pub title_model_id: Option<String>,
    /// The results of the next publishes of titles. Later ones are accepted.
    pub title_results: Mutex<VecDeque<Result<(), PublishFailure>>>,
    titles: Mutex<Vec<(String, String)>>,
}

impl TestInvocation {
    pub async fn with_items(items: impl IntoIterator<Item = Item>) -> Self {
        let table = embedded_table().await;
        table.put_items(items).await;
        let short = Duration::from_millis(1);
        Self {
            table,
            remaining: Duration::from_secs(900),
            limits: Limits { publish_retry: Backoff::half_jitter(short, short), ..Limits::default() },
            usage: Some(Usage { total_tokens: 7, ..Usage::default() }),
            tool_functions: AllowedFunctions::default(),
            graphql_urls: GraphqlUrls::default(),
            model_streams: Mutex::default(),
            retrieval_results: Mutex::default(),
            retrieval_requests: Mutex::default(),
            tool_runs: Mutex::default(),
            api_keys: Vec::new(),
            clock: Clock::starting_at(time(NOW)),
            publish_results: Mutex::default(),
            item_before_publish: Mutex::default(),
            published: Mutex::default(),
            model_requests: Mutex::default(),
            reply_requests: Mutex::default(),
            are_replies_hanging: false,
            title_model_id: None,
            title_results: Mutex::default(),
            titles: Mutex::default(),
        }
    }

    pub fn script_publish_results(&self, results: impl IntoIterator<Item = Result<TurnStatus, PublishFailure>>) {
        self.publish_results.lock().unwrap().extend(results);
    }

    pub fn write_before_next_publish(&self, item: Item) {
        *self.item_before_publish.lock().unwrap() = Some(item);
    }

    pub fn script_model_streams(&self, streams: impl IntoIterator<Item = Vec<StreamEvent>>) {
        self.model_streams.lock().unwrap().extend(streams);
    }

    pub fn script_retrieval_results(&self, results: impl IntoIterator<Item = RetrievalResult>) {
        self.retrieval_results.lock().unwrap().extend(results);
    }

    /// The searches of documents since the last call of this method.
    pub fn take_retrieval_requests(&self) -> Vec<Arc<RetrievalRequest>> {
        std::mem::take(&mut self.retrieval_requests.lock().unwrap())
    }

    pub async fn serve(&self, payload: Value) -> Result<Value, HandlerError> {
        let context = InvocationContext {
            table: &self.table,
            effects: self,
            clock: self.clock,
            deadlines: Deadlines::within(clock::now(), self.remaining),
            holder: HOLDER,
            limits: self.limits,
            tool_functions: &self.tool_functions,
            graphql_urls: &self.graphql_urls,
            handler_tools: &HandlerTools::default(),
            mcp_servers: None,
            knowledge_bases: None,
            api_keys: &self.api_keys,
            document_links: None,
            title_model_id: self.title_model_id.as_deref(),
            more_model_arns: &[],
        };
        serve(payload, &context).await
    }

    /// The mutations published since the last call of this method.
    pub fn take_published(&self) -> Vec<Arc<Mutation>> {
        std::mem::take(&mut self.published.lock().unwrap())
    }

    /// The requests to the model since the last call of this method.
    pub fn take_model_requests(&self) -> Vec<Arc<ModelRequest>> {
        std::mem::take(&mut self.model_requests.lock().unwrap())
    }

    /// The requests with replies since the last call of this method.
    pub fn take_reply_requests(&self) -> Vec<Arc<ReplyRequest>> {
        std::mem::take(&mut self.reply_requests.lock().unwrap())
    }

    /// The titles published since the last call of this method, each with its conversation.
    pub fn take_titles(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.titles.lock().unwrap())
    }

    /// The runs of tools since the last call of this method.
    pub fn take_tool_runs(&self) -> Vec<ToolRun> {
        std::mem::take(&mut self.tool_runs.lock().unwrap())
    }
}

impl Effects for TestInvocation {
    async fn publish_title(&self, conversation_id: &str, title: &str) -> Result<(), PublishFailure> {
        self.titles.lock().unwrap().push((conversation_id.to_owned(), title.to_owned()));
        self.title_results.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }

    fn call_model(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, ModelError>> + Send {
        self.model_requests.lock().unwrap().push(request);
        let scripted = self.model_streams.lock().unwrap().pop_front();
        let mut events = scripted.unwrap_or_else(|| {
            vec![
                StreamEvent::Text { block: 0, text: "So be it.".into() },
                StreamEvent::MessageStop(ModelStop::Answered(StopReason::EndTurn)),
            ]
        });
        events.extend(self.usage.map(StreamEvent::Usage));
        stream::iter(events.into_iter().map(Ok))
    }

    async fn retrieve(&self, request: Arc<RetrievalRequest>) -> RetrievalResult {
        self.retrieval_requests.lock().unwrap().push(request);
        self.retrieval_results.lock().unwrap().pop_front().unwrap_or(Ok(Vec::new()))
    }

    async fn run_tool(&self, run: ToolRun) -> (String, ToolOutcome) {
        let id = run.tool_use.id.clone();
        self.tool_runs.lock().unwrap().push(run);
        let output = ToolOutput::Json("7".to_owned());
        (id, ToolOutcome { status: ToolStatus::Succeeded, output, started_at: None, ended_at: None })
    }

    async fn publish(&self, mutation: Arc<Mutation>, keeps_update: bool) -> Result<Accepted, PublishFailure> {
        let item = self.item_before_publish.lock().unwrap().take();
        self.table.put_items(item).await;
        let status = if mutation.begins_wait() { TurnStatus::Waiting } else { TurnStatus::Running };
        let update = keeps_update.then(|| json!({ "sequence": mutation.sequence }).to_string());
        self.published.lock().unwrap().push(mutation);
        let result = self.publish_results.lock().unwrap().pop_front().unwrap_or(Ok(status));
        result.map(|status| Accepted { status, update })
    }

    async fn write(&self, write: DirectWrite) -> Result<TurnStatus, WriteFailure> {
        self.table.write_directly(write, self.clock.now()).await
    }

    async fn send_replies(&self, request: Arc<ReplyRequest>) -> Result<(), ReplyFailure> {
        self.reply_requests.lock().unwrap().push(request);
        if self.are_replies_hanging { pending().await } else { Ok(()) }
    }
}
