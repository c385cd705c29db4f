//! What a call does to the table, and so what can befall it.
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

use super::database_error::Failure;
use crate::fault_injection::{Fault, FaultInjector};

pub trait Call {
    /// The table of each write, and the item or its key.
    fn writes(&self) -> Vec<(&str, &Item)> {
        Vec::new()
    }

    /// Whether a replica that lags behind may answer it.
    fn is_eventual(&self) -> bool {
        false
    }

    /// How many items a transaction holds.
    fn transacted(&self) -> Option<usize> {
        None
    }
}

/// What befalls the call before it is carried out.
pub fn trouble(call: &impl Call, faults: &FaultInjector) -> Option<Failure> {
    let can_conflict = call.transacted().is_some() || !call.writes().is_empty();
    if let Some(mut rng) = can_conflict.then(|| faults.sample(Fault::TableConflict)).flatten() {
        return Some(match call.transacted() {
            Some(items) => Failure::conflict_in(items, rng.usize(..items)),
            None => Failure::Conflict,
        });
    }
    let mut rng = faults.sample(Fault::TableThrottled)?;
    Some(match call.transacted() {
        Some(items) => Failure::throttled_in(items, rng.usize(..items)),
        None if rng.bool() => Failure::Throttled,
        None => Failure::provisioned_throughput_exceeded(),
    })
}

impl Call for GetItemRequest {
    fn is_eventual(&self) -> bool {
        self.consistent_read != Some(true)
    }
}

impl Call for QueryRequest {
    fn is_eventual(&self) -> bool {
        self.consistent_read != Some(true)
    }
}

impl Call for ScanRequest {
    fn is_eventual(&self) -> bool {
        self.consistent_read != Some(true)
    }
}

impl Call for TransactGetItemsRequest {
    fn transacted(&self) -> Option<usize> {
        Some(self.transact_items.len())
    }
}

impl Call for PutItemRequest {
    fn writes(&self) -> Vec<(&str, &Item)> {
        vec![(&self.table_name, &self.item)]
    }
}

impl Call for UpdateItemRequest {
    fn writes(&self) -> Vec<(&str, &Item)> {
        vec![(&self.table_name, &self.key)]
    }
}

impl Call for DeleteItemRequest {
    fn writes(&self) -> Vec<(&str, &Item)> {
        vec![(&self.table_name, &self.key)]
    }
}

impl Call for BatchWriteItemRequest {
    fn writes(&self) -> Vec<(&str, &Item)> {
        let entries =
            self.request_items.iter().flat_map(|(table, entries)| entries.iter().map(move |entry| (table, entry)));
        entries
            .flat_map(|(table, entry)| {
                let (put, delete) = (entry.put_request.as_ref(), entry.delete_request.as_ref());
                put.map(|put| &put.item)
                    .into_iter()
                    .chain(delete.map(|delete| &delete.key))
                    .map(|item| (table.as_str(), item))
            })
            .collect()
    }
}

impl Call for TransactWriteItemsRequest {
    fn writes(&self) -> Vec<(&str, &Item)> {
        self.transact_items.iter().filter_map(written).collect()
    }

    fn transacted(&self) -> Option<usize> {
        Some(self.transact_items.len())
    }
}

fn written(entry: &TransactWriteItem) -> Option<(&str, &Item)> {
    let put = entry.put.as_ref().map(|put| (put.table_name.as_str(), &put.item));
    let update = entry.update.as_ref().map(|update| (update.table_name.as_str(), &update.key));
    let delete = entry.delete.as_ref().map(|delete| (delete.table_name.as_str(), &delete.key));
    put.or(update).or(delete)
}
