//! An invocation with a table of its own, a model that says "So be it." and an AppSync that answers what it is told to.
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{
    backoff::Backoff,
    types::{FailureCode, StopReason, TurnStatus, Usage},
};
use futures::{Stream, stream};
use serde_json::Value;
use turn::{
    deadlines::Deadlines,
    direct_write::{DirectWrite, WriteFailure},
    limits::Limits,
    mutation::{Mutation, PublishFailure},
    types::{ModelRequest, StreamEvent},
};

use crate::{
    InvocationContext, Table,
    aws::table::{HOLDER, Item, NOW, at, table},
    clock::{self, Clock},
    errors::HandlerError,
    event_loop::Effects,
    serve,
};

pub struct TestInvocation {
    pub table: Table,
    pub left: Duration,
    pub limits: Limits,
    /// What the model counts, if its stream gets that far.
    pub usage: Option<Usage>,
    clock: Clock,
    /// After these every publish is accepted.
    answers: Mutex<VecDeque<Result<TurnStatus, PublishFailure>>>,
    /// Written to the table just before the next publish.
    meanwhile: Mutex<Option<Item>>,
    published: Mutex<Vec<Arc<Mutation>>>,
    asked: Mutex<Vec<Arc<ModelRequest>>>,
}

impl TestInvocation {
    pub async fn new() -> Self {
        Self {
            table: table().await,
            left: Duration::from_secs(900),
            limits: Limits {
                publish_retry: Backoff::half_jitter(Duration::from_millis(1), Duration::from_millis(1)),
                ..Limits::default()
            },
            usage: Some(Usage { total_tokens: 7, ..Usage::default() }),
            clock: Clock::starting_at(at(NOW)),
            answers: Mutex::default(),
            meanwhile: Mutex::default(),
            published: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    pub fn answer(&self, answers: impl IntoIterator<Item = Result<TurnStatus, PublishFailure>>) {
        self.answers.lock().unwrap().extend(answers);
    }

    pub fn meanwhile(&self, item: Item) {
        *self.meanwhile.lock().unwrap() = Some(item);
    }

    pub async fn serve(&self, payload: Value) -> Result<(), HandlerError> {
        let context = InvocationContext {
            table: &self.table,
            effects: self,
            clock: self.clock,
            deadlines: Deadlines::within(clock::now(), self.left),
            holder: HOLDER,
            limits: self.limits,
        };
        serve(payload, &context).await
    }

    /// Since they were last taken.
    pub fn published(&self) -> Vec<Arc<Mutation>> {
        std::mem::take(&mut self.published.lock().unwrap())
    }

    /// Since they were last taken.
    pub fn asked(&self) -> Vec<Arc<ModelRequest>> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Effects for TestInvocation {
    fn call_model(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, FailureCode>> + Send {
        self.asked.lock().unwrap().push(request);
        let words = StreamEvent::Text { block: 0, text: "So be it.".into() };
        let said = [words, StreamEvent::Stopped(StopReason::EndTurn)];
        stream::iter(said.into_iter().chain(self.usage.map(StreamEvent::Used)).map(Ok))
    }

    async fn publish(&self, mutation: Arc<Mutation>) -> Result<TurnStatus, PublishFailure> {
        let meanwhile = self.meanwhile.lock().unwrap().take();
        self.table.put(meanwhile).await;
        self.published.lock().unwrap().push(mutation);
        self.answers.lock().unwrap().pop_front().unwrap_or(Ok(TurnStatus::Running))
    }

    async fn write(&self, write: DirectWrite) -> Result<TurnStatus, WriteFailure> {
        self.table.write(write, self.clock.now()).await
    }
}
