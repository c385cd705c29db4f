//! Runs a script against an attempt, as the event loop does with real sockets and a real clock.
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use api::types::{ContentBlock, ConversationEvent, InferenceSettings, Sender, SenderKind, TurnStatus};
use serde_json::json;
use turn::{
    attempt::{Attempt, AttemptStart, Input, RetrievalStart},
    claim::Claim,
    deadlines::Deadlines,
    direct_write::DirectWrite,
    effect::{AttemptEnd, Effect},
    knowledge::KnowledgeMode,
    model::{ModelRequest, PromptCaching, StreamEvent},
    mutation::{Accepted, Mutation, Update},
    replies::Replies,
    request::Agent,
    retrieval::RetrievalResult,
    tool::{Caller, ToolRun},
    transcript::TranscriptInput,
};

use crate::script::{ModelStep, PublishResult, ReplyResult, Script, Scripted, WriteResult};

/// The effects of an attempt, with their times since its start.
pub struct Timeline {
    pub effects: Vec<(Duration, Effect)>,
    /// The deltas that reached the attempt before its stream was closed.
    pub deltas: Vec<ReceivedDelta>,
    /// How many replies were skipped.
    pub skipped_replies: u32,
    pub end: AttemptEnd,
}

/// A delta that reached the attempt.
pub struct ReceivedDelta {
    /// Since the attempt's start.
    pub at: Duration,
    pub block: u32,
    pub text: String,
}

struct Simulation {
    script: Script,
    started: Instant,
    now: Instant,
    model_stream: VecDeque<(Instant, ModelStep)>,
    publish: Option<(Instant, PublishResult)>,
    write: Option<(Instant, WriteResult)>,
    /// Whether the attempt needs the update of the next publish.
    keeps_update: bool,
    /// The update whose publish is in flight, as subscribers get it.
    update: Option<String>,
    /// The request with replies in flight. Without a time it gets no result.
    reply_request: Option<(Option<Instant>, ReplyResult)>,
    search_count: u32,
    /// The search in flight, with its result.
    search: Option<(Instant, RetrievalResult)>,
    /// The tools that run, with their ends.
    tools: Vec<(Instant, Input)>,
    effects: Vec<(Duration, Effect)>,
    deltas: Vec<ReceivedDelta>,
    skipped_replies: u32,
}

#[expect(clippy::disallowed_methods, reason = "a simulation needs some moment to start from")]
pub fn simulate(script: Script) -> Timeline {
    let now = Instant::now();
    let mut attempt = Attempt::new(attempt_start(&script, now), now);
    let mut simulation = Simulation {
        script,
        started: now,
        now,
        model_stream: VecDeque::new(),
        publish: None,
        write: None,
        keeps_update: false,
        update: None,
        reply_request: None,
        search_count: 0,
        search: None,
        tools: Vec::new(),
        effects: Vec::new(),
        deltas: Vec::new(),
        skipped_replies: 0,
    };
    loop {
        while let Some(effect) = attempt.next_effect(simulation.now) {
            if let Effect::End(end) = effect {
                simulation.record(effect);
                simulation.send_remaining_replies(attempt.take_replies());
                let Simulation { effects, deltas, skipped_replies, .. } = simulation;
                return Timeline { effects, deltas, skipped_replies, end };
            }
            if let Effect::Publish(mutation) = &effect {
                simulation.keeps_update = attempt.keeps_update(mutation);
            }
            simulation.perform(effect);
        }
        let input = simulation.wait(attempt.wake_at(simulation.now));
        attempt.handle(input, simulation.now);
    }
}

impl Simulation {
    fn perform(&mut self, effect: Effect) {
        match &effect {
            Effect::Retrieve(_) => self.search(),
            Effect::StopRetrieval => self.search = None,
            Effect::CallModel(_) => self.call_model(),
            Effect::CloseModelStream => self.model_stream.clear(),
            Effect::RunTool(run) => self.run_tool(run),
            Effect::StopTools => self.tools.clear(),
            Effect::Publish(mutation) => self.publish(mutation),
            Effect::Write(write) => self.write(write),
            Effect::SendReplies(_) => self.send_replies(),
            Effect::End(_) => {}
        }
        self.record(effect);
    }

    fn record(&mut self, effect: Effect) {
        self.effects.push((self.now - self.started, effect));
    }

    fn call_model(&mut self) {
        let steps = self.script.model_calls.pop_front().expect("the script has a `model-call` for each call");
        let mut at = self.now;
        self.model_stream.clear();
        for (delay, step) in steps {
            at += delay;
            self.model_stream.push_back((at, step));
        }
    }

    fn search(&mut self) {
        self.search_count += 1;
        assert!(self.search.is_none(), "only one search is in flight");
        let (latency, result) = self.script.searches.pop_front().expect("the script has a `search` for each search");
        self.search = Some((self.now + latency, result));
    }

    fn run_tool(&mut self, run: &ToolRun) {
        let tool_use_id = run.tool_use.id.clone();
        let (latency, outcome) =
            self.script.tool_results.remove(&tool_use_id).expect("the script has a `result` for each run");
        self.tools.push((self.now + latency, Input::ToolFinished { tool_use_id, outcome }));
    }

    fn publish(&mut self, mutation: &Arc<Mutation>) {
        assert!(self.publish.is_none(), "only one publish is in flight");
        let scripted = self.script.publishes.get_mut(&mutation.sequence).and_then(VecDeque::pop_front);
        let scripted = scripted.unwrap_or(Scripted { result: self.appsync_result(mutation), latency: None });
        self.publish = Some((self.now + self.latency(scripted), scripted.result));
        self.update = self.keeps_update.then(|| update_text(mutation));
    }

    fn send_replies(&mut self) {
        assert!(self.reply_request.is_none(), "only one request with replies is in flight");
        let default = Some(Scripted { result: Ok(()), latency: None });
        self.reply_request = Some(match self.script.reply_results.pop_front().unwrap_or(default) {
            Some(scripted) => (Some(self.now + self.latency(scripted)), scripted.result),
            None => (None, Ok(())),
        });
    }

    /// What the event loop does after the end of an attempt.
    fn send_remaining_replies(&mut self, replies: Option<Replies>) {
        let Some(mut replies) = replies else { return };
        let timeout = self.script.limits.reply_timeout;
        let until = self.now + timeout;
        self.send_replies_until(until - timeout / 2, &mut replies);
        replies.skip_updates(self.now);
        self.send_replies_until(until, &mut replies);
        self.skipped_replies = replies.skipped();
    }

    fn send_replies_until(&mut self, until: Instant, replies: &mut Replies) {
        while !replies.is_idle() && self.now < until {
            if let Some(request) = replies.next_request(self.now) {
                self.perform(Effect::SendReplies(request));
            }
            let wake_at = replies.wake_at().map_or(until, |at| at.min(until));
            let result_at = self.reply_request.as_ref().and_then(|(at, _)| *at).filter(|at| *at <= wake_at);
            self.now = self.now.max(result_at.unwrap_or(wake_at));
            if result_at.is_some() {
                let (_, result) = self.reply_request.take().expect("a request is in flight");
                replies.on_result(result, self.now);
            }
        }
    }

    /// The result of a publish that has no line of its own in the script.
    fn appsync_result(&self, mutation: &Mutation) -> PublishResult {
        let at = self.now - self.started;
        let period = self.script.appsync_periods.iter().find(|period| period.time.contains(&at));
        let status = if mutation.begins_wait() { TurnStatus::Waiting } else { TurnStatus::Running };
        period.map_or(Ok(status), |period| period.result)
    }

    fn write(&mut self, write: &DirectWrite) {
        assert!(self.write.is_none(), "only one write is in flight");
        let scripted = match write {
            DirectWrite::RenewLease(_) => self.script.renewals.pop_front(),
            DirectWrite::StoreEvent(event) => self.script.writes.get_mut(&event.sequence).and_then(VecDeque::pop_front),
        };
        let scripted = scripted.unwrap_or(Scripted { result: Ok(TurnStatus::Running), latency: None });
        self.write = Some((self.now + self.latency(scripted), scripted.result));
    }

    fn latency<R>(&self, scripted: Scripted<R>) -> Duration {
        scripted.latency.unwrap_or(self.script.latency)
    }

    /// Advances to the next input. Simultaneous inputs come in the order of the event loop.
    fn wait(&mut self, wake_at: Instant) -> Input {
        let published_at = self.publish.as_ref().map(|(at, _)| *at);
        let written_at = self.write.as_ref().map(|(at, _)| *at);
        let model_at = self.model_stream.front().map(|(at, _)| *at);
        let found_at = self.search.as_ref().map(|(at, _)| *at);
        let replies_sent_at = self.reply_request.as_ref().and_then(|(at, _)| *at);
        let tool_at = self.tools.iter().map(|(at, _)| *at).min();
        let inputs_at = [published_at, written_at, found_at, tool_at, replies_sent_at, model_at];
        let next = inputs_at.into_iter().flatten().fold(wake_at, Instant::min);
        self.now = self.now.max(next);
        if published_at == Some(next) {
            let (_, result) = self.publish.take().expect("a publish is in flight");
            let update = self.update.take();
            return Input::Published(result.map(|status| Accepted { status, update }));
        }
        if written_at == Some(next) {
            return Input::Written(self.write.take().expect("a write is in flight").1);
        }
        if found_at == Some(next) {
            return Input::Retrieved(self.search.take().expect("a search is in flight").1);
        }
        if let Some(index) = self.tools.iter().position(|(at, _)| *at == next) {
            return self.tools.remove(index).1;
        }
        if replies_sent_at == Some(next) {
            return Input::RepliesSent(self.reply_request.take().expect("a request is in flight").1);
        }
        if model_at == Some(next) {
            return self.next_model_step();
        }
        Input::TimerFired
    }

    fn next_model_step(&mut self) -> Input {
        let (_, step) = self.model_stream.pop_front().expect("the stream has another step");
        let is_query = self.script.writes_query() && self.search_count == 0;
        if let ModelStep::Event(StreamEvent::Text { block, text }) = &step
            && !is_query
        {
            self.deltas.push(ReceivedDelta { at: self.now - self.started, block: *block, text: text.clone() });
        }
        step.into()
    }
}

/// An update as subscribers get it, as far as its size matters.
pub fn update_text(mutation: &Mutation) -> String {
    let text: String = match &mutation.update {
        Update::Batch(batch) => batch.text.clone(),
        Update::Event(event) => event.content.iter().filter_map(|block| block.text.as_deref()).collect(),
        _ => String::new(),
    };
    json!({ "sequence": mutation.sequence, "text": text }).to_string()
}

pub fn attempt_start(script: &Script, now: Instant) -> AttemptStart {
    AttemptStart {
        caller: Caller::default(),
        claim: Claim {
            conversation_id: "c1".into(),
            turn_id: "t1".into(),
            run: 1,
            attempt: script.attempt,
            last_position: 7,
        },
        leased_at: now.checked_sub(script.lease_age).unwrap_or(now),
        agent: Agent {
            id: "default".into(),
            version: 3,
            name: Some("Parlance".into()),
            model_id: script.model_id.clone(),
            system_prompt: None,
            context_bytes: script.context_bytes,
            inference: None,
            tools: script.tools.clone(),
            max_steps: script.max_steps,
            tool_timeout_seconds: 30,
            knowledge: script.knowledge.clone(),
            reasoning: None,
            prompt_caching: PromptCaching::default(),
            fallback_model_ids: script.fallback_model_ids.clone(),
            guardrail: script.guardrail.clone(),
        },
        question: question(),
        continues: script.continues,
        stored_calls: script.stored_calls.clone(),
        kept_usage: None,
        request: ModelRequest {
            model_id: script.model_id.clone(),
            system_prompt: None,
            inference: InferenceSettings::default(),
            tools: script.tools.clone().into(),
            guardrail: script.guardrail.clone(),
            ..ModelRequest::default()
        },
        stored_passages: BTreeMap::new(),
        reply_to: script.reply_to.clone(),
        retrieval: script.knowledge.clone().filter(|knowledge| knowledge.mode == KnowledgeMode::Always).map(
            |knowledge| RetrievalStart {
                request: knowledge.request("Why?", &Caller::default()),
                query_request: knowledge.query_model_id.as_ref().map(|model_id| ModelRequest {
                    model_id: model_id.clone(),
                    system_prompt: None,
                    inference: InferenceSettings::default(),
                    ..ModelRequest::default()
                }),
                knowledge,
                transcript: TranscriptInput {
                    history: Vec::new(),
                    history_cut: false,
                    question: question(),
                    context: Vec::new(),
                    kept_answer: Vec::new(),
                    model_id: "any".into(),
                    context_bytes: script.context_bytes,
                },
            },
        ),
        limits: script.limits,
        deadlines: Deadlines::within(now, script.remaining),
    }
}

pub fn question() -> ConversationEvent {
    ConversationEvent {
        id: "t1".into(),
        conversation_id: "c1".into(),
        position: 7,
        turn_id: Some("t1".into()),
        attempt: None,
        sender: Sender { kind: SenderKind::User, id: Some("u1".into()), name: None },
        content: vec![ContentBlock::text("Why?")],
        text: None,
        stop_reason: None,
        usage: None,
        failure: None,
        superseded: None,
        replaces_turn_id: None,
        answer_position: None,
        model_id: None,
        guardrail: None,
        created_at: "2026-11-21T09:00:00.000Z".into(),
    }
}
