//! The calls of functions' processes, one by one: each is written down, and ends its process where the plan says so.
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};

use super::{Fates, Lot, Mishap, Unkindness};
use crate::lambda::Processes;

/// A process that is to die is dead by this one of its calls.
const LAST_CALL: u64 = 20;
/// So long an answer is on its way to a process that dies after it.
const ARRIVAL: Duration = Duration::from_millis(5);

/// What a process asks of the world around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    GetItem,
    Query,
    TransactGetItems,
    PutItem,
    UpdateItem,
    DeleteItem,
    BatchWriteItem,
    TransactWriteItems,
    ConverseStream,
    Publish,
}

/// Where in a call a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It has arrived and is not carried out.
    Before,
    /// It is carried out and not answered.
    During,
    /// It is answered.
    After,
}

/// A place in the work of a process: `Publish 3 during`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub call: Call,
    /// Counted from 1 among the process's calls of this kind.
    pub number: u64,
    pub phase: Phase,
}

/// Sees every call of every process. Clones see the same.
#[derive(Clone)]
pub struct Witness(Arc<Seen>);

struct Seen {
    processes: Processes,
    kills: BTreeMap<u64, Point>,
    fates: Fates,
    is_recording: bool,
    lives: Mutex<HashMap<u64, Life>>,
}

/// What is known of a process.
#[derive(Default)]
struct Life {
    calls: Vec<Call>,
    doom: Option<Doom>,
    death: Option<Point>,
}

#[derive(Clone, Copy)]
enum Doom {
    At(Point),
    /// At the nth call, whichever it is.
    Nth(u64, Phase),
}

impl Witness {
    pub fn of(plan: &Unkindness, fates: Fates, processes: Processes) -> Self {
        let (kills, is_recording) = (plan.kills.clone(), plan.is_recording);
        Self(Arc::new(Seen { processes, kills, fates, is_recording, lives: Mutex::default() }))
    }

    /// The same routes, witnessed when there is something to see.
    pub fn watch(&self, router: Router) -> Router {
        let seen = &self.0;
        match seen.is_recording || seen.fates.include(Mishap::ProcessKilled) {
            true => router.layer(middleware::from_fn_with_state(self.clone(), witness)),
            false => router,
        }
    }

    /// Every process's calls so far, in their order, by the number of the process.
    pub fn recorded(&self) -> BTreeMap<u64, Vec<Call>> {
        self.lives().iter().map(|(process, life)| (*process, life.calls.clone())).collect()
    }

    /// Where each process that was killed was killed, by the number of the process.
    pub fn deaths(&self) -> BTreeMap<u64, Point> {
        self.lives().iter().filter_map(|(process, life)| Some((*process, life.death?))).collect()
    }

    /// Writes a call down; tells where in it the process dies, if it does.
    fn note(&self, process: u64, call: Call) -> Option<Phase> {
        let mut lives = self.lives();
        let life = lives.entry(process).or_insert_with(|| Life { doom: self.doom(process), ..Life::default() });
        life.calls.push(call);
        let number = life.calls.iter().filter(|past| **past == call).count() as u64;
        let phase = match life.doom? {
            Doom::At(point) => (point.call == call && point.number == number).then_some(point.phase),
            Doom::Nth(nth, phase) => (life.calls.len() as u64 == nth).then_some(phase),
        }?;
        life.death = Some(Point { call, number, phase });
        Some(phase)
    }

    fn doom(&self, process: u64) -> Option<Doom> {
        match self.0.kills.get(&process) {
            Some(point) => Some(Doom::At(*point)),
            None => self.0.fates.strike(Mishap::ProcessKilled).map(Doom::drawn),
        }
    }

    fn lives(&self) -> MutexGuard<'_, HashMap<u64, Life>> {
        self.0.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Doom {
    fn drawn(lot: Lot) -> Self {
        let phase = match lot.next().among(3) {
            0 => Phase::Before,
            1 => Phase::During,
            _ => Phase::After,
        };
        Self::Nth(1 + lot.among(LAST_CALL), phase)
    }
}

async fn witness(State(witness): State<Witness>, request: Request, next: Next) -> Response {
    let processes = witness.0.processes.clone();
    let caller = access_key_id(request.headers()).map(str::to_owned);
    let known = caller.and_then(|caller| Some((processes.number(&caller)?, caller)));
    let (Some((number, caller)), Some(call)) = (known, call(&request)) else { return next.run(request).await };
    match witness.note(number, call) {
        None => next.run(request).await,
        Some(Phase::Before) => {
            processes.kill(&caller).await;
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Some(Phase::During) => {
            let response = next.run(request).await;
            processes.kill(&caller).await;
            response
        }
        Some(Phase::After) => killing_after(next.run(request).await, processes, caller),
    }
}

/// The answer, at whose end its process is killed.
fn killing_after(response: Response, processes: Processes, caller: String) -> Response {
    let killing = stream::once(async move {
        tokio::spawn(async move {
            tokio::time::sleep(ARRIVAL).await;
            processes.kill(&caller).await;
        });
        Ok(Bytes::new())
    });
    response.map(|body| Body::from_stream(body.into_data_stream().chain(killing)))
}

fn access_key_id(headers: &HeaderMap) -> Option<&str> {
    let signed = headers.get(AUTHORIZATION)?.to_str().ok()?;
    signed.split_once("Credential=")?.1.split('/').next()
}

fn call(request: &Request) -> Option<Call> {
    if let Some(target) = request.headers().get("x-amz-target") {
        let operation = target.to_str().ok()?.rsplit('.').next()?;
        return Call::TABLE.into_iter().find(|call| call.to_string() == operation);
    }
    match request.uri().path() {
        "/graphql" if request.method() == Method::POST => Some(Call::Publish),
        path if path.ends_with("/converse-stream") => Some(Call::ConverseStream),
        _ => None,
    }
}

impl Call {
    const TABLE: [Self; 8] = [
        Self::GetItem,
        Self::Query,
        Self::TransactGetItems,
        Self::PutItem,
        Self::UpdateItem,
        Self::DeleteItem,
        Self::BatchWriteItem,
        Self::TransactWriteItems,
    ];
}

impl Phase {
    pub const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];
}

/// As AWS spells the operation.
impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, number, phase } = self;
        let phase = match phase {
            Phase::Before => "before",
            Phase::During => "during",
            Phase::After => "after",
        };
        write!(formatter, "{call} {number} {phase}")
    }
}
