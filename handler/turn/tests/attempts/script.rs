//! The first half of a file in tests/golden: what happens outside during one attempt.
//!
//! ```text
//! # Why this case exists.
//! latency 30                     how long a publish or write takes, in milliseconds
//! batch-max-bytes 4096           a limit; also event-max-bytes and model-silence (in milliseconds)
//! remaining 900000               time until Lambda kills the process
//! attempt 2                      the number of the attempt
//! lease-age 9000                 how long ago the attempt's lease started
//! continues                      the attempt appends to an existing answer
//! tools look change ask page     the agent's tools; those named `change…` and `ask…` change something, calls
//!                                of those named `ask…` need an approval; a client runs those named `page…`
//! context-bytes 2000             the size limit of the transcript
//! max-steps 2                    the most requests to the model
//! stored-call 6 "id1" look       the existing answer ends with this call, in the event at position 6
//! answer id1 approved            the answer to a stored call; also denied "Why", result "{}" and error "{}"
//! result id1 500 SUCCEEDED "{}"  the result of the call after 500 ms: JSON if it succeeded, else text
//! model anthropic.claude-opus-4     the model's id
//! knowledge ANSWER               documents are searched first; FAIL: the answer fails without them; TOOL:
//!                                the model searches with a tool
//! query-model some.model         a model writes the query of the search first
//! passage "s3://b/a.md" 0.8 "…"  a passage that the searches find, with its score
//! search 40 found                the result of a search after 40 ms; also resuming, temporary, refused
//! model-call                     starts the stream of the next call of the model
//!   +15 text "Hello"             after 15 ms a delta of block 0; text[1] "…" is a delta of block 1
//!   300x +15 text "tick "        300 such deltas
//!   +0 text "é"*3000             one delta with repeated text
//!   +5 call[1] "id1" look        a tool call begins in block 1
//!   +0 input[1] "{}"             a part of its arguments
//!   +5 cite[1] 0 "s3://b/a.md"   block 1 cites the search result 0; also block-end[1]
//!   +0 other                     an event without text; also stop TOOL_USE, usage 12 3, fail THROTTLED, end
//!   +0 refuse-search-results     the model takes no search results
//! publish 2 retryable 10000      the result of publishing sequence 2 after 10,000 ms; one line per try
//! appsync 100..60000 retryable   the result of every publish sent in that time; without an end: from then on
//! write 3 retryable 100          the result of writing sequence 3 directly; one line per try
//! renew accepted CANCELLING      the result of renewing the lease; one line per renewal
//! reply-to events stream         the answer goes to a channel, and the updates; also events alone,
//!                                and websocket, to a connection
//! replies retryable 100          the result of the next request with replies; also accepted, refused, gone
//!                                and, for no result ever, never
//! ```
//! Results are `accepted STATUS`, `retryable`, `stale` and, of AppSync only, `refused`. The default is
//! `accepted RUNNING`, or `accepted WAITING` of the update that begins a wait.
use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    time::Duration,
};

use api::types::{FailureCode, ToolStatus, ToolUse, TurnStatus, Usage};
use serde::de::DeserializeOwned;
use turn::{
    attempt::Input,
    citations::CitationStyle,
    direct_write::WriteFailure,
    knowledge::{Knowledge, KnowledgeFailure, KnowledgeMode, Passage, RetrievalError},
    knowledge_tool::search_tool,
    limits::Limits,
    model::{
        CitedPassage, Guardrail, GuardrailFindings, GuardrailMode, ModelError, ModelStop, ReasoningPart, StreamEvent,
        ToolOutput,
    },
    mutation::PublishFailure,
    replies::{Connection, Listener, ReplyFailure, ReplyTo},
    retrieval::RetrievalResult,
    tool::{CallAnswer, LambdaTool, StoredCalls, Tool, ToolApproval, ToolEffect, ToolOutcome, ToolTarget, True},
};

#[derive(Debug)]
pub struct Script {
    pub latency: Duration,
    pub remaining: Duration,
    pub attempt: u32,
    pub lease_age: Duration,
    pub continues: bool,
    pub tools: Vec<Tool>,
    pub context_bytes: usize,
    pub max_steps: u32,
    pub model_id: String,
    pub fallback_model_ids: Vec<String>,
    pub guardrail: Option<Guardrail>,
    pub knowledge: Option<Knowledge>,
    pub passages: Vec<Passage>,
    pub searches: VecDeque<(Duration, RetrievalResult)>,
    pub stored_calls: Option<StoredCalls>,
    /// By the id of the call: how long the tool runs, and its result.
    pub tool_results: HashMap<String, (Duration, ToolOutcome)>,
    pub limits: Limits,
    /// For each call of the model: its steps, each with the time since the step before.
    pub model_calls: VecDeque<Vec<(Duration, ModelStep)>>,
    /// By sequence, one per try.
    pub publishes: HashMap<u32, VecDeque<Scripted<PublishResult>>>,
    /// By sequence, one per try.
    pub writes: HashMap<u32, VecDeque<Scripted<WriteResult>>>,
    pub renewals: VecDeque<Scripted<WriteResult>>,
    pub reply_to: Option<ReplyTo>,
    /// The results of requests with replies. `None`: no result ever. Later ones are accepted.
    pub reply_results: VecDeque<Option<Scripted<ReplyResult>>>,
    pub appsync_periods: Vec<AppSyncPeriod>,
}

pub type PublishResult = Result<TurnStatus, PublishFailure>;
pub type ReplyResult = Result<(), ReplyFailure>;
pub type WriteResult = Result<TurnStatus, WriteFailure>;

#[derive(Clone, Copy, Debug)]
pub struct Scripted<R> {
    pub result: R,
    /// `None` for the latency of the script.
    pub latency: Option<Duration>,
}

/// A time in which AppSync gives every publish the same result.
#[derive(Clone, Debug)]
pub struct AppSyncPeriod {
    pub time: Range<Duration>,
    pub result: PublishResult,
}

#[derive(Clone, Debug)]
pub enum ModelStep {
    Event(StreamEvent),
    Failed(FailureCode),
    Retired,
    SearchResultsRefused,
    Ended,
}

impl From<ModelStep> for Input {
    fn from(step: ModelStep) -> Self {
        match step {
            ModelStep::Event(event) => Self::ModelEvent(event),
            ModelStep::Failed(FailureCode::Throttled) => Self::ModelFailed(ModelError::ThrottledBriefly),
            ModelStep::Failed(code) => Self::ModelFailed(ModelError::Failed(code)),
            ModelStep::Retired => Self::ModelFailed(ModelError::Retired),
            ModelStep::SearchResultsRefused => Self::ModelFailed(ModelError::SearchResultsRefused),
            ModelStep::Ended => Self::ModelStreamEnded,
        }
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            remaining: Duration::from_secs(900),
            attempt: 1,
            lease_age: Duration::ZERO,
            continues: false,
            tools: Vec::new(),
            context_bytes: 400_000,
            max_steps: 10,
            model_id: "anthropic.some-model".into(),
            fallback_model_ids: Vec::new(),
            guardrail: None,
            knowledge: None,
            passages: Vec::new(),
            searches: VecDeque::new(),
            stored_calls: None,
            tool_results: HashMap::new(),
            limits: Limits::default(),
            model_calls: VecDeque::new(),
            publishes: HashMap::new(),
            writes: HashMap::new(),
            renewals: VecDeque::new(),
            reply_to: None,
            reply_results: VecDeque::new(),
            appsync_periods: Vec::new(),
        }
    }
}

impl Script {
    /// Whether the first call of the model writes the query of a search.
    pub fn writes_query(&self) -> bool {
        self.knowledge.as_ref().is_some_and(|knowledge| knowledge.query_model_id.is_some())
    }

    pub fn parse(text: &str) -> Self {
        let mut script = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            script.parse_line(line).unwrap_or_else(|| panic!("cannot parse {line:?}"));
        }
        script
    }

    fn parse_line(&mut self, line: &str) -> Option<()> {
        let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
        match keyword {
            "latency" => self.latency = parse_milliseconds(rest)?,
            "remaining" => self.remaining = parse_milliseconds(rest)?,
            "lease-age" => self.lease_age = parse_milliseconds(rest)?,
            "model-silence" => self.limits.model_silence = parse_milliseconds(rest)?,
            "batch-max-bytes" => self.limits.batch_max_bytes = rest.parse().ok()?,
            "event-max-bytes" => self.limits.event_max_bytes = rest.parse().ok()?,
            "continues" => self.continues = true,
            "tools" => self.tools = rest.split(' ').map(tool).collect(),
            "context-bytes" => self.context_bytes = rest.parse().ok()?,
            "max-steps" => self.max_steps = rest.parse().ok()?,
            "model" => self.model_id = rest.to_owned(),
            "fallback-models" => self.fallback_model_ids = rest.split(' ').map(str::to_owned).collect(),
            "guardrail" => self.guardrail = Some(guardrail(parse_enum(rest)?)),
            "knowledge" if rest == "TOOL" => {
                let knowledge = Knowledge { mode: KnowledgeMode::Tool, ..knowledge(KnowledgeFailure::Answer) };
                self.tools.push(search_tool(&knowledge, CitationStyle::of_model(&self.model_id)));
                self.knowledge = Some(knowledge);
            }
            "knowledge" => self.knowledge = Some(knowledge(parse_enum(rest)?)),
            "query-model" => self.knowledge.as_mut()?.query_model_id = Some(rest.to_owned()),
            "passage" => self.passages.push(parse_passage(rest)?),
            "search" => {
                let (latency, result) = rest.split_once(' ')?;
                let result = match result {
                    "found" => Ok(self.passages.clone()),
                    "resuming" => Err(RetrievalError::Resuming),
                    "temporary" => Err(RetrievalError::Temporary),
                    "refused" => Err(RetrievalError::Refused),
                    _ => return None,
                };
                self.searches.push_back((parse_milliseconds(latency)?, result));
            }
            "stored-call" => {
                let (position, call) = rest.split_once(' ')?;
                let (id, name) = parse_call(call)?;
                let position = position.parse().ok()?;
                let call = ToolUse { id, name, title: None, input: "{}".into() };
                let none = StoredCalls { position, calls: Vec::new(), answers: HashMap::new() };
                self.stored_calls.get_or_insert(none).calls.push(call);
            }
            "answer" => {
                let (id, answer) = rest.split_once(' ')?;
                self.stored_calls.as_mut()?.answers.insert(id.to_owned(), parse_answer(answer)?);
            }
            "result" => {
                let (id, result) = rest.split_once(' ')?;
                self.tool_results.insert(id.to_owned(), parse_tool_result(result)?);
            }
            "attempt" => self.attempt = rest.parse().ok()?,
            "model-call" => self.model_calls.push_back(Vec::new()),
            "publish" => {
                let (sequence, result) = rest.split_once(' ')?;
                let tries = self.publishes.entry(sequence.parse().ok()?).or_default();
                tries.push_back(parse_scripted(result, parse_publish_result)?);
            }
            "write" => {
                let (sequence, result) = rest.split_once(' ')?;
                let tries = self.writes.entry(sequence.parse().ok()?).or_default();
                tries.push_back(parse_scripted(result, parse_write_result)?);
            }
            "reply-to" => self.reply_to = Some(parse_reply_to(rest)?),
            "replies" if rest == "never" => self.reply_results.push_back(None),
            "replies" => self.reply_results.push_back(Some(parse_scripted(rest, parse_reply_result)?)),
            "renew" => self.renewals.push_back(parse_scripted(rest, parse_write_result)?),
            "appsync" => self.appsync_periods.push(parse_appsync_period(rest)?),
            _ => self.parse_model_steps(line)?,
        }
        Some(())
    }

    fn parse_model_steps(&mut self, line: &str) -> Option<()> {
        let (times, step) = match line.split_once("x +") {
            Some((times, step)) => (times.parse().ok()?, step),
            None => (1, line.strip_prefix('+')?),
        };
        let (delay, step) = step.split_once(' ')?;
        let step = (parse_milliseconds(delay)?, parse_model_step(step)?);
        self.model_calls.back_mut()?.extend(std::iter::repeat_n(step, times));
        Some(())
    }
}

/// A result, with or without a latency in milliseconds.
fn parse_scripted<R>(text: &str, parse_result: impl Fn(&str) -> Option<R>) -> Option<Scripted<R>> {
    if let Some(result) = parse_result(text) {
        return Some(Scripted { result, latency: None });
    }
    let (result, latency) = text.rsplit_once(' ')?;
    Some(Scripted { result: parse_result(result)?, latency: Some(parse_milliseconds(latency)?) })
}

fn parse_publish_result(text: &str) -> Option<PublishResult> {
    Some(match text {
        "retryable" => Err(PublishFailure::Retryable),
        "stale" => Err(PublishFailure::Stale),
        "refused" => Err(PublishFailure::Refused),
        _ => Ok(parse_enum(text.strip_prefix("accepted ")?)?),
    })
}

fn parse_write_result(text: &str) -> Option<WriteResult> {
    Some(match text {
        "retryable" => Err(WriteFailure::Retryable),
        "stale" => Err(WriteFailure::Stale),
        _ => Ok(parse_enum(text.strip_prefix("accepted ")?)?),
    })
}

fn parse_reply_result(text: &str) -> Option<ReplyResult> {
    Some(match text {
        "accepted" => Ok(()),
        "retryable" => Err(ReplyFailure::Retryable),
        "refused" => Err(ReplyFailure::Refused),
        "gone" => Err(ReplyFailure::Gone),
        _ => return None,
    })
}

fn parse_reply_to(text: &str) -> Option<ReplyTo> {
    let (listener, stream) = match text.split_once(' ') {
        Some((listener, "stream")) => (listener, true),
        Some(_) => return None,
        None => (text, false),
    };
    let listener = match listener {
        "events" => Listener::Events("/chat/responses/u1".into()),
        "websocket" => {
            Listener::WebSocket(Connection { connection_id: "L0SM9cOFvHcCIhw=".into(), user_id: "u1".into() })
        }
        _ => return None,
    };
    Some(ReplyTo { listener, stream, request_id: None, participant_id: None })
}

fn parse_appsync_period(text: &str) -> Option<AppSyncPeriod> {
    let (time, result) = text.split_once(' ')?;
    let (from, until) = time.split_once("..")?;
    let until = if until.is_empty() { Duration::MAX } else { parse_milliseconds(until)? };
    Some(AppSyncPeriod { time: parse_milliseconds(from)?..until, result: parse_publish_result(result)? })
}

fn parse_model_step(text: &str) -> Option<ModelStep> {
    let (keyword, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match keyword {
        "other" => ModelStep::Event(StreamEvent::Other),
        "stop" if rest == "TOOL_USE" => ModelStep::Event(StreamEvent::MessageStop(ModelStop::ToolUse)),
        "stop" => ModelStep::Event(StreamEvent::MessageStop(ModelStop::Answered(parse_enum(rest)?))),
        "usage" => ModelStep::Event(StreamEvent::Usage(parse_usage(rest)?)),
        "fail" => ModelStep::Failed(parse_enum(rest)?),
        "refuse-search-results" => ModelStep::SearchResultsRefused,
        "retired" => ModelStep::Retired,
        "guardrail" => ModelStep::Event(StreamEvent::Guardrail(parse_findings(rest)?)),
        "end" => ModelStep::Ended,
        _ if keyword.starts_with("reasoning") => ModelStep::Event(StreamEvent::Reasoning {
            block: parse_block(keyword, "reasoning")?,
            part: ReasoningPart::Text(parse_repeated_text(rest)?),
        }),
        _ if keyword.starts_with("signature") => ModelStep::Event(StreamEvent::Reasoning {
            block: parse_block(keyword, "signature")?,
            part: ReasoningPart::Signature(rest.to_owned()),
        }),
        _ if keyword.starts_with("encrypted") => ModelStep::Event(StreamEvent::Reasoning {
            block: parse_block(keyword, "encrypted")?,
            part: ReasoningPart::Encrypted(rest.as_bytes().to_vec()),
        }),
        _ if keyword.starts_with("cite") => {
            let (index, source) = rest.split_once(' ')?;
            let source = serde_json::from_str(source).ok()?;
            let cited = CitedPassage { source, search_result_index: index.parse().ok(), text: String::new() };
            ModelStep::Event(StreamEvent::Citation { block: parse_block(keyword, "cite")?, cited })
        }
        _ if keyword.starts_with("block-end") => {
            ModelStep::Event(StreamEvent::BlockEnd { block: parse_block(keyword, "block-end")? })
        }
        _ if keyword.starts_with("call") => {
            let (id, name) = parse_call(rest)?;
            ModelStep::Event(StreamEvent::ToolUse { block: parse_block(keyword, "call")?, id, name })
        }
        _ if keyword.starts_with("input") => ModelStep::Event(StreamEvent::ToolInput {
            block: parse_block(keyword, "input")?,
            json: parse_repeated_text(rest)?,
        }),
        _ => ModelStep::Event(StreamEvent::Text {
            block: parse_block(keyword, "text")?,
            text: parse_repeated_text(rest)?,
        }),
    })
}

fn guardrail(mode: GuardrailMode) -> Guardrail {
    Guardrail { id: "gr1".into(), version: "1".into(), mode, newest_message_only: true }
}

/// `OUTPUT blocked TOPIC "What the model has said"`.
fn parse_findings(text: &str) -> Option<GuardrailFindings> {
    let (source, rest) = text.split_once(' ')?;
    let (action, rest) = rest.split_once(' ')?;
    let (policy, model_output) = rest.split_once(' ')?;
    Some(GuardrailFindings {
        source: Some(parse_enum(source)?),
        policies: vec![parse_enum(policy)?],
        is_blocked: action == "blocked",
        model_output: serde_json::from_str(model_output).ok()?,
    })
}

/// A tool whose name begins with `change` or `ask` changes something; calls of one that begins with `ask`
/// need an approval; one that begins with `page` is run by a client.
pub fn tool(name: &str) -> Tool {
    let needs_approval = name.starts_with("ask");
    let changes_something = needs_approval || name.starts_with("change");
    Tool {
        name: name.into(),
        title: None,
        description: String::new(),
        input_schema: r#"{"type":"object"}"#.into(),
        effect: if changes_something { ToolEffect::Write } else { ToolEffect::Read },
        approval: Some(if needs_approval { ToolApproval::Always } else { ToolApproval::Never }),
        target: match name.starts_with("page") {
            true => ToolTarget::Client(True),
            false => ToolTarget::Lambda(LambdaTool { function_arn: String::new() }),
        },
    }
}

/// Documents are searched before the model is asked.
pub fn knowledge(on_failure: KnowledgeFailure) -> Knowledge {
    Knowledge {
        knowledge_base_id: "KB00000001".into(),
        mode: KnowledgeMode::Always,
        results: 6,
        search: None,
        min_score: None,
        filter: None,
        rerank_model_arn: None,
        query_model_id: None,
        on_failure,
    }
}

/// `"s3://bucket/a.md" 0.8 "Text"`.
fn parse_passage(text: &str) -> Option<Passage> {
    let (source, rest) = text.strip_prefix('"')?.split_once("\" ")?;
    let (score, text) = rest.split_once(' ')?;
    let text = parse_repeated_text(text)?;
    Some(Passage { text, source: Some(source.to_owned()), score: score.parse().ok(), page: None })
}

/// `"id" name`.
fn parse_call(text: &str) -> Option<(String, String)> {
    let (id, name) = text.rsplit_once(' ')?;
    Some((serde_json::from_str(id).ok()?, name.to_owned()))
}

/// `denied "Why"`.
fn parse_answer(text: &str) -> Option<CallAnswer> {
    let (kind, value) = text.split_once(' ').unwrap_or((text, "null"));
    let value: Option<String> = serde_json::from_str(value).ok()?;
    Some(match kind {
        "approved" => CallAnswer::Approved,
        "denied" => CallAnswer::Denied { reason: value },
        "result" => CallAnswer::Result { json: value?, is_error: false },
        "error" => CallAnswer::Result { json: value?, is_error: true },
        _ => return None,
    })
}

/// `500 SUCCEEDED "{}"`.
fn parse_tool_result(text: &str) -> Option<(Duration, ToolOutcome)> {
    let (latency, result) = text.split_once(' ')?;
    let (status, output) = result.split_once(' ')?;
    let status = parse_enum(status)?;
    let output = parse_repeated_text(output)?;
    let output = if status == ToolStatus::Succeeded { ToolOutput::Json(output) } else { ToolOutput::Text(output) };
    let outcome = ToolOutcome { status, output, started_at: None, ended_at: None };
    Some((parse_milliseconds(latency)?, outcome))
}

/// The index in `text[1]`; 0 without one.
fn parse_block(keyword: &str, kind: &str) -> Option<u32> {
    match keyword.strip_prefix(kind)? {
        "" => Some(0),
        index => index.strip_prefix('[')?.strip_suffix(']')?.parse().ok(),
    }
}

/// `"text"` or `"text"*3000`.
fn parse_repeated_text(text: &str) -> Option<String> {
    let (quoted, times) = match text.rsplit_once("\"*") {
        Some((start, times)) => (format!("{start}\""), times.parse().ok()?),
        None => (text.to_owned(), 1),
    };
    Some(serde_json::from_str::<String>(&quoted).ok()?.repeat(times))
}

/// Input and output tokens, and optionally tokens read from and written to the cache.
fn parse_usage(text: &str) -> Option<Usage> {
    let numbers = text.split(' ').map(|number| number.parse().ok()).collect::<Option<Vec<u32>>>()?;
    let (input_tokens, output_tokens) = (*numbers.first()?, *numbers.get(1)?);
    Some(Usage {
        input_tokens,
        output_tokens,
        total_tokens: input_tokens + output_tokens,
        cache_read_tokens: numbers.get(2).copied(),
        cache_write_tokens: numbers.get(3).copied(),
    })
}

fn parse_enum<E: DeserializeOwned>(name: &str) -> Option<E> {
    serde_json::from_value(name.into()).ok()
}

fn parse_milliseconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis)
}
