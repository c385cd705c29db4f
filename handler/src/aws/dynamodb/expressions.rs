//! Update and condition expressions. The placeholder of each attribute name is the name itself.
use std::{collections::HashMap, time::Duration};

use api::types::TurnStatus;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use turn::claim::{Claim, StoredTurn};

use super::attributes::{Item, attribute, number, string};

/// How long an attempt owns a turn after its claim or its last accepted write. The same as LEASE_MILLISECONDS
/// in resolvers/shared.js.
pub const LEASE: Duration = Duration::from_secs(30);

/// No attempt owns the run, and the time to claim it is not over.
const CLAIMABLE: &str = "#run = :run AND #status IN (:queued, :running) \
    AND (attribute_not_exists(#leaseUntil) OR #leaseUntil <= :now) AND #claimableUntil > :now";
/// The fence: the attempt is the turn's last one, and no reader has seen the turn as ended.
const FENCE: &str = "#run = :run AND #attempt = :attempt \
    AND ((#leaseUntil > :now AND #status IN (:running, :cancelling)) OR (#claimableUntil > :now AND #status = :running))";
/// The fence without turns that are being cancelled.
const RUNNING: &str =
    "#run = :run AND #attempt = :attempt AND #status = :running AND (#leaseUntil > :now OR #claimableUntil > :now)";
const UNCHANGED_WITHOUT_LEASE: &str =
    "#run = :run AND #attempt = :attempt AND #status = :status AND attribute_not_exists(#leaseUntil)";
const UNCHANGED_WITH_LEASE: &str =
    "#run = :run AND #attempt = :attempt AND #status = :status AND #leaseUntil = :leaseUntil";
const CONVERSATION_AWAITS_TURN: &str =
    "#eventCount = :eventCount AND #activeTurnId = :turnId AND attribute_not_exists(#deletedAt)";
const EVENT_OF_TURN: &str = "#turnId = :turnId";
const EXISTS: &str = "attribute_exists(#pk)";
const ABSENT: &str = "attribute_not_exists(#pk)";

/// A condition expression with the values of its placeholders.
#[derive(Clone, Debug)]
pub struct Condition {
    expression: &'static str,
    values: Item,
}

impl Condition {
    fn new<const N: usize>(expression: &'static str, values: [(&str, AttributeValue); N]) -> Self {
        Self { expression, values: values.map(|(name, value)| (name.to_owned(), value)).into() }
    }
}

/// The condition of a claim. `now` is in milliseconds since 1970.
pub fn claimable(run: u32, now: u64) -> Condition {
    Condition::new(
        CLAIMABLE,
        [
            (":run", number(run)),
            (":now", number(now)),
            (":queued", attribute(TurnStatus::Queued)),
            (":running", attribute(TurnStatus::Running)),
        ],
    )
}

/// The condition of everything that an attempt writes. `now` is in milliseconds since 1970.
pub fn fence(claim: &Claim, now: u64) -> Condition {
    Condition::new(
        FENCE,
        [
            (":run", number(claim.run)),
            (":attempt", number(claim.attempt)),
            (":now", number(now)),
            (":running", attribute(TurnStatus::Running)),
            (":cancelling", attribute(TurnStatus::Cancelling)),
        ],
    )
}

/// The condition under which an attempt starts a tool that changes something: the fence, and nobody has
/// cancelled the turn. `now` is in milliseconds since 1970.
pub fn running(claim: &Claim, now: u64) -> Condition {
    Condition::new(
        RUNNING,
        [
            (":run", number(claim.run)),
            (":attempt", number(claim.attempt)),
            (":now", number(now)),
            (":running", attribute(TurnStatus::Running)),
        ],
    )
}

/// The turn has not changed since it was read.
pub fn unchanged(turn: &StoredTurn) -> Condition {
    let run = (":run", number(turn.run));
    let attempt = (":attempt", number(turn.attempt));
    let status = (":status", attribute(turn.status));
    match turn.lease_until {
        None => Condition::new(UNCHANGED_WITHOUT_LEASE, [run, attempt, status]),
        Some(lease_until) => {
            Condition::new(UNCHANGED_WITH_LEASE, [run, attempt, status, (":leaseUntil", number(lease_until))])
        }
    }
}

/// The turn is the conversation's active one, and the conversation has this many events.
pub fn conversation_awaits(turn_id: &str, event_count: u32) -> Condition {
    Condition::new(CONVERSATION_AWAITS_TURN, [(":turnId", string(turn_id)), (":eventCount", number(event_count))])
}

/// The item exists.
pub fn exists() -> Condition {
    Condition::new(EXISTS, [])
}

/// The event exists and belongs to the turn.
pub fn event_of_turn(turn_id: &str) -> Condition {
    Condition::new(EVENT_OF_TURN, [(":turnId", string(turn_id))])
}

/// A conditional update of one item.
#[derive(Debug)]
pub struct ItemUpdate {
    pub key: Item,
    assignments: Vec<String>,
    clauses: Vec<&'static str>,
    condition: &'static str,
    pub values: Item,
}

impl ItemUpdate {
    pub fn new(key: Item, condition: Condition) -> Self {
        Self {
            key,
            assignments: Vec::new(),
            clauses: Vec::new(),
            condition: condition.expression,
            values: condition.values,
        }
    }

    pub fn set(mut self, name: &str, value: AttributeValue) -> Self {
        self.assignments.push(format!("#{name} = :new_{name}"));
        self.values.insert(format!(":new_{name}"), value);
        self
    }

    pub fn set_if_some(self, name: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// Adds a clause such as `REMOVE #name` or `ADD #name :value`.
    pub fn clause(mut self, clause: &'static str) -> Self {
        self.clauses.push(clause);
        self
    }

    /// Sets the value of a placeholder in a clause.
    pub fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }

    pub fn condition_expression(&self) -> &'static str {
        self.condition
    }

    pub fn update_expression(&self) -> String {
        format!("SET {} {}", self.assignments.join(", "), self.clauses.join(" ")).trim_end().to_owned()
    }

    /// The attribute name of each placeholder in both expressions.
    pub fn names(&self) -> HashMap<String, String> {
        placeholder_names(&format!("{} {}", self.condition, self.update_expression()))
    }

    pub fn into_transact_item(self, table: &str) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(table)
            .update_expression(self.update_expression())
            .condition_expression(self.condition)
            .set_expression_attribute_names(Some(self.names()))
            .set_key(Some(self.key))
            .set_expression_attribute_values(Some(self.values))
            .build()
            .expect("table, key and expression are set");
        TransactWriteItem::builder().update(update).build()
    }
}

/// Puts a new item. If the item exists, the cancellation reason contains it.
pub fn put_if_absent(table: &str, item: Item) -> TransactWriteItem {
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(item))
        .condition_expression(ABSENT)
        .set_expression_attribute_names(Some(placeholder_names(ABSENT)))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build()
        .expect("table and item are set");
    TransactWriteItem::builder().put(put).build()
}

/// Changes nothing: the transaction is cancelled unless the condition holds.
pub fn condition_check(table: &str, key: Item, condition: Condition) -> TransactWriteItem {
    let check = ConditionCheck::builder()
        .table_name(table)
        .set_key(Some(key))
        .condition_expression(condition.expression)
        .set_expression_attribute_names(Some(placeholder_names(condition.expression)))
        .set_expression_attribute_values(Some(condition.values))
        .build()
        .expect("table, key and expression are set");
    TransactWriteItem::builder().condition_check(check).build()
}

fn placeholder_names(expression: &str) -> HashMap<String, String> {
    expression
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '#')
        .filter_map(|word| word.strip_prefix('#'))
        .map(|name| (format!("#{name}"), name.to_owned()))
        .collect()
}
