//! The database with metering of consumed capacity, authorization and fault injection.
use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use dynoxide::{
    Database,
    actions::{
        batch_write_item::{BatchWriteItemRequest, BatchWriteItemResponse},
        delete_item::{DeleteItemRequest, DeleteItemResponse},
        get_item::{GetItemRequest, GetItemResponse},
        put_item::{PutItemRequest, PutItemResponse},
        query::{QueryRequest, QueryResponse},
        scan::{ScanRequest, ScanResponse},
        transact_get_items::{TransactGetItemsRequest, TransactGetItemsResponse},
        transact_write_items::{TransactWriteItemsRequest, TransactWriteItemsResponse},
        update_item::{UpdateItemRequest, UpdateItemResponse},
    },
    types::ConsumedCapacity,
};

use super::{
    database_error::DatabaseError,
    fault_points::{self, FaultyCall},
    iam_actions::AuthorizedCall,
    iam_guard::IamGuard,
    stale_replica::StaleReplica,
};
use crate::fault_injection::{Fault, FaultInjector};

/// The calls and the capacity units that they consumed. Failed writes consume nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CapacityTotals {
    pub calls: u64,
    pub read_units: f64,
    pub write_units: f64,
}

#[derive(Clone)]
pub(super) struct MeteredDatabase {
    database: Database,
    totals: Arc<Mutex<CapacityTotals>>,
    faults: FaultInjector,
    /// `Some` if eventually consistent reads may be stale.
    replica: Option<Arc<StaleReplica>>,
    /// `None` if calls are not authorized.
    guard: Option<IamGuard>,
}

type Result<T> = std::result::Result<T, DatabaseError>;

/// Defines a method for each operation: it requests the consumed capacity, adds it to the totals, and removes
/// it from the response unless the caller has requested it.
macro_rules! metered {
    ($($operation:ident($request:ty) -> $response:ty, $units:ident;)*) => {
        $(pub fn $operation(&self, mut request: $request) -> Result<$response> {
            let is_requested = request.return_consumed_capacity.is_some();
            request.return_consumed_capacity.get_or_insert_with(|| "TOTAL".to_owned());
            let mut response = self.call(request, |database, request| database.$operation(request))?;
            let units: f64 = response.consumed_capacity.iter().flat_map(CapacityUnits::units).sum();
            self.add_to_totals(|totals| totals.$units += units);
            response.consumed_capacity.take_if(|_| !is_requested);
            Ok(response)
        })*
    };
}

impl MeteredDatabase {
    pub fn new(database: Database) -> Self {
        Self { database, totals: Arc::default(), faults: FaultInjector::default(), replica: None, guard: None }
    }

    pub fn with_guard(&self, guard: IamGuard) -> Self {
        Self { guard: Some(guard), ..self.clone() }
    }

    /// For the single calls of a batch that is authorized as a whole.
    pub fn without_guard(&self) -> Self {
        Self { guard: None, ..self.clone() }
    }

    pub fn with_faults(self, faults: FaultInjector, replica: Option<Arc<StaleReplica>>) -> Self {
        Self { faults, replica, ..self }
    }

    /// Fails unless the caller's policies allow the call.
    pub fn authorize(&self, call: &impl AuthorizedCall) -> Result<()> {
        match &self.guard {
            Some(guard) => Ok(guard.authorize(call)?),
            None => Ok(()),
        }
    }

    pub fn should_inject(&self, fault: Fault) -> bool {
        self.faults.should_inject(fault)
    }

    pub fn capacity_totals(&self) -> CapacityTotals {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count_call(&self) {
        self.add_to_totals(|totals| totals.calls += 1);
    }

    metered! {
        get_item(GetItemRequest) -> GetItemResponse, read_units;
        query(QueryRequest) -> QueryResponse, read_units;
        scan(ScanRequest) -> ScanResponse, read_units;
        transact_get_items(TransactGetItemsRequest) -> TransactGetItemsResponse, read_units;
        put_item(PutItemRequest) -> PutItemResponse, write_units;
        update_item(UpdateItemRequest) -> UpdateItemResponse, write_units;
        delete_item(DeleteItemRequest) -> DeleteItemResponse, write_units;
        batch_write_item(BatchWriteItemRequest) -> BatchWriteItemResponse, write_units;
        transact_write_items(TransactWriteItemsRequest) -> TransactWriteItemsResponse, write_units;
    }

    fn call<Q: FaultyCall + AuthorizedCall, A>(
        &self,
        request: Q,
        call: impl FnOnce(&Database, Q) -> dynoxide::Result<A>,
    ) -> Result<A> {
        self.authorize(&request)?;
        if !self.faults.is_enabled() {
            return Ok(call(&self.database, request)?);
        }
        if let Some(error) = fault_points::injected_error(&request, &self.faults) {
            return Err(error);
        }
        let Some(replica) = &self.replica else { return Ok(call(&self.database, request)?) };
        if request.is_eventually_consistent() && self.should_inject(Fault::StaleRead) {
            return Ok(call(&replica.database, request)?);
        }
        let written_keys = replica.written_keys(&request);
        let response = call(&self.database, request)?;
        if !written_keys.is_empty() {
            replica.replicate(&self.database, written_keys)?;
        }
        Ok(response)
    }

    fn add_to_totals(&self, add: impl FnOnce(&mut CapacityTotals)) {
        add(&mut self.totals.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Deref for MeteredDatabase {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

/// The capacity units of a response: of one table, or of each table.
trait CapacityUnits {
    fn units(&self) -> Vec<f64>;
}

impl CapacityUnits for ConsumedCapacity {
    fn units(&self) -> Vec<f64> {
        vec![self.capacity_units]
    }
}

impl CapacityUnits for Vec<ConsumedCapacity> {
    fn units(&self) -> Vec<f64> {
        self.iter().map(|table| table.capacity_units).collect()
    }
}
