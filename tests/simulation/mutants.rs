//! Mutants of the program: each changes one thing at runtime so that one invariant breaks. The checker must
//! notice.
use std::time::Duration;

use serde_json::{Value, json};
use turn::{
    knowledge_tool::REMOVED_PASSAGES,
    limits::Limits,
    model::{ModelRequest, SearchResult, ToolOutput, TranscriptBlock},
};

use crate::{
    environment::Environment, fault_profile::FaultProfile, knowledge::KnowledgeProfile, long_run::LongRun,
    tools::AgentProfile, users::UserProfile,
};

/// By `RetryMarksNewestEvents`. A transaction has room for more, but a short answer shows the mutant sooner.
const MARKED_EVENTS: usize = 9;
/// The batches that `OneClosingPage` reads, for the same reason.
const CLOSING_PAGE: u64 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Attempts write without the fencing condition.
    NoFencing,
    /// The event that ends an answer is stored without its text.
    EmptyFinalEvent,
    /// The update that ends an answer has another text than the stored event.
    WrongFinalUpdate,
    /// A lease never expires.
    EndlessLease,
    /// Updates use every second sequence only.
    SkippedSequences,
    /// Stored batches lose white space at their ends.
    TrimmedBatches,
    /// A retry does not supersede the old answer.
    RetryKeepsAnswer,
    /// Every batch is written twice.
    DuplicateWrites,
    /// Whoever closes a dead turn reads only the first page of its batches.
    OneClosingPage,
    /// A message that replaces a turn does not mark the turn's question.
    ReplacementKeepsQuestion,
    /// The history of a message that replaces a turn has that turn.
    ReplacementKeepsHistory,
    /// A message may replace any turn, and is not compared with the one that is stored under its id.
    EveryTurnIsReplaceable,
    /// A retry marks some of the newest events of the answer as superseded, one by one, instead of noting its
    /// position.
    RetryMarksNewestEvents,
    /// An event may have any number of blocks, and readers join them.
    UnboundedBlocks,
    /// Resolvers read eventually consistently.
    StaleDecisions,
    /// A purge leaves the batches.
    PurgeKeepsBatches,
    /// Unsharing and deleting do not end subscriptions.
    LastingSubscriptions,
    /// Everybody may read.
    OpenConversations,
    /// A participant that may only read may cancel and retry.
    WritingReaders,
    /// A call is claimed whether it was claimed before or not.
    ClaimsAreUnconditional,
    /// An attempt takes the claim of another attempt for its own.
    ClaimsBelongToEverybody,
    /// A call of a tool that changes something is repeated if its response was lost.
    LostCallsAreRepeated,
    /// Tools that change something count as tools that only read.
    ChangesCountAsReads,
    /// A denied call counts as approved.
    DenialsApprove,
    /// The event with the results of a step lacks the last result.
    LastResultIsDropped,
    /// The event with the results of a step has the first result twice.
    FirstResultIsRepeated,
    /// A turn that is cancelled while it waits ends without results.
    WaitsEndWithoutResults,
    /// The history of a request lacks the results of tool calls.
    HistoryWithoutResults,
    /// Stored citations are one code unit further than their texts.
    CitationsAreShifted,
    /// Stored citations have the passage of another one.
    CitationsOfOtherPassages,
    /// The event of a text lacks the citations that batches had.
    FinalEventWithoutCitations,
    /// The history of a request has the passages of past turns.
    PassagesAreSentAgain,
}

/// A change of a resolver's code.
pub struct ResolverEdit {
    /// The end of the file's path.
    pub file: &'static str,
    pub text: &'static str,
    pub replacement: &'static str,
}

impl Mutant {
    /// Makes the faults frequent that the mutant needs to show.
    pub fn adjust_faults(self, profile: &mut FaultProfile) {
        match self {
            Self::NoFencing => {
                profile.process_stalls = 600;
                profile.duplicate_deliveries = 700;
                profile.process_kills = 0;
            }
            Self::EndlessLease => profile.process_kills = 600,
            Self::ClaimsAreUnconditional | Self::ClaimsBelongToEverybody | Self::ChangesCountAsReads => {
                profile.process_kills = 500;
            }
            Self::LostCallsAreRepeated => profile.lose_tool_responses(),
            _ => {}
        }
    }

    /// Makes the actions of users frequent that the mutant needs to show.
    pub fn adjust_users(self, users: &mut UserProfile) {
        match self {
            Self::RetryKeepsAnswer => {
                users.messages = 3;
                users.reruns = 70;
                users.deletes = 0;
            }
            Self::ReplacementKeepsQuestion | Self::ReplacementKeepsHistory | Self::EveryTurnIsReplaceable => {
                users.messages = 1;
                users.reruns = 60;
                users.deletes = 0;
            }
            Self::PurgeKeepsBatches => users.deletes = 100,
            Self::NoFencing | Self::OneClosingPage | Self::UnboundedBlocks => users.deletes = 0,
            Self::LastingSubscriptions | Self::WritingReaders => {
                users.shares = 3;
                users.messages = 3;
                users.deletes = 0;
            }
            _ => {}
        }
    }

    pub fn adjust_agent(self, agent: &mut AgentProfile, seed: u64) {
        let needs_tools = matches!(
            self,
            Self::ClaimsAreUnconditional
                | Self::ClaimsBelongToEverybody
                | Self::LostCallsAreRepeated
                | Self::ChangesCountAsReads
                | Self::DenialsApprove
                | Self::LastResultIsDropped
                | Self::FirstResultIsRepeated
                | Self::WaitsEndWithoutResults
                | Self::HistoryWithoutResults
        );
        agent.has_tools = needs_tools || self.needs_citations();
        agent.knowledge = self.needs_citations().then(|| KnowledgeProfile::reliable(seed));
        agent.steps = if self.needs_citations() { 50 } else { 80 };
    }

    fn needs_citations(self) -> bool {
        matches!(
            self,
            Self::CitationsAreShifted
                | Self::CitationsOfOtherPassages
                | Self::FinalEventWithoutCitations
                | Self::PassagesAreSentAgain
        )
    }

    pub fn adjust_limits(self, limits: &mut Limits) {
        if self == Self::UnboundedBlocks {
            limits.event_max_blocks = usize::MAX;
        }
    }

    /// An answer with too many blocks is published at its end, to save time.
    pub fn adjust_pacing(self, limits: &mut Limits) {
        if self == Self::UnboundedBlocks {
            (limits.pacing_first, limits.pacing_last) = (Duration::from_secs(60), Duration::from_secs(60));
        }
    }

    /// The long run that the mutant needs to show.
    pub fn long_run(self) -> Option<LongRun> {
        match self {
            Self::OneClosingPage => Some(LongRun::Batches(30)),
            Self::RetryMarksNewestEvents => Some(LongRun::Events(14)),
            Self::UnboundedBlocks => Some(LongRun::Blocks { count: 1_010, dies: false }),
            _ => None,
        }
    }

    pub fn resolver_edits(self) -> &'static [ResolverEdit] {
        const fn edit(file: &'static str, text: &'static str, replacement: &'static str) -> ResolverEdit {
            ResolverEdit { file, text, replacement }
        }
        const BLOCK_LIMIT: &str = "const MAX_EVENT_BLOCKS = 64;";
        const NO_BLOCK_LIMIT: &str = "const MAX_EVENT_BLOCKS = 100000;";
        const STORED_TEXT: &str = "event.text ?? event.content[0]?.text ?? ''";
        const JOINED_TEXT: &str = "event.content.map((block) => block.text ?? '').join('')";
        const OLDER_EVENT: &str = "event.position < end";
        const OLDER_EVENT_WITHOUT_RESULTS: &str = "event.position < end && event.sender.kind !== 'TOOL'";
        match self {
            Self::UnboundedBlocks => {
                const {
                    &[
                        edit("putAgentEvent.js", BLOCK_LIMIT, NO_BLOCK_LIMIT),
                        edit("prepareClosingEvent.js", BLOCK_LIMIT, NO_BLOCK_LIMIT),
                        edit("markSuperseded.js", STORED_TEXT, JOINED_TEXT),
                        edit("listAnswer.js", STORED_TEXT, JOINED_TEXT),
                    ]
                }
            }
            Self::OneClosingPage => const { &[edit("prepareClosingEvent.js", "limit: 800", "limit: 20")] },
            Self::LastingSubscriptions => {
                const { &[edit("endSubscriptions.js", "userId: userId ?? '*'", "userId: 'nobody'")] }
            }
            Self::OpenConversations => {
                const { &[edit("authorizeConversation.js", "conversation.deletedAt || !access", "conversation.deletedAt")] }
            }
            Self::WritingReaders => {
                const { &[edit("authorizeConversation.js", "['cancelTurn', 'retryTurn', 'continueTurn', ", "[")] }
            }
            Self::ChangesCountAsReads => {
                const { &[edit("checkTools.js", "({ ...tool, ", "({ ...tool, effect: 'READ', ")] }
            }
            Self::DenialsApprove => {
                const { &[edit("validateToolAnswer.js", "{} : { approved }", "{} : { approved: true }")] }
            }
            Self::WaitsEndWithoutResults => {
                const {
                    &[edit(
                        "prepareClosingEvent.js",
                        "content: turn.storedPending.map((call) => ({",
                        "content: [].map((call) => ({",
                    )]
                }
            }
            Self::ReplacementKeepsQuestion => {
                const { &[edit("putUserMessage.js", "update: { superseded: true }", "update: { superseded: false }")] }
            }
            Self::ReplacementKeepsHistory => {
                const {
                    &[edit(
                        "startTurn.js",
                        "? turn.questionPosition : question.position",
                        "? question.position : question.position",
                    )]
                }
            }
            Self::EveryTurnIsReplaceable => {
                const { &[edit("putUserMessage.js", "if (!isLatestTurn(conversation, turn))", "if (isNull(turn))")] }
            }
            Self::HistoryWithoutResults => const { &[edit("startTurn.js", OLDER_EVENT, OLDER_EVENT_WITHOUT_RESULTS)] },
            _ => &[],
        }
    }

    /// Whether the mutant changes the program before a run, and no requests during it.
    pub fn is_static(self) -> bool {
        !self.resolver_edits().is_empty()
    }

    /// Whether resolvers fail for readers once the mutant shows.
    pub fn makes_answers_unreadable(self) -> bool {
        self == Self::UnboundedBlocks
    }

    /// Changes the request document of a resolver to the table.
    pub fn change_resolver_request(self, environment: &Environment, request: &mut Value) {
        change_value(environment, request, |request| self.mutate_resolver_request(request));
    }

    fn mutate_resolver_request(self, request: &mut Value) {
        match self {
            Self::NoFencing => for_each_write(request, remove_condition),
            Self::EmptyFinalEvent => for_each_write(request, |write| {
                if !write["attributeValues"]["stopReason"].is_null() {
                    write["attributeValues"]["content"] = json!({ "L": [] });
                }
            }),
            Self::EndlessLease => for_each_write(request, |write| {
                let values = write.pointer_mut("/update/expressionValues").and_then(Value::as_object_mut);
                for (_, value) in values.into_iter().flatten().filter(|(name, _)| name.contains("lease")) {
                    *value = json!({ "N": "9999999999999" });
                }
            }),
            Self::TrimmedBatches => for_each_write(request, |write| {
                if let Some(text) = write["attributeValues"]["text"]["S"].as_str().map(str::trim).map(str::to_owned) {
                    write["attributeValues"]["text"] = json!({ "S": text });
                }
            }),
            Self::RetryKeepsAnswer => for_each_write(request, |write| {
                if let Some(position) = answer_position_of_question(write) {
                    *position = json!({ "N": "0" });
                }
            }),
            Self::RetryMarksNewestEvents => mark_newest_events(request),
            Self::LastResultIsDropped => for_each_write(request, |write| {
                if let Some(results) = stored_results(write).filter(|results| results.len() > 1) {
                    results.pop();
                }
            }),
            Self::FirstResultIsRepeated => for_each_write(request, |write| {
                if let Some(results) = stored_results(write) {
                    results.push(results[0].clone());
                }
            }),
            Self::StaleDecisions if request.get("consistentRead").is_some() => {
                request["consistentRead"] = json!(false);
            }
            _ => {}
        }
    }

    /// Changes what the table returns to a resolver.
    pub fn change_resolver_response(self, environment: &Environment, request: &Value, result: &mut Value) {
        let partition = request.pointer("/query/expressionValues").map(Value::to_string).unwrap_or_default();
        let is_closing =
            self == Self::OneClosingPage && request["limit"] == CLOSING_PAGE && partition.contains("TURN#");
        if is_closing && result["nextToken"].is_string() {
            change_value(environment, result, |result| result["nextToken"] = Value::Null);
        }
    }

    /// Changes the body of a handler's call to the table.
    pub fn change_handler_request(self, environment: &Environment, body: Vec<u8>) -> Vec<u8> {
        match self {
            Self::NoFencing => change_json(environment, body, |request| {
                let is_turn = request["Key"]["sk"]["S"].as_str().is_some_and(|key| key.starts_with("TURN#"));
                let is_renewal =
                    request["UpdateExpression"].as_str().is_some_and(|expression| !expression.contains("attempt"));
                if is_turn && is_renewal {
                    request.as_object_mut().and_then(|request| request.remove("ConditionExpression"));
                }
            }),
            Self::PurgeKeepsBatches => change_json(environment, body, |request| {
                let is_purge = request["ProjectionExpression"] == "pk, sk";
                let partition = request.pointer_mut("/ExpressionAttributeValues/:pk/S");
                if let Some(partition) = partition.filter(|partition| is_purge && is_batches_partition(partition)) {
                    *partition = json!("TURN#of another conversation");
                }
            }),
            Self::ClaimsAreUnconditional => change_json(environment, body, |request| {
                if let Some(put) = put_of_claim(request) {
                    put.as_object_mut().and_then(|put| put.remove("ConditionExpression"));
                }
            }),
            _ => body,
        }
    }

    /// Changes the table's response to a handler's call.
    pub fn change_handler_response(self, environment: &Environment, request: &[u8], body: Vec<u8>) -> Vec<u8> {
        if self != Self::ClaimsBelongToEverybody {
            return body;
        }
        let Ok(mut request) = serde_json::from_slice::<Value>(request) else { return body };
        let Some(attempt) = put_of_claim(&mut request).map(|put| put["Item"]["attempt"].clone()) else { return body };
        change_json(environment, body, |response| {
            if let Some(claim) = response.pointer_mut("/CancellationReasons/1/Item") {
                claim["attempt"] = attempt;
            }
        })
    }

    /// Changes an update on its way to subscribers.
    pub fn change_update(self, environment: &Environment, update: &mut Value) {
        if self == Self::WrongFinalUpdate && update["event"]["stopReason"].is_string() {
            change_value(environment, update, |update| update["event"]["text"] = json!("another text"));
        }
    }

    /// Changes the body of a handler's publish.
    pub fn change_publish(self, environment: &Environment, body: Vec<u8>) -> Vec<u8> {
        change_json(environment, body, |request| {
            let data = &mut request["variables"]["data"];
            match self {
                Self::SkippedSequences => {
                    if let Some(sequence) = data["sequence"].as_u64() {
                        data["sequence"] = json!(sequence * 2);
                    }
                }
                Self::CitationsAreShifted => for_each_citation(data, |citation| {
                    let [start, end] = ["start", "end"].map(|name| citation[name].as_u64().unwrap_or_default() + 1);
                    (citation["start"], citation["end"]) = (json!(start), json!(end));
                }),
                Self::CitationsOfOtherPassages => swap_passages(data),
                Self::FinalEventWithoutCitations => remove_citations_of_event(data),
                _ => {}
            }
        })
    }

    /// Changes the history of a request to the model.
    pub fn change_model_request(self, environment: &Environment, request: &mut ModelRequest) {
        if self != Self::PassagesAreSentAgain {
            return;
        }
        let passage = environment.with_recorder(|recorder| recorder.passages.first().cloned());
        let Some(passage) = passage else { return };
        let results = vec![SearchResult {
            number: 1,
            source: passage.source.clone().unwrap_or_default(),
            title: passage.title(),
            text: passage.text,
        }];
        for block in request.transcript.iter_mut().flat_map(|message| &mut message.content) {
            let TranscriptBlock::ToolResult { tool_use_id, output: ToolOutput::Text(text), .. } = block else {
                continue;
            };
            if text == REMOVED_PASSAGES {
                let (tool_use_id, results) = (tool_use_id.clone(), results.clone());
                *block = TranscriptBlock::FoundSearchResults { tool_use_id, results };
                environment.with_recorder(|recorder| recorder.mutations += 1);
            }
        }
    }
}

/// The citations of an update: those of its batch, and those of its event's texts.
fn citation_lists(data: &mut Value) -> Vec<&mut Vec<Value>> {
    let Value::Object(members) = data else { return Vec::new() };
    let mut lists = Vec::new();
    for (name, value) in members {
        match name.as_str() {
            "citations" => lists.extend(value.as_array_mut()),
            "event" => {
                let blocks = value.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten();
                lists.extend(blocks.filter_map(|block| block.get_mut("citations")?.as_array_mut()));
            }
            _ => {}
        }
    }
    lists
}

fn for_each_citation(data: &mut Value, change: impl Fn(&mut Value)) {
    citation_lists(data).into_iter().flatten().for_each(change);
}

fn swap_passages(data: &mut Value) {
    for citations in citation_lists(data) {
        let passages: Vec<Value> = citations.iter().map(|citation| citation["passage"].clone()).collect();
        for (citation, passage) in citations.iter_mut().rev().zip(passages) {
            citation["passage"] = passage;
        }
    }
}

fn remove_citations_of_event(data: &mut Value) {
    if data["event"].is_object() {
        citation_lists(data).into_iter().for_each(Vec::clear);
    }
}

/// The write that claims a tool call.
fn put_of_claim(request: &mut Value) -> Option<&mut Value> {
    let put = request.pointer_mut("/TransactItems/1/Put")?;
    let is_claim = put["Item"]["sk"]["S"].as_str().is_some_and(|key| key.starts_with("TOOL#"));
    is_claim.then_some(put)
}

/// The blocks of an event that has the results of tool calls.
fn stored_results(write: &mut Value) -> Option<&mut Vec<Value>> {
    let blocks = write.pointer_mut("/attributeValues/content/L")?.as_array_mut()?;
    let has_results = blocks.first().is_some_and(|block| !block["M"]["toolResult"].is_null());
    has_results.then_some(blocks)
}

fn is_batches_partition(partition: &Value) -> bool {
    partition.as_str().is_some_and(|partition| partition.starts_with("TURN#"))
}

/// Counts the change if there is one.
fn change_value(environment: &Environment, value: &mut Value, change: impl FnOnce(&mut Value)) {
    let original = value.clone();
    change(value);
    if *value != original {
        environment.with_recorder(|recorder| recorder.mutations += 1);
    }
}

fn change_json(environment: &Environment, body: Vec<u8>, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let Ok(mut request) = serde_json::from_slice(&body) else { return body };
    change_value(environment, &mut request, change);
    serde_json::to_vec(&request).unwrap_or(body)
}

/// Replaces the position that a retry notes by updates of the newest events, as many as a transaction has
/// room for.
fn mark_newest_events(request: &mut Value) {
    let Some(items) = request.get_mut("transactItems").and_then(Value::as_array_mut) else { return };
    let mut marks = Vec::new();
    for item in items.iter_mut() {
        let question = item.clone();
        let Some(answer_position) = answer_position_of_question(item) else { continue };
        let last = answer_position["N"].to_string().trim_matches('"').parse::<u64>().unwrap_or_default();
        *answer_position = json!({ "N": "0" });
        let sort_key = question["key"]["sk"]["S"].as_str().unwrap_or_default();
        let question_position: u64 = sort_key.trim_start_matches("EVENT#").parse().unwrap_or_default();
        for position in (question_position + 1..=last).rev().take(MARKED_EVENTS) {
            marks.push(json!({
                "table": question["table"],
                "operation": "UpdateItem",
                "key": { "pk": question["key"]["pk"], "sk": { "S": format!("EVENT#{position:08}") } },
                "update": { "expression": "SET superseded = :true", "expressionValues": { ":true": { "BOOL": true } } },
            }));
        }
    }
    marks.retain(|mark| items.iter().all(|item| item["key"] != mark["key"]));
    items.append(&mut marks);
}

fn for_each_write(request: &mut Value, change: impl Fn(&mut Value)) {
    match request.get_mut("transactItems").and_then(Value::as_array_mut) {
        Some(items) => items.iter_mut().for_each(change),
        None => change(request),
    }
}

/// The position that a retry notes in the user's event.
fn answer_position_of_question(write: &mut Value) -> Option<&mut Value> {
    let is_event = write["key"]["sk"]["S"].as_str()?.starts_with("EVENT#");
    let is_answer_position = write["update"].to_string().contains("answerPosition");
    let values = write.pointer_mut("/update/expressionValues")?.as_object_mut()?;
    values.values_mut().next().filter(|_| is_event && is_answer_position)
}

fn remove_condition(write: &mut Value) {
    let is_turn = write["key"]["sk"]["S"].as_str().is_some_and(|key| key.starts_with("TURN#"));
    if is_turn || write["operation"] == "PutItem" {
        write.as_object_mut().and_then(|write| write.remove("condition"));
    }
}
