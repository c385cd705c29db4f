//! What lies in the table, past the API.
use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use client::schema::Turn;
use jiff::Timestamp;
use local::server::{Server, ServerOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::backend::{Backend, options, patiently};

impl Backend {
    /// Kept on disk, in a folder that outlives it.
    pub async fn kept_in(folder: &TempDir) -> Self {
        let options = ServerOptions { ephemeral: false, ..options(folder, BTreeMap::new()) };
        Self::of(Server::start(options).await.unwrap(), tempfile::tempdir().unwrap())
    }

    /// Kept on disk, and no environment ever starts.
    pub async fn without_handler_in(folder: &TempDir) -> Self {
        let options = ServerOptions { ephemeral: false, ..options(folder, BTreeMap::new()) };
        let options = ServerOptions { executable: "/nonexistent".into(), ..options };
        Self::of(Server::start(options).await.unwrap(), tempfile::tempdir().unwrap())
    }

    pub async fn count_items(&self, partition: &str) -> usize {
        self.items_under(partition).await.len()
    }

    pub async fn count_all_items(&self) -> usize {
        self.table(&json!({ "operation": "Scan" })).await["items"].as_array().map_or(0, Vec::len)
    }

    /// Waits until nothing but the tombstone is left of a conversation: nothing tells when the handler has purged it.
    pub async fn purged(&self, conversation_id: &str) {
        let partition = format!("CONVERSATION#{conversation_id}");
        patiently(async {
            loop {
                if let [meta] = self.items_under(&partition).await.as_slice()
                    && meta["expiresAt"].is_number()
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }

    /// Waits for the first item that a query finds.
    pub async fn found(&self, query: &Value) -> Value {
        patiently(async {
            loop {
                if let Some(item) = self.table(query).await["items"].get(0) {
                    return item.clone();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
    }

    /// Makes a conversation one of so many events, user and agent by turns, each of them saying `text` and its position.
    pub async fn seed_events(&self, conversation_id: &str, count: u32, text: &str) {
        self.seed_events_at(conversation_id, 1..=count, text).await;
    }

    /// Puts events at these positions, the last of which is the conversation's newest.
    pub async fn seed_events_at(&self, conversation_id: &str, positions: RangeInclusive<u32>, text: &str) {
        let partition = json!({ "S": format!("CONVERSATION#{conversation_id}") });
        let count = *positions.end();
        for position in positions {
            let (turn, kind) = (format!("t{}", position.div_ceil(2)), if position % 2 == 1 { "USER" } else { "AGENT" });
            let said = format!("{text} {position}");
            self.table(&json!({
                "operation": "PutItem",
                "key": { "pk": partition, "sk": { "S": format!("EVENT#{position:08}") } },
                "attributeValues": {
                    "id": { "S": format!("e{position}") }, "conversationId": { "S": conversation_id }, "turnId": { "S": turn },
                    "position": { "N": position }, "attempt": { "N": 1 }, "createdAt": { "S": "2026-01-01T00:00:00.000Z" },
                    "sender": { "M": { "kind": { "S": kind } } },
                    "content": { "L": [{ "M": { "text": { "S": said } } }] },
                },
            }))
            .await;
        }
        self.table(&json!({
            "operation": "UpdateItem",
            "key": { "pk": partition, "sk": { "S": "META" } },
            "update": { "expression": "SET eventCount = :count", "expressionValues": { ":count": { "N": count } } },
        }))
        .await;
    }

    /// Leaves a queued turn as an attempt does that has published these batches and died.
    pub async fn let_die(&self, turn: &Turn, batches: &[&str], claimable_until: Timestamp) {
        for (sequence, text) in (1..).zip(batches) {
            let pk = format!("TURN#{}#{}", turn.conversation_id, turn.id);
            self.table(&json!({
                "operation": "PutItem",
                "key": { "pk": { "S": pk }, "sk": { "S": format!("000001#{sequence:06}") } },
                "attributeValues": {
                    "attempt": { "N": 1 }, "sequence": { "N": sequence }, "status": { "S": "RUNNING" },
                    "contentBlockIndex": { "N": 0 }, "text": { "S": text },
                },
            }))
            .await;
        }
        self.table(&json!({
            "operation": "UpdateItem",
            "key": {
                "pk": { "S": format!("CONVERSATION#{}", turn.conversation_id) },
                "sk": { "S": format!("TURN#{}", turn.id) },
            },
            "update": {
                "expression": "SET #status = :running, attempt = :one, leaseUntil = :one, claimableUntil = :until",
                "expressionNames": { "#status": "status" },
                "expressionValues": {
                    ":running": { "S": "RUNNING" }, ":one": { "N": 1 }, ":until": { "N": claimable_until.as_millisecond() },
                },
            },
        }))
        .await;
    }

    /// Leaves a queued turn as an attempt does that has just claimed it.
    pub async fn claim(&self, conversation_id: &str, turn_id: &str) {
        let lease = Timestamp::now().as_millisecond() + 60_000;
        self.table(&json!({
            "operation": "UpdateItem",
            "key": { "pk": { "S": format!("CONVERSATION#{conversation_id}") }, "sk": { "S": format!("TURN#{turn_id}") } },
            "update": {
                "expression": "SET #status = :running, attempt = :one, leaseUntil = :lease",
                "expressionNames": { "#status": "status" },
                "expressionValues": { ":running": { "S": "RUNNING" }, ":one": { "N": 1 }, ":lease": { "N": lease } },
            },
        }))
        .await;
    }

    /// Everything the table has of a conversation, as it is.
    pub async fn items_of(&self, conversation_id: &str) -> Vec<Value> {
        self.items_under(&format!("CONVERSATION#{conversation_id}")).await
    }

    async fn items_under(&self, partition: &str) -> Vec<Value> {
        let request = json!({
            "operation": "Query",
            "query": { "expression": "pk = :pk", "expressionValues": { ":pk": { "S": partition } } },
            "consistentRead": true,
        });
        self.table(&request).await["items"].as_array().cloned().unwrap_or_default()
    }

    async fn table(&self, request: &Value) -> Value {
        let answer = self.server.database.run("parlance-Table", request).await;
        assert_eq!(answer.error, None, "{request}");
        answer.result
    }
}
