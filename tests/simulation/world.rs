//! One run: its clock, its chance, its weather, and what is written down of it.
use std::{
    cell::RefCell,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;
use turn::limits::Limits;

use crate::{
    dice::Dice,
    record::Record,
    sabotage::Sabotage,
    stage::Stage,
    subscriber::Line,
    weather::{Fault, Weather},
};

/// When runs begin, in milliseconds since 1970.
const BEGINNING: u64 = 1_795_000_000_000;

thread_local! {
    static CURRENT: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

pub struct World {
    pub seed: u64,
    pub sabotage: Option<Sabotage>,
    pub stage: Stage,
    pub limits: Limits,
    began: Instant,
    /// How far the handlers' clocks are ahead of AppSync's, in milliseconds.
    skew: u64,
    chance: Mutex<(Weather, Dice)>,
    record: Mutex<Record>,
    lines: Mutex<Vec<Line>>,
    trace: Trace,
}

/// What becomes of the lines that tell a run.
#[derive(Default)]
pub enum Trace {
    #[default]
    Unwritten,
    Printed,
    Kept(Mutex<Vec<String>>),
}

impl World {
    /// Begins a run on this thread, under a paused clock.
    pub fn begin(seed: u64, sabotage: Option<Sabotage>, stage: Stage, trace: Trace) -> Arc<Self> {
        let mut dice = Dice::new(seed);
        let mut weather = Weather::draw(&mut dice);
        if let Some(sabotage) = sabotage {
            sabotage.of_weather(&mut weather);
        }
        let world = Arc::new(Self {
            seed,
            sabotage,
            stage,
            limits: limits(&mut dice),
            began: Instant::now(),
            skew: dice.one_of(&[0, 0, 50, 2_000]),
            chance: Mutex::new((weather, dice)),
            record: Mutex::default(),
            lines: Mutex::default(),
            trace,
        });
        CURRENT.with(|current| current.replace(Some(Arc::clone(&world))));
        world
    }

    pub fn current() -> Arc<Self> {
        CURRENT.with(|current| current.borrow().clone()).expect("a run is under way on this thread")
    }

    pub fn conversation(&self) -> String {
        format!("c{}", self.seed)
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// AppSync's clock, in milliseconds since 1970.
    pub fn milliseconds(&self) -> u64 {
        BEGINNING + u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_millisecond(i64::try_from(self.milliseconds()).unwrap_or(i64::MAX)).expect("a time of our age")
    }

    /// The handlers' clock.
    pub fn handler_time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.milliseconds() + self.skew)
    }

    pub fn dice<T>(&self, throw: impl FnOnce(&mut Dice) -> T) -> T {
        self.chance(|_, dice| throw(dice))
    }

    pub fn chance<T>(&self, throw: impl FnOnce(&mut Weather, &mut Dice) -> T) -> T {
        let (weather, dice) = &mut *lock(&self.chance);
        throw(weather, dice)
    }

    /// Whether a misfortune with this chance per mille happens now.
    pub fn strikes(&self, chance: impl FnOnce(&Weather) -> u64, fault: Fault) -> bool {
        self.chance(|weather, dice| {
            let chance = chance(weather);
            weather.strikes(dice, chance, fault)
        })
    }

    pub fn note<T>(&self, write: impl FnOnce(&mut Record) -> T) -> T {
        write(&mut lock(&self.record))
    }

    pub fn trace(&self, line: impl FnOnce() -> String) {
        let told = || format!("{:>9.3} {}", self.elapsed().as_secs_f64(), line());
        match &self.trace {
            Trace::Unwritten => {}
            Trace::Printed => println!("{}", told()),
            Trace::Kept(lines) => lock(lines).push(told()),
        }
    }

    pub fn traced(&self) -> Vec<String> {
        match &self.trace {
            Trace::Kept(lines) => lock(lines).clone(),
            Trace::Unwritten | Trace::Printed => Vec::new(),
        }
    }

    pub fn listen(&self, line: Line) {
        lock(&self.lines).push(line);
    }

    /// What AppSync does with a mutation that was answered without an error.
    pub fn fan_out(&self, update: &Value) {
        let mut update = update.clone();
        if let Some(sabotage) = self.sabotage {
            sabotage.of_updates(&mut update);
        }
        for line in lock(&self.lines).iter() {
            line.carry(self, &update);
        }
    }

    pub fn has(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }
}

/// Small events and batches in some runs, so that short answers meet every boundary.
fn limits(dice: &mut Dice) -> Limits {
    let usual = Limits::default();
    Limits {
        event_max_bytes: dice.one_of(&[usual.event_max_bytes, 8_192]),
        batch_max_bytes: dice.one_of(&[usual.batch_max_bytes, usual.batch_max_bytes, 256]),
        ..usual
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
