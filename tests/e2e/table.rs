//! Direct reads and writes of the table, past the API.
use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use client::schema::Turn;
use jiff::Timestamp;
use local::server::ServerOptions;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::backend::{Backend, options, with_timeout};

const TABLE: &str = "parlance-Table";
/// The limit of BatchPutItem.
const ITEMS_PER_BATCH: usize = 25;
/// How often a test looks for an item that appears without a signal.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

impl Backend {
    /// Keeps its state in a folder that outlives the server. The events that a server before it has left are
    /// lost.
    pub async fn persistent(folder: &TempDir) -> Self {
        drop(std::fs::remove_dir_all(folder.path().join("events")));
        let options = ServerOptions { ephemeral: false, ..options(folder, BTreeMap::new()) };
        Self::start_with(options, tempfile::tempdir().unwrap()).await
    }

    /// Like `persistent`, and the events that a server before it has left are delivered. A second of the
    /// event queue is `time_scale` seconds long.
    pub async fn resuming(folder: &TempDir, time_scale: f64) -> Self {
        let options = ServerOptions { ephemeral: false, time_scale, ..options(folder, BTreeMap::new()) };
        Self::start_with(options, tempfile::tempdir().unwrap()).await
    }

    /// Like `persistent`, and no handler process ever starts.
    pub async fn persistent_without_handler(folder: &TempDir) -> Self {
        let options = ServerOptions { ephemeral: false, ..options(folder, BTreeMap::new()) };
        let options = ServerOptions { executable: "/nonexistent".into(), ..options };
        Self::start_with(options, tempfile::tempdir().unwrap()).await
    }

    pub async fn count_items(&self, partition: &str) -> usize {
        self.partition_items(partition).await.len()
    }

    pub async fn count_all_items(&self) -> usize {
        self.run(&json!({ "operation": "Scan" })).await["items"].as_array().map_or(0, Vec::len)
    }

    /// Every item in a conversation's partition.
    pub async fn conversation_items(&self, conversation_id: &str) -> Vec<Value> {
        self.partition_items(&format!("CONVERSATION#{conversation_id}")).await
    }

    /// Waits until the handler has purged a conversation, so that only its tombstone is left.
    pub async fn wait_for_purge(&self, conversation_id: &str) {
        let partition = format!("CONVERSATION#{conversation_id}");
        with_timeout(async {
            loop {
                if let [item] = self.first_items(&partition, 2).await.as_slice()
                    && item["expiresAt"].is_number()
                {
                    return;
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        })
        .await;
    }

    /// Waits until a query finds an item, and returns the first one.
    pub async fn wait_for_item(&self, query: &Value) -> Value {
        with_timeout(async {
            loop {
                if let Some(item) = self.run(query).await["items"].get(0) {
                    return item.clone();
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        })
        .await
    }

    /// Gives a conversation this many events, by the user and the agent in turn. The text of each ends
    /// with its position.
    pub async fn seed_events(&self, conversation_id: &str, count: u32, text: &str) {
        self.seed_events_at(conversation_id, 1..=count, text).await;
    }

    /// Puts events at these positions, the last of which becomes the conversation's newest.
    pub async fn seed_events_at(&self, conversation_id: &str, positions: RangeInclusive<u32>, text: &str) {
        let count = *positions.end();
        let events: Vec<Value> = positions.map(|position| event_item(conversation_id, position, text)).collect();
        for batch in events.chunks(ITEMS_PER_BATCH) {
            self.run(&json!({ "operation": "BatchPutItem", "tables": { TABLE: batch } })).await;
        }
        self.run(&json!({
            "operation": "UpdateItem",
            "key": { "pk": { "S": format!("CONVERSATION#{conversation_id}") }, "sk": { "S": "META" } },
            "update": { "expression": "SET eventCount = :count", "expressionValues": { ":count": { "N": count } } },
        }))
        .await;
    }

    /// Puts events by the agent, each with this many content blocks of one character.
    pub async fn seed_events_of_blocks(&self, conversation_id: &str, count: u32, blocks: usize) {
        self.seed_events(conversation_id, count, "").await;
        let content: Vec<Value> = (0..blocks).map(|_| json!({ "M": { "text": { "S": "a" } } })).collect();
        for position in 1..=count {
            self.run(&json!({
                "operation": "UpdateItem",
                "key": event_key(conversation_id, position),
                "update": {
                    "expression": "SET content = :content, #text = :text",
                    "expressionNames": { "#text": "text" },
                    "expressionValues": { ":content": { "L": content }, ":text": { "S": "a".repeat(blocks) } },
                },
            }))
            .await;
        }
    }

    /// Ends a queued turn with this many events of its answer.
    pub async fn seed_answer(&self, turn: &Turn, events: u32) {
        let conversation_id = &turn.conversation_id;
        let last_position = 1 + events;
        for position in 2..=last_position {
            let key = event_key(conversation_id, position);
            self.run(&json!({
                "operation": "PutItem",
                "key": key,
                "attributeValues": {
                    "id": { "S": format!("e{position}") },
                    "conversationId": { "S": conversation_id },
                    "turnId": { "S": turn.id },
                    "position": { "N": position },
                    "attempt": { "N": 1 },
                    "createdAt": { "S": "2026-01-01T00:00:00.000Z" },
                    "sender": { "M": { "kind": { "S": "AGENT" } } },
                    "content": { "L": [{ "M": { "text": { "S": "Replaced." } } }] },
                },
            }))
            .await;
        }
        self.run(&json!({
            "operation": "UpdateItem",
            "key": turn_key(conversation_id, &turn.id),
            "update": {
                "expression": "SET #status = :completed, attempt = :one, announced = :true, lastPosition = :last",
                "expressionNames": { "#status": "status" },
                "expressionValues": {
                    ":completed": { "S": "COMPLETED" }, ":one": { "N": 1 }, ":true": { "BOOL": true },
                    ":last": { "N": last_position },
                },
            },
        }))
        .await;
        self.run(&json!({
            "operation": "UpdateItem",
            "key": { "pk": { "S": format!("CONVERSATION#{conversation_id}") }, "sk": { "S": "META" } },
            "update": {
                "expression": "SET eventCount = :count REMOVE activeTurnId",
                "expressionValues": { ":count": { "N": last_position } },
            },
        }))
        .await;
    }

    /// Leaves a queued turn as an attempt does that has published these batches and died.
    pub async fn simulate_dead_attempt(&self, turn: &Turn, batches: &[&str], claimable_until: Timestamp) {
        let batches: Vec<_> = batches.iter().map(|text| (0, (*text).to_owned())).collect();
        self.simulate_dead_attempt_in_blocks(turn, &batches, claimable_until).await;
    }

    /// Like `simulate_dead_attempt`, with the content block of each batch.
    pub async fn simulate_dead_attempt_in_blocks(
        &self,
        turn: &Turn,
        batches: &[(u32, String)],
        claimable_until: Timestamp,
    ) {
        for (sequence, (block, text)) in (1..).zip(batches) {
            let partition = format!("TURN#{}#{}", turn.conversation_id, turn.id);
            self.run(&json!({
                "operation": "PutItem",
                "key": { "pk": { "S": partition }, "sk": { "S": format!("000001#{sequence:06}") } },
                "attributeValues": {
                    "attempt": { "N": 1 },
                    "sequence": { "N": sequence },
                    "status": { "S": "RUNNING" },
                    "contentBlockIndex": { "N": block },
                    "text": { "S": text },
                },
            }))
            .await;
        }
        self.run(&json!({
            "operation": "UpdateItem",
            "key": turn_key(&turn.conversation_id, &turn.id),
            "update": {
                "expression": "SET #status = :running, attempt = :one, leaseUntil = :one, claimableUntil = :until",
                "expressionNames": { "#status": "status" },
                "expressionValues": {
                    ":running": { "S": "RUNNING" },
                    ":one": { "N": 1 },
                    ":until": { "N": claimable_until.as_millisecond() },
                },
            },
        }))
        .await;
    }

    /// Ends the lease of a turn's attempt.
    pub async fn expire_lease(&self, turn: &Turn) {
        self.run(&json!({
            "operation": "UpdateItem",
            "key": turn_key(&turn.conversation_id, &turn.id),
            "update": { "expression": "SET leaseUntil = :past", "expressionValues": { ":past": { "N": 1 } } },
        }))
        .await;
    }

    /// Moves the last start of a turn into the past.
    pub async fn age_start(&self, turn: &Turn, seconds: i64) {
        let started_at = Timestamp::now().as_millisecond() - seconds * 1000;
        self.run(&json!({
            "operation": "UpdateItem",
            "key": turn_key(&turn.conversation_id, &turn.id),
            "update": {
                "expression": "SET startedAt = :startedAt",
                "expressionValues": { ":startedAt": { "N": started_at } },
            },
        }))
        .await;
    }

    /// Gives a turn an event, `<turn id>-1-1`, that cites a page of the web, and this many events after it.
    pub async fn seed_cited_answer(&self, conversation_id: &str, turn_id: &str, later_events: u32, text: &str) {
        let text_value = |text: &str| json!({ "S": text });
        let citation = json!({ "M": {
            "number": { "N": 1 },
            "title": text_value("Leave"),
            "source": text_value("https://example.com/leave"),
            "url": text_value("https://example.com/leave"),
            "passage": text_value("Employees get 25 days of leave."),
            "start": { "N": 0 },
            "end": { "N": 3 },
        } });
        let last_position = 2 + later_events;
        for position in 2..=last_position {
            let mut event = event_item(conversation_id, position, text);
            event["id"] = text_value(&format!("{turn_id}-1-{}", position - 1));
            event["turnId"] = text_value(turn_id);
            event["sender"] = json!({ "M": { "kind": text_value("AGENT") } });
            if position == 2 {
                let block = json!({ "M": { "text": text_value("So."), "citations": { "L": [citation.clone()] } } });
                event["content"] = json!({ "L": [block] });
            }
            self.run(&json!({ "operation": "BatchPutItem", "tables": { TABLE: [event] } })).await;
        }
        self.run(&json!({
            "operation": "UpdateItem",
            "key": turn_key(conversation_id, turn_id),
            "update": {
                "expression": "SET lastPosition = :last",
                "expressionValues": { ":last": { "N": last_position } },
            },
        }))
        .await;
    }

    /// Leaves a queued turn as an attempt does that has just claimed it.
    pub async fn claim_turn(&self, conversation_id: &str, turn_id: &str) {
        let lease_until = Timestamp::now().as_millisecond() + 60_000;
        self.run(&json!({
            "operation": "UpdateItem",
            "key": turn_key(conversation_id, turn_id),
            "update": {
                "expression": "SET #status = :running, attempt = :one, leaseUntil = :lease",
                "expressionNames": { "#status": "status" },
                "expressionValues": {
                    ":running": { "S": "RUNNING" },
                    ":one": { "N": 1 },
                    ":lease": { "N": lease_until },
                },
            },
        }))
        .await;
    }

    /// Leaves a queued turn as an attempt does that has run a tool and whose tool call `call` waits. `need`
    /// is the call's status. `asked_by` is the user's id, or `None` for the API key.
    pub async fn begin_wait(&self, conversation_id: &str, turn_id: &str, need: &str, asked_by: Option<&str>) {
        let pending_until = Timestamp::now().as_millisecond() + 60_000;
        let text = |text: &str| json!({ "S": text });
        let call = json!({ "M": { "id": text("call"), "name": text("ship"), "status": text(need) } });
        let tool_use = |id: &str| {
            let members = json!({ "id": text(id), "name": text("ship"), "input": text("{}") });
            json!({ "M": { "toolUse": { "M": members } } })
        };
        let result = json!({ "toolUseId": text("run"), "status": text("SUCCEEDED"), "json": text("{}") });
        let contents = [
            ("AGENT", json!([tool_use("run"), tool_use("call")])),
            ("TOOL", json!([{ "M": { "toolResult": { "M": result } } }])),
        ];
        for (position, (sender, content)) in (2..).zip(contents) {
            let mut event = event_item(conversation_id, position, "");
            event["turnId"] = text(turn_id);
            event["sender"] = json!({ "M": { "kind": text(sender) } });
            event["content"] = json!({ "L": content });
            self.run(&json!({ "operation": "BatchPutItem", "tables": { TABLE: [event] } })).await;
        }
        self.run(&json!({
            "operation": "PutItem",
            "key": { "pk": text(&format!("TURN#{conversation_id}#{turn_id}")), "sk": text("000001#000001") },
            "attributeValues": {
                "attempt": { "N": 1 }, "sequence": { "N": 1 }, "status": text("RUNNING"), "toolCall": call.clone(),
                "expiresAt": { "N": pending_until / 1000 },
            },
        }))
        .await;
        self.run(&json!({
            "operation": "UpdateItem",
            "key": turn_key(conversation_id, turn_id),
            "update": {
                "expression": "SET #status = :waiting, attempt = :one, lastSequence = :one, pending = :pending, \
                    pendingUntil = :until, pendingPosition = :two, lastPosition = :three, runPosition = :three, agentId = :agent, agentVersion = :zero, \
                    askedBy = :user",
                "expressionNames": { "#status": "status" },
                "expressionValues": {
                    ":waiting": text("WAITING"),
                    ":one": { "N": 1 },
                    ":two": { "N": 2 },
                    ":three": { "N": 3 },
                    ":zero": { "N": 0 },
                    ":pending": { "L": [call] },
                    ":until": { "N": pending_until },
                    ":agent": text("default"),
                    ":user": asked_by.map_or(json!({ "NULL": true }), text),
                },
            },
        }))
        .await;
    }

    /// Stores an agent that has a tool of each kind, as putAgent does.
    pub async fn put_agent_with_tools(&self, id: &str) {
        let tool = |name: &str, kind: &str, target: Value| {
            let text = |text: &str| json!({ "S": text });
            json!({ "M": {
                "name": text(name), "description": text("A tool."), "inputSchema": text("{\"type\":\"object\"}"),
                "effect": text("READ"), "approval": text("NEVER"), kind: { "M": target },
            } })
        };
        let tools = [
            tool(
                "find",
                "lambda",
                json!({ "functionArn": { "S": "arn:aws:lambda:us-east-1:000000000000:function:a" } }),
            ),
            tool("list", "graphql", json!({ "document": { "S": "{ getCaller { id } }" } })),
            tool("look", "mcp", json!({ "url": { "S": "https://mcp.example/" }, "toolName": { "S": "look" } })),
        ];
        self.run(&json!({
            "operation": "PutItem",
            "key": { "pk": { "S": format!("AGENT#{id}") }, "sk": { "S": "META" } },
            "attributeValues": {
                "id": { "S": id }, "version": { "N": 1 }, "modelId": { "S": "parlance.echo" },
                "contextBytes": { "N": 400_000 }, "tools": { "L": tools },
            },
        }))
        .await;
    }

    pub async fn partition_items(&self, partition: &str) -> Vec<Value> {
        self.first_items(partition, 10_000).await
    }

    async fn first_items(&self, partition: &str, limit: u32) -> Vec<Value> {
        let request = json!({
            "operation": "Query",
            "query": { "expression": "pk = :pk", "expressionValues": { ":pk": { "S": partition } } },
            "limit": limit,
            "consistentRead": true,
        });
        self.run(&request).await["items"].as_array().cloned().unwrap_or_default()
    }

    async fn run(&self, request: &Value) -> Value {
        let outcome = self.server.database.run(TABLE, request).await;
        assert_eq!(outcome.error, None, "{request}");
        outcome.result
    }
}

/// The event of a user at odd positions, of the agent at even ones.
fn event_item(conversation_id: &str, position: u32, text: &str) -> Value {
    let turn = format!("t{}", position.div_ceil(2));
    let sender = if position % 2 == 1 { "USER" } else { "AGENT" };
    json!({
        "pk": { "S": format!("CONVERSATION#{conversation_id}") },
        "sk": { "S": format!("EVENT#{position:08}") },
        "id": { "S": format!("e{position}") },
        "conversationId": { "S": conversation_id },
        "turnId": { "S": turn },
        "position": { "N": position },
        "attempt": { "N": 1 },
        "createdAt": { "S": "2026-01-01T00:00:00.000Z" },
        "sender": { "M": { "kind": { "S": sender } } },
        "content": { "L": [{ "M": { "text": { "S": format!("{text} {position}") } } }] },
    })
}

fn event_key(conversation_id: &str, position: u32) -> Value {
    json!({
        "pk": { "S": format!("CONVERSATION#{conversation_id}") },
        "sk": { "S": format!("EVENT#{position:08}") },
    })
}

fn turn_key(conversation_id: &str, turn_id: &str) -> Value {
    json!({
        "pk": { "S": format!("CONVERSATION#{conversation_id}") },
        "sk": { "S": format!("TURN#{turn_id}") },
    })
}
