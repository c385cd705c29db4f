//! Wall time clients one invocation.
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use tokio::time::Instant;

/// The runtime's clock, which tests may pause.
pub(crate) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Runs with the runtime's clock, which tests may pause, from the wall time it was started at.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: SystemTime,
    started: Instant,
}

impl Clock {
    pub fn starting_at(wall: SystemTime) -> Self {
        Self { wall, started: Instant::now() }
    }

    pub fn now(&self) -> SystemTime {
        self.wall + self.started.elapsed()
    }

    /// One that stands still: it has not started yet.
    #[cfg(test)]
    pub fn standing_at(wall: SystemTime) -> Self {
        Self { wall, started: Instant::now() + Duration::from_secs(86_400) }
    }
}

/// Milliseconds since 1970.
pub(crate) fn epoch_milliseconds(at: SystemTime) -> u64 {
    since_epoch(at).as_millis() as u64
}

/// In milliseconds and UTC, so that it sorts as text and as AppSync writes it: `2026-11-21T09:00:00.000Z`.
pub(crate) fn iso_8601(at: SystemTime) -> String {
    let since = since_epoch(at);
    let seconds = DateTime::from_secs(since.as_secs().cast_signed());
    let written = seconds.fmt(DateTimeFormat::DateTime).unwrap_or_default();
    format!("{}.{:03}Z", written.trim_end_matches('Z'), since.subsec_millis())
}

/// The day in UTC: `2026-11-21`.
pub(crate) fn day(at: SystemTime) -> String {
    iso_8601(at).chars().take_while(|part| *part != 'T').collect()
}

fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_runs_with_the_runtimes_clock() {
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let clock = Clock::starting_at(began);
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(epoch_milliseconds(clock.now()), 1_795_000_001_500);
    }

    #[test]
    fn moments_are_written_to_the_millisecond() {
        for (milliseconds, written) in [
            (1_795_000_000_000, "2026-11-18T11:06:40.000Z"),
            (1_795_000_000_050, "2026-11-18T11:06:40.050Z"),
            (0, "1970-01-01T00:00:00.000Z"),
        ] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
            assert_eq!(iso_8601(at), written);
            assert_eq!(day(at), written[..10]);
        }
    }
}
