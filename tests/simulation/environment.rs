//! The state of one run: its clock, random numbers, faults, subscribers, recorder and trace.
use std::{
    cell::RefCell,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use tokio::time::Instant;
use turn::limits::Limits;

use crate::{
    access::AccessState,
    fault_profile::{Fault, FaultProfile},
    fixture::Fixture,
    long_run::LongRun,
    mutants::Mutant,
    people::People,
    recorder::Recorder,
    rng::Rng,
    run::RunPlan,
    tools::AgentProfile,
    users::UserProfile,
};

/// The time at which every run begins, in milliseconds since 1970.
const START_MS: u64 = 1_795_000_000_000;

thread_local! {
    /// Callbacks of the JavaScript engine and of the AWS SDK have no argument that could carry the
    /// environment.
    static CURRENT: RefCell<Option<Arc<Environment>>> = const { RefCell::new(None) };
}

pub struct Environment {
    pub seed: u64,
    pub mutant: Option<Mutant>,
    pub long_run: Option<LongRun>,
    pub fixture: Fixture,
    pub limits: Limits,
    pub people: People,
    pub users: UserProfile,
    pub agent: AgentProfile,
    /// Whether eventually consistent reads lack the newest writes.
    pub has_stale_reads: bool,
    start: Instant,
    /// How far the handlers' clock is ahead of AppSync's.
    clock_skew: Duration,
    faults: Mutex<(FaultProfile, Rng)>,
    recorder: Mutex<Recorder>,
    access: Mutex<AccessState>,
    trace: Trace,
}

/// Where the trace of a run goes.
#[derive(Default)]
pub enum Trace {
    #[default]
    Off,
    Printed,
    Collected(Mutex<Vec<String>>),
}

impl Environment {
    /// Begins a run on this thread. The tokio clock must be paused.
    pub fn start(plan: RunPlan, fixture: &Fixture, trace: Trace) -> Arc<Self> {
        let RunPlan { seed, mutant, long_run, is_control } = plan;
        let mut rng = Rng::with_seed(seed);
        let mut profile = match long_run {
            Some(_) => FaultProfile::for_long_run(&mut rng),
            None => FaultProfile::random(&mut rng),
        };
        let mut users = UserProfile::random(&mut rng, long_run);
        let mut agent = AgentProfile::random(&mut rng, seed);
        let mut limits = random_limits(&mut rng);
        let mut has_stale_reads = rng.percent(25);
        if let Some(long_run) = long_run {
            long_run.adjust_limits(&mut limits);
            agent.has_tools = false;
            agent.knowledge = None;
        }
        if let Some(mutant) = mutant {
            mutant.adjust_faults(&mut profile);
            mutant.adjust_users(&mut users);
            mutant.adjust_agent(&mut agent, seed);
            mutant.adjust_pacing(&mut limits);
            has_stale_reads |= mutant == Mutant::StaleDecisions;
        }
        let mutant = mutant.filter(|_| !is_control);
        if let Some(mutant) = mutant {
            mutant.adjust_limits(&mut limits);
        }
        let fixture = if has_stale_reads { fixture.with_stale_reads() } else { fixture.clone() };
        let fixture = if agent.knowledge.is_some() { fixture.with_knowledge() } else { fixture };
        let environment = Arc::new(Self {
            seed,
            mutant,
            long_run,
            fixture,
            limits,
            people: People::random(&mut rng, seed),
            users,
            agent,
            has_stale_reads,
            start: Instant::now(),
            clock_skew: Duration::from_millis(rng.choose(&[0, 0, 50, 2_000])),
            faults: Mutex::new((profile, rng)),
            recorder: Mutex::default(),
            access: Mutex::default(),
            trace,
        });
        CURRENT.with(|current| current.replace(Some(Arc::clone(&environment))));
        environment
    }

    /// The environment of the run on this thread.
    pub fn current() -> Arc<Self> {
        CURRENT.with(|current| current.borrow().clone()).expect("a run is in progress on this thread")
    }

    pub fn conversation_id(&self) -> String {
        format!("c{}", self.seed)
    }

    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// AppSync's clock, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        START_MS + u64::try_from(self.elapsed().as_millis()).expect("a run takes less than an age")
    }

    /// AppSync's clock.
    pub fn timestamp(&self) -> Timestamp {
        let milliseconds = i64::try_from(self.now_ms()).expect("a run takes less than an age");
        Timestamp::from_millisecond(milliseconds).expect("the time is in range")
    }

    /// The handlers' clock.
    pub fn handler_time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.now_ms()) + self.clock_skew
    }

    pub fn with_rng<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        self.with_faults(|_, rng| draw(rng))
    }

    pub fn with_faults<T>(&self, decide: impl FnOnce(&mut FaultProfile, &mut Rng) -> T) -> T {
        let (profile, rng) = &mut *lock(&self.faults);
        decide(profile, rng)
    }

    /// Decides whether a fault is injected. `probability` selects its probability per mille from the profile.
    pub fn should_inject(&self, fault: Fault, probability: impl FnOnce(&FaultProfile) -> u64) -> bool {
        self.with_faults(|profile, rng| {
            let probability = probability(profile);
            profile.should_inject(rng, probability, fault)
        })
    }

    pub fn with_recorder<T>(&self, record: impl FnOnce(&mut Recorder) -> T) -> T {
        record(&mut lock(&self.recorder))
    }

    pub fn with_access<T>(&self, use_access: impl FnOnce(&mut AccessState) -> T) -> T {
        use_access(&mut lock(&self.access))
    }

    /// Adds a line to the trace. `line` is called only if there is a trace.
    pub fn trace(&self, line: impl FnOnce() -> String) {
        let timed_line = || format!("{:>9.3} {}", self.elapsed().as_secs_f64(), line());
        match &self.trace {
            Trace::Off => {}
            Trace::Printed => println!("{}", timed_line()),
            Trace::Collected(lines) => lock(lines).push(timed_line()),
        }
    }

    pub fn trace_lines(&self) -> Vec<String> {
        match &self.trace {
            Trace::Collected(lines) => lock(lines).clone(),
            Trace::Off | Trace::Printed => Vec::new(),
        }
    }
}

/// In some runs events and batches are small, so that short answers reach the limits.
fn random_limits(rng: &mut Rng) -> Limits {
    let defaults = Limits::default();
    Limits {
        event_max_bytes: rng.choose(&[defaults.event_max_bytes, 8_192]),
        batch_max_bytes: rng.choose(&[defaults.batch_max_bytes, defaults.batch_max_bytes, 256]),
        ..defaults
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
