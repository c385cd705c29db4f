//! Claims of tool calls that change something, so that each of them is run at most once.
use std::time::{Duration, SystemTime};

use api::types::ToolStatus;
use aws_sdk_dynamodb::{operation::transact_write_items::TransactWriteItemsError, types::CancellationReason};
use serde::{Deserialize, Serialize};
use turn::{
    claim::Claim,
    model::ToolOutput,
    tool::{MAX_RESULT_BYTES, ToolOutcome, ToolRun},
};

use super::{
    Table, TableError,
    attributes::{Item, attribute, number},
    error::call_error,
    expressions::{condition_check, put_if_absent, running},
    items::parse,
    keys::{tool_claim_key, turn_key},
};
use crate::clock::epoch_milliseconds;

/// How long a claim is kept: longer than a call may wait for answers (PendingHours, 168 at most), and a day.
pub const CLAIM_RETENTION: Duration = Duration::from_hours(9 * 24);
/// The largest stored output, in bytes. A longer one is cut, and the attempt that loads it leaves out the
/// same rest as the attempt that stored it.
const MAX_OUTPUT_BYTES: usize = MAX_RESULT_BYTES + 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolClaim {
    /// The attempt is to run the tool.
    Claimed,
    /// Another attempt has claimed the call. Its outcome, if it was stored.
    ClaimedBefore(Option<ToolOutcome>),
    /// The attempt no longer owns the turn, or the turn is being cancelled.
    Stale,
}

/// The claim of another attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierClaim {
    /// `None` if it was not stored.
    pub outcome: Option<ToolOutcome>,
}

#[derive(Deserialize)]
struct ClaimItem {
    attempt: u32,
    outcome: Option<OutcomeItem>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OutcomeItem {
    status: ToolStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
}

impl Table {
    /// Tries once. Recognizes the claim of an earlier try whose response was lost.
    pub async fn claim_tool_call(&self, run: &ToolRun, now: SystemTime) -> Result<ToolClaim, TableError> {
        let claim = &run.claim;
        let turn = turn_key(&claim.conversation_id, &claim.turn_id);
        let result = self
            .client
            .transact_write_items()
            .transact_items(condition_check(&self.name, turn, running(claim, epoch_milliseconds(now))))
            .transact_items(put_if_absent(&self.name, claim_item(run, now)))
            .send()
            .await;
        let error = match result {
            Ok(_) => return Ok(ToolClaim::Claimed),
            Err(error) => error,
        };
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() {
            let [turn, stored] = cancelled.cancellation_reasons() else {
                return Err(call_error("TransactWriteItems")(error));
            };
            if is_condition_failure(turn) {
                return Ok(ToolClaim::Stale);
            }
            if let Some(stored) = stored.item().filter(|_| is_condition_failure(stored)) {
                return claim_from_stored(stored.clone(), claim.attempt);
            }
        }
        Err(call_error("TransactWriteItems")(error))
    }

    /// The claim of another attempt; `None` if there is none.
    pub async fn load_earlier_claim(&self, run: &ToolRun) -> Result<Option<EarlierClaim>, TableError> {
        let Claim { conversation_id, turn_id, attempt, .. } = &run.claim;
        let key = tool_claim_key(conversation_id, turn_id, run.position, &run.tool_use.id);
        let Some(item) = self.get_item(key).await? else { return Ok(None) };
        let stored: ClaimItem = parse("claimed tool call", item)?;
        let is_earlier = stored.attempt != *attempt;
        Ok(is_earlier.then(|| EarlierClaim { outcome: stored.outcome.map(ToolOutcome::from) }))
    }

    /// Tries once. Fails if the attempt's claim is gone.
    pub async fn store_tool_outcome(
        &self,
        run: &ToolRun,
        outcome: &ToolOutcome,
        now: SystemTime,
    ) -> Result<(), TableError> {
        self.client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(claim_item(run, now)))
            .item("outcome", attribute(OutcomeItem::from(outcome)))
            .condition_expression("attempt = :attempt")
            .expression_attribute_values(":attempt", number(run.claim.attempt))
            .send()
            .await
            .map_err(call_error("PutItem"))?;
        Ok(())
    }
}

fn claim_item(run: &ToolRun, now: SystemTime) -> Item {
    let Claim { conversation_id, turn_id, attempt, .. } = &run.claim;
    let mut item = tool_claim_key(conversation_id, turn_id, run.position, &run.tool_use.id);
    item.insert("attempt".to_owned(), number(attempt));
    item.insert("expiresAt".to_owned(), number(epoch_milliseconds(now + CLAIM_RETENTION) / 1000));
    item
}

fn claim_from_stored(item: Item, attempt: u32) -> Result<ToolClaim, TableError> {
    let stored: ClaimItem = parse("claimed tool call", item)?;
    if stored.attempt == attempt {
        return Ok(ToolClaim::Claimed);
    }
    Ok(ToolClaim::ClaimedBefore(stored.outcome.map(ToolOutcome::from)))
}

fn is_condition_failure(reason: &CancellationReason) -> bool {
    reason.code() == Some("ConditionalCheckFailed")
}

impl From<&ToolOutcome> for OutcomeItem {
    fn from(outcome: &ToolOutcome) -> Self {
        let cut = |text: &String| text[..text.floor_char_boundary(MAX_OUTPUT_BYTES)].to_owned();
        let (json, text) = match &outcome.output {
            ToolOutput::Json(json) => (Some(cut(json)), None),
            ToolOutput::Text(text) => (None, Some(cut(text))),
        };
        let (started_at, ended_at) = (outcome.started_at.clone(), outcome.ended_at.clone());
        Self { status: outcome.status, json, text, started_at, ended_at }
    }
}

impl From<OutcomeItem> for ToolOutcome {
    fn from(item: OutcomeItem) -> Self {
        let output = match (item.json, item.text) {
            (Some(json), _) => ToolOutput::Json(json),
            (None, text) => ToolOutput::Text(text.unwrap_or_default()),
        };
        Self { status: item.status, output, started_at: item.started_at, ended_at: item.ended_at }
    }
}
