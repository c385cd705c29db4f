//! The check of an agent's tools: payloads, GraphQL documents and JSON Schemas.
use std::{sync::Arc, time::Duration};

use api::types::TurnStatus;
use aws_config::{BehaviorVersion, SdkConfig};
use futures::{Stream, stream};
use handler::{
    InvocationContext, Table, attempt_loop::Effects, clock::Clock, function_arn::AllowedFunctions,
    graphql_urls::GraphqlUrls, serve, tool::HandlerTools,
};
use serde_json::{Value, json};
use tokio::time::Instant;
use turn::{
    deadlines::Deadlines,
    direct_write::{DirectWrite, WriteFailure},
    knowledge::RetrievalRequest,
    limits::Limits,
    model::{ModelError, ModelRequest, StreamEvent},
    mutation::{Accepted, Mutation, PublishFailure},
    replies::{ReplyFailure, ReplyRequest},
    retrieval::RetrievalResult,
    tool::{ToolOutcome, ToolRun},
};
use uuid::Uuid;

use crate::{
    documents::{DocumentGenerator, valid_documents},
    fuzzer::{Target, fuzz},
    mutator::Mutator,
    support::hostile_documents::hostile_documents,
};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:look";

struct ToolChecks {
    documents: DocumentGenerator,
    accepted_payloads: u32,
}

fn payload(tools: Value) -> Value {
    json!({ "type": "checkTools", "tools": tools })
}

fn tool(name: &str, schema: Option<&str>, target: Value) -> Value {
    let mut tool = json!({ "name": name, "description": "Looks.", "inputSchema": schema });
    tool.as_object_mut().expect("an object").extend(target.as_object().expect("an object").clone());
    tool
}

fn operation(document: &str, schema: Option<&str>) -> Value {
    tool("act", schema, json!({ "graphql": { "document": document } }))
}

fn schemas() -> Vec<String> {
    let deep = |depth: usize| format!(r#"{{"type":"object","x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let texts = [
        r#"{"type":"object"}"#,
        r#"{"type":"object","properties":{"a":{"type":"string"},"b":true},"required":["a"]}"#,
        r#"{"type":"object","properties":{"a":{"anyOf":[{"type":"null"},{"type":"array","items":{}}]}}}"#,
        r#"{"type":"object","anyOf":[]}"#,
        r#"{"type":["object"],"properties":[]}"#,
        r#"{"type":"object","type":"array"}"#,
        r#"{"type":"object","required":"a"}"#,
        "[]",
        "",
    ];
    texts.map(str::to_owned).into_iter().chain([deep(100), deep(50_000)]).collect()
}

/// Operations of the API, whose variables are of each kind.
fn operations() -> Vec<String> {
    let operations = [
        "query { listConversations { items { id title } } }",
        "mutation ($id: ID!, $title: String!) { updateConversation(input: {id: $id, title: $title}) { id } }",
        "query ($a: [[Int!]]! = [[1]], $s: TurnStatus, $d: AWSDateTime) { f(a: $a, s: $s, d: $d) }",
        "mutation ($input: UpdateConversationInput!) { updateConversation(input: $input) { id } }",
        "subscription { onConversationUpdate(conversationId: \"c\") { turnId } }",
        "query ($a: Int, $a: Int) { f(a: $b) } fragment F on T { g(x: $c) }",
    ];
    operations.map(str::to_owned).into_iter().chain(valid_documents()).chain(hostile_documents()).collect()
}

impl Target for ToolChecks {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let with_schema = |schema: &String| {
            payload(json!([
                tool("look", Some(schema), json!({ "lambda": { "functionArn": FUNCTION } })),
                tool("page", Some(schema), json!({ "client": true, "effect": "READ" })),
                operation("query ($a: ID) { f(a: $a) }", Some(schema)),
            ]))
        };
        let schemas = schemas();
        let payloads = schemas.iter().map(with_schema);
        let operations = operations();
        let payloads = payloads.chain(operations.iter().map(|document| payload(json!([operation(document, None)]))));
        payloads.map(|payload| payload.to_string().into()).collect()
    }

    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        let payload = match mutator.below(3) {
            0 => {
                let document = match mutator.one_in(2) {
                    true => self.documents.generate(mutator),
                    false => mutator.choose::<String>(&operations()).clone(),
                };
                payload(json!([operation(&mutator.mutate_text(&document), None)]))
            }
            1 => {
                let schema: Value = serde_json::from_str(mutator.choose::<String>(&schemas())).unwrap_or_default();
                let schema = mutator.mutate_json(&schema).to_string();
                payload(json!([operation("query ($a: ID, $b: Int) { f(a: $a, b: $b) }", Some(&schema))]))
            }
            _ => {
                let chosen: Value = serde_json::from_slice(mutator.choose_input(corpus)).unwrap_or_default();
                mutator.mutate_json(&chosen)
            }
        };
        payload.to_string().into()
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        // Lambda parses the payload as the handler's runtime does.
        let Ok(payload) = serde_json::from_slice::<Value>(input) else { return Ok(()) };
        // A mutation of the type would reach what needs a table.
        if payload["type"] != "checkTools" {
            return Ok(());
        }
        let given = payload["tools"].as_array().map_or(0, Vec::len);
        let checked = tokio::spawn(check(payload)).await.map_err(|panic| panic.to_string())?;
        let Some(checked) = checked else { return Ok(()) };
        let has_tools = checked["tools"].as_array().is_some_and(|tools| !tools.is_empty());
        self.accepted_payloads += u32::from(has_tools);
        assert_response(&checked, given)
    }

    async fn finish(&mut self) -> Result<(), String> {
        if self.accepted_payloads > 0 { Ok(()) } else { Err("no tools were accepted".to_owned()) }
    }
}

/// The handler's response; `None` if it refuses the payload as a whole.
async fn check(payload: Value) -> Option<Value> {
    let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
    let context = InvocationContext {
        table: &Table::new(&config, "Table"),
        effects: &NoEffects,
        clock: Clock::starting_at(std::time::SystemTime::UNIX_EPOCH),
        deadlines: Deadlines::within(Instant::now().into_std(), Duration::from_secs(60)),
        holder: Uuid::nil(),
        limits: Limits::default(),
        tool_functions: &AllowedFunctions::from_list(FUNCTION),
        graphql_urls: &GraphqlUrls::from_list("https://api.example.com/graphql", "none").expect("the URL is safe"),
        handler_tools: &HandlerTools::default(),
        mcp_servers: None,
        knowledge_bases: None,
        api_keys: &[],
        document_links: None,
        title_model_id: None,
    };
    serve(payload, &context).await.ok()
}

/// There are refusals, each with a path and a sentence, or all tools with a schema that models take.
fn assert_response(checked: &Value, given: usize) -> Result<(), String> {
    let refusals = checked["refusals"].as_array().ok_or("there is no list of refusals")?;
    let tools = checked["tools"].as_array().ok_or("there is no list of tools")?;
    for refusal in refusals {
        let text = |name: &str| refusal[name].as_str().unwrap_or_default();
        if !text("path").starts_with("tools[") || !text("message").ends_with('.') {
            return Err(format!("an odd refusal: {refusal}"));
        }
    }
    if tools.len() != if refusals.is_empty() { given } else { 0 } {
        return Err(format!("{} tools of {given} and {} refusals", tools.len(), refusals.len()));
    }
    tools.iter().try_for_each(assert_tool)
}

fn assert_tool(tool: &Value) -> Result<(), String> {
    let schema: Value = tool["inputSchema"]
        .as_str()
        .and_then(|schema| serde_json::from_str(schema).ok())
        .ok_or_else(|| format!("the schema is not JSON: {tool}"))?;
    let is_schema = |value: &Value| value.is_object() || value.is_boolean();
    let is_accepted = schema["type"] == "object"
        && ["anyOf", "oneOf", "allOf"].iter().all(|keyword| schema.get(keyword).is_none())
        && schema.get("properties").is_none_or(|all| all.as_object().is_some_and(|all| all.values().all(is_schema)))
        && schema.get("required").is_none_or(|all| all.as_array().is_some_and(|all| all.iter().all(Value::is_string)));
    if !is_accepted {
        return Err(format!("models refuse the schema {schema}"));
    }
    let effect = tool["effect"].as_str().unwrap_or_default();
    let document = tool["graphql"]["document"].as_str();
    let by_operation = document.map(|document| if document.contains("mutation") { "WRITE" } else { "READ" });
    // Only a query may have the word in its texts or names.
    let is_right = matches!(effect, "READ" | "WRITE") && (by_operation != Some("READ") || effect == "READ");
    if is_right { Ok(()) } else { Err(format!("the effect {effect} of {tool}")) }
}

/// The check of tools needs none of them.
struct NoEffects;

impl Effects for NoEffects {
    async fn publish_title(&self, _: &str, _: &str) -> Result<(), PublishFailure> {
        Err(PublishFailure::Refused)
    }

    fn call_model(&self, _: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, ModelError>> + Send {
        stream::empty()
    }

    async fn retrieve(&self, request: Arc<RetrievalRequest>) -> RetrievalResult {
        unreachable!("{} is searched", request.knowledge_base_id)
    }

    async fn run_tool(&self, run: ToolRun) -> (String, ToolOutcome) {
        unreachable!("{} is run", run.tool.name)
    }

    async fn publish(&self, _: Arc<Mutation>, _: bool) -> Result<Accepted, PublishFailure> {
        Err(PublishFailure::Refused)
    }

    async fn write(&self, _: DirectWrite) -> Result<TurnStatus, WriteFailure> {
        Err(WriteFailure::Stale)
    }

    async fn send_replies(&self, _: Arc<ReplyRequest>) -> Result<(), ReplyFailure> {
        Err(ReplyFailure::NotDeployed)
    }
}

#[tokio::test]
async fn tool_checks() {
    fuzz("tool checks", 150, &mut ToolChecks { documents: DocumentGenerator::new(), accepted_payloads: 0 }).await;
}
