//! What DynamoDB would charge for.
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
    database_error::Failure,
    fault_points::{self, Call},
    iam_actions::Accesses,
    iam_guard::Guard,
    stale_replica::Replica,
};
use crate::fault_injection::{Fault, FaultInjector};

/// Calls, and the units they were charged; failed writes are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Charged {
    pub calls: u64,
    pub read_units: f64,
    pub write_units: f64,
}

/// The database, asked to say what each call consumed, and as unkind as it is to be.
#[derive(Clone)]
pub(super) struct Metered {
    database: Database,
    charged: Arc<Mutex<Charged>>,
    faults: FaultInjector,
    /// None unless reads are to be stale.
    replica: Option<Arc<Replica>>,
    /// None where nobody's policies are asked.
    guard: Option<Guard>,
}

type Result<T> = std::result::Result<T, Failure>;

macro_rules! metered {
    ($($call:ident($request:ty) -> $response:ty, $units:ident;)*) => {
        $(pub fn $call(&self, mut request: $request) -> Result<$response> {
            let is_asked = request.return_consumed_capacity.is_some();
            request.return_consumed_capacity.get_or_insert_with(|| "TOTAL".to_owned());
            let mut response = self.carry_out(request, |database, request| database.$call(request))?;
            let units: f64 = response.consumed_capacity.iter().flat_map(Units::units).sum();
            self.charge(|charged| charged.$units += units);
            response.consumed_capacity.take_if(|_| !is_asked);
            Ok(response)
        })*
    };
}

impl Metered {
    pub fn new(database: Database) -> Self {
        Self { database, charged: Arc::default(), faults: FaultInjector::default(), replica: None, guard: None }
    }

    pub fn guarded(&self, guard: Guard) -> Self {
        Self { guard: Some(guard), ..self.clone() }
    }

    /// For calls whose larger whole has been admitted.
    pub fn unguarded(&self) -> Self {
        Self { guard: None, ..self.clone() }
    }

    /// Whether the caller's policies allow the call.
    pub fn admit(&self, call: &impl Accesses) -> Result<()> {
        self.guard.as_ref().map_or(Ok(()), |guard| guard.check(call)).map_err(Failure::from)
    }

    pub fn with_faults(self, faults: FaultInjector, replica: Option<Arc<Replica>>) -> Self {
        Self { faults, replica, ..self }
    }

    /// Whether the fault befalls a call that has been carried out.
    pub fn is_struck(&self, fault: Fault) -> bool {
        self.faults.should_inject(fault)
    }

    pub fn charged(&self) -> Charged {
        *self.charged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count_call(&self) {
        self.charge(|charged| charged.calls += 1);
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

    fn carry_out<Q: Call + Accesses, A>(
        &self,
        request: Q,
        call: impl FnOnce(&Database, Q) -> dynoxide::Result<A>,
    ) -> Result<A> {
        self.admit(&request)?;
        if !self.faults.is_enabled() {
            return Ok(call(&self.database, request)?);
        }
        if let Some(failure) = fault_points::trouble(&request, &self.faults) {
            return Err(failure);
        }
        let Some(replica) = &self.replica else { return Ok(call(&self.database, request)?) };
        if request.is_eventual() && self.is_struck(Fault::StaleRead) {
            return Ok(call(&replica.database, request)?);
        }
        let places = replica.places(&request);
        let response = call(&self.database, request)?;
        if !places.is_empty() {
            replica.follow(&self.database, places)?;
        }
        Ok(response)
    }

    fn charge(&self, add: impl FnOnce(&mut Charged)) {
        add(&mut self.charged.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Deref for Metered {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

/// One table's capacity, or one for each table.
trait Units {
    fn units(&self) -> Vec<f64>;
}

impl Units for ConsumedCapacity {
    fn units(&self) -> Vec<f64> {
        vec![self.capacity_units]
    }
}

impl Units for Vec<ConsumedCapacity> {
    fn units(&self) -> Vec<f64> {
        self.iter().map(|table| table.capacity_units).collect()
    }
}
