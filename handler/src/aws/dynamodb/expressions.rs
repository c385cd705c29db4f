//! Updates and conditions as DynamoDB spells them. Each attribute is named by a placeholder of its own name.
use std::collections::HashMap;

use api::types::TurnStatus;
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update};
use turn::claim::{Claim, StoredTurn};

use super::items::{Item, number, spelled, text};

/// Nobody answers the run, and it may still be begun.
const CLAIMABLE: &str = "#run = :run AND #status IN (:queued, :running) \
    AND (attribute_not_exists(#leaseUntil) OR #leaseUntil <= :now) AND #claimableUntil > :now";
/// The attempt owns the turn, which nobody may see as ended.
const FENCE: &str = "#run = :run AND #attempt = :attempt \
    AND ((#leaseUntil > :now AND #status IN (:running, :cancelling)) OR (#claimableUntil > :now AND #status = :running))";
const UNCLAIMED_AS_READ: &str =
    "#run = :run AND #attempt = :attempt AND #status = :seen AND attribute_not_exists(#leaseUntil)";
const CLAIMED_AS_READ: &str = "#run = :run AND #attempt = :attempt AND #status = :seen AND #leaseUntil = :lease";
const BUSY: &str = "#eventCount = :events AND #activeTurnId = :turn AND attribute_not_exists(#deletedAt)";
const OF_TURN: &str = "#turnId = :turn";
const ABSENT: &str = "attribute_not_exists(#pk)";

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

/// `now`: milliseconds since 1970.
pub fn claimable(run: u32, now: u64) -> Condition {
    let values = [
        (":run", number(run)),
        (":now", number(now)),
        (":queued", text(spelled(TurnStatus::Queued))),
        (":running", text(spelled(TurnStatus::Running))),
    ];
    Condition::new(CLAIMABLE, values)
}

/// What everything holds to that an attempt writes. `now`: milliseconds since 1970.
pub fn fence(claim: &Claim, now: u64) -> Condition {
    let values = [
        (":run", number(claim.run)),
        (":attempt", number(claim.attempt)),
        (":now", number(now)),
        (":running", text(spelled(TurnStatus::Running))),
        (":cancelling", text(spelled(TurnStatus::Cancelling))),
    ];
    Condition::new(FENCE, values)
}

/// Nobody has touched the turn since it was read.
pub fn as_read(turn: &StoredTurn) -> Condition {
    let values =
        [(":run", number(turn.run)), (":attempt", number(turn.attempt)), (":seen", text(spelled(turn.status)))];
    match turn.lease_until {
        None => Condition::new(UNCLAIMED_AS_READ, values),
        Some(lease) => {
            let [run, attempt, seen] = values;
            Condition::new(CLAIMED_AS_READ, [run, attempt, seen, (":lease", number(lease))])
        }
    }
}

/// The conversation waits for the turn, and has just so many events.
pub fn busy(turn_id: &str, events: u32) -> Condition {
    Condition::new(BUSY, [(":turn", text(turn_id)), (":events", number(events))])
}

/// An event is still there.
pub fn of_turn(turn_id: &str) -> Condition {
    Condition::new(OF_TURN, [(":turn", text(turn_id))])
}

/// An update of one item, if its condition holds.
#[derive(Debug)]
pub struct Change {
    pub key: Item,
    sets: Vec<String>,
    clauses: Vec<&'static str>,
    condition: &'static str,
    pub values: Item,
}

impl Change {
    pub fn new(key: Item, Condition { expression, values }: Condition) -> Self {
        Self { key, sets: Vec::new(), clauses: Vec::new(), condition: expression, values }
    }

    pub fn set(mut self, attribute: &str, value: AttributeValue) -> Self {
        self.sets.push(format!("#{attribute} = :new_{attribute}"));
        self.values.insert(format!(":new_{attribute}"), value);
        self
    }

    /// Beside what is set.
    pub fn also(mut self, clause: &'static str) -> Self {
        self.clauses.push(clause);
        self
    }

    /// A value that a clause names.
    pub fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    pub fn condition(&self) -> &'static str {
        self.condition
    }

    pub fn expression(&self) -> String {
        format!("SET {} {}", self.sets.join(", "), self.clauses.join(" ")).trim_end().to_owned()
    }

    pub fn names(&self) -> HashMap<String, String> {
        names(&format!("{} {}", self.condition, self.expression()))
    }

    pub fn transacted(self, table: &str) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(table)
            .update_expression(self.expression())
            .condition_expression(self.condition)
            .set_expression_attribute_names(Some(self.names()))
            .set_key(Some(self.key))
            .set_expression_attribute_values(Some(self.values))
            .build()
            .expect("table, key and expression are set");
        TransactWriteItem::builder().update(update).build()
    }
}

/// A new item; where there is one already, the refusal carries it.
pub fn addition(table: &str, item: Item) -> TransactWriteItem {
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(item))
        .condition_expression(ABSENT)
        .set_expression_attribute_names(Some(names(ABSENT)))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build()
        .expect("table and item are set");
    TransactWriteItem::builder().put(put).build()
}

fn names(expression: &str) -> HashMap<String, String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '#');
    let attributes = words.filter_map(|word| word.strip_prefix('#'));
    attributes.map(|attribute| (format!("#{attribute}"), attribute.to_owned())).collect()
}
