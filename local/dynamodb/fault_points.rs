//! Fault injection into DynamoDB calls, and the properties of calls that decide which faults are possible.
use dynoxide::{
    Item,
    actions::{
        batch_write_item::BatchWriteItemRequest,
        delete_item::DeleteItemRequest,
        get_item::GetItemRequest,
        put_item::PutItemRequest,
        query::QueryRequest,
        scan::ScanRequest,
        transact_get_items::TransactGetItemsRequest,
        transact_write_items::{TransactWriteItem, TransactWriteItemsRequest},
        update_item::UpdateItemRequest,
    },
};

use super::database_error::DatabaseError;
use crate::fault_injection::{Fault, FaultInjector};

/// A call with the properties that fault injection needs.
pub trait FaultyCall {
    /// The table of each write, and the item or its key.
    fn writes(&self) -> Vec<(&str, &Item)> {
        Vec::new()
    }

    /// Whether a stale replica may answer the call.
    fn is_eventually_consistent(&self) -> bool {
        false
    }

    /// The number of items of a transaction; `None` for other calls.
    fn transaction_items(&self) -> Option<usize> {
        None
    }
}

/// The error to return instead of running the call, if a fault occurs.
pub fn injected_error(call: &impl FaultyCall, faults: &FaultInjector) -> Option<DatabaseError> {
    let can_conflict = call.transaction_items().is_some() || !call.writes().is_empty();
    if can_conflict && let Some(mut rng) = faults.sample(Fault::TableConflict) {
        return Some(match call.transaction_items() {
            Some(count) => DatabaseError::transaction_conflict(count, rng.usize(..count)),
            None => DatabaseError::Conflict,
        });
    }
    let mut rng = faults.sample(Fault::TableThrottled)?;
    Some(match call.transaction_items() {
        Some(count) => DatabaseError::transaction_throttled(count, rng.usize(..count)),
        None if rng.bool() => DatabaseError::Throttled,
        None => DatabaseError::provisioned_throughput_exceeded(),
    })
}

impl FaultyCall for GetItemRequest {
    fn is_eventually_consistent(&self) -> bool {
        self.consistent_read != Some(true)
    }
}

impl FaultyCall for QueryRequest {
    fn is_eventually_consistent(&self) -> bool {
        self.consistent_read != Some(true)
    }
}

impl FaultyCall for ScanRequest {
    fn is_eventually_consistent(&self) -> bool {
        self.consistent_read != Some(true)
    }
}

impl FaultyCall for TransactGetItemsRequest {
    fn transaction_items(&self) -> Option<usize> {
        Some(self.transact_items.len())
    }
}

impl FaultyCall for PutItemRequest {
    fn writes(&self) -> Vec<(&str, &Item)> {
        vec![(&self.table_name, &self.item)]
    }
}

impl FaultyCall for UpdateItemRequest {
    fn writes(&self) -> Vec<(&str, &Item)> {
        vec![(&self.table_name, &self.key)]
    }
}

impl FaultyCall for DeleteItemRequest {
    fn writes(&self) -> Vec<(&str, &Item)> {
        vec![(&self.table_name, &self.key)]
    }
}

impl FaultyCall for BatchWriteItemRequest {
    fn writes(&self) -> Vec<(&str, &Item)> {
        let mut writes = Vec::new();
        for (table, entries) in &self.request_items {
            for entry in entries {
                writes.extend(entry.put_request.iter().map(|put| (table.as_str(), &put.item)));
                writes.extend(entry.delete_request.iter().map(|delete| (table.as_str(), &delete.key)));
            }
        }
        writes
    }
}

impl FaultyCall for TransactWriteItemsRequest {
    fn writes(&self) -> Vec<(&str, &Item)> {
        self.transact_items.iter().filter_map(written_item).collect()
    }

    fn transaction_items(&self) -> Option<usize> {
        Some(self.transact_items.len())
    }
}

fn written_item(entry: &TransactWriteItem) -> Option<(&str, &Item)> {
    let put = entry.put.as_ref().map(|put| (put.table_name.as_str(), &put.item));
    let update = entry.update.as_ref().map(|update| (update.table_name.as_str(), &update.key));
    let delete = entry.delete.as_ref().map(|delete| (delete.table_name.as_str(), &delete.key));
    put.or(update).or(delete)
}
