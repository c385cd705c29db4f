//! Long runs: some seeds reach a bound of the program. Their other faults are rare, so that they get there.
use std::time::Duration;

use turn::limits::Limits;

use crate::rng::Rng;

/// One run of so many is long.
const LONG_RUN_INTERVAL: u64 = 40;
/// The bytes of an event besides its text, and of one block, by `turn::answer`.
const EMPTY_EVENT_BYTES: usize = 4_096 + 12;
/// The JSON size of each delta of a long answer.
const DELTA_BYTES: usize = 13;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongRun {
    /// An attempt publishes so many batches since its last event, and dies. A user closes the turn.
    Batches(u32),
    /// An answer of so many content blocks, which are interleaved. In some runs its attempt dies.
    Blocks { count: u32, dies: bool },
    /// An answer of so many events, which is then retried.
    Events(u32),
    /// A turn that is continued so often, then retried, and followed by another.
    Continues(u32),
    /// A conversation of so many turns.
    Turns(u32),
}

impl LongRun {
    /// Every 40th run is long. The kinds alternate, then their sizes.
    pub fn of_seed(seed: u64) -> Option<Self> {
        let number = seed.is_multiple_of(LONG_RUN_INTERVAL).then_some(seed / LONG_RUN_INTERVAL)?;
        let size = (number / 5) as usize;
        let choose = |sizes: &[u32]| sizes[size % sizes.len()];
        Some(match number % 5 {
            0 => Self::Turns(choose(&[101, 105])),
            1 => Self::Blocks { count: choose(&[600, 1_300]), dies: size.is_multiple_of(2) },
            2 => Self::Continues(choose(&[95, 105])),
            3 => Self::Events(choose(&[320, 150, 920])),
            _ => Self::Batches(choose(&[850, 1_700, 550, 2_450, 3_250])),
        })
    }

    pub fn adjust_limits(self, limits: &mut Limits) {
        match self {
            Self::Batches(_) => {
                limits.batch_max_bytes = DELTA_BYTES;
                limits.event_max_bytes = Limits::default().event_max_bytes;
                limits.pacing_first = Duration::from_millis(1);
                limits.pacing_last = Duration::from_millis(1);
            }
            Self::Blocks { .. } => {
                limits.pacing_first = Duration::from_millis(1);
                limits.pacing_last = Duration::from_millis(1);
            }
            Self::Events(_) => limits.event_max_bytes = EMPTY_EVENT_BYTES + 4 * DELTA_BYTES,
            Self::Continues(_) | Self::Turns(_) => {}
        }
    }

    /// How many updates the first attempt publishes before its process is killed for good.
    pub fn updates_before_death(self) -> Option<u32> {
        match self {
            Self::Batches(count) => Some(count),
            Self::Blocks { count, dies: true } => Some(count),
            _ => None,
        }
    }

    /// The deltas of an answer, each with its block.
    pub fn deltas(self, rng: &mut Rng) -> Vec<(u32, String)> {
        let delta = |number: u32| format!("{number:08} «» ");
        match self {
            Self::Batches(count) => (0..count + 100).map(|number| (0, delta(number))).collect(),
            Self::Blocks { count, .. } => {
                let mut deltas = Vec::new();
                for block in 0..count {
                    deltas.push((block, delta(block)));
                    if block > 0 && rng.percent(30) {
                        deltas.push((block - 1, delta(block)));
                    }
                }
                deltas
            }
            Self::Events(count) => (0..2 * count).map(|number| (0, delta(number))).collect(),
            Self::Continues(_) | Self::Turns(_) => (0..3).map(|_| (0, delta(rng.below(100_000_000) as u32))).collect(),
        }
    }

    pub fn pause_between_deltas(self, rng: &mut Rng) -> Duration {
        match self {
            Self::Batches(_) => Duration::from_millis(40),
            Self::Blocks { dies: true, .. } => Duration::from_millis(30),
            Self::Blocks { .. } => rng.milliseconds(0..2),
            Self::Events(_) => Duration::ZERO,
            Self::Continues(_) | Self::Turns(_) => Duration::from_millis(20),
        }
    }
}
