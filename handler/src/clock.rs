//! The clock of an invocation, and formats of wall-clock time.
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use tokio::time::Instant;

/// The time of tokio's clock, which tests may pause.
pub(crate) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Wall-clock time that advances with tokio's clock, which tests may pause.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall_at_start: SystemTime,
    started: Instant,
}

impl Clock {
    pub fn starting_at(wall: SystemTime) -> Self {
        Self { wall_at_start: wall, started: Instant::now() }
    }

    pub fn now(&self) -> SystemTime {
        self.wall_at_start + self.started.elapsed()
    }

    /// A clock that does not advance, because its start is in the future.
    #[cfg(test)]
    pub fn stopped_at(wall: SystemTime) -> Self {
        Self { wall_at_start: wall, started: Instant::now() + Duration::from_secs(86_400) }
    }
}

/// Milliseconds since 1970.
pub(crate) fn epoch_milliseconds(time: SystemTime) -> u64 {
    since_epoch(time).as_millis() as u64
}

/// `2026-11-21T09:00:00.000Z`, the format of AppSync. In this format times sort as text.
pub(crate) fn iso_8601(time: SystemTime) -> String {
    let since_epoch = since_epoch(time);
    let seconds = DateTime::from_secs(since_epoch.as_secs().cast_signed());
    let formatted = seconds.fmt(DateTimeFormat::DateTime).unwrap_or_default();
    format!("{}.{:03}Z", formatted.trim_end_matches('Z'), since_epoch.subsec_millis())
}

/// `2026-11-21`
pub(crate) fn utc_day(time: SystemTime) -> String {
    iso_8601(time).chars().take_while(|character| *character != 'T').collect()
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn clock_advances_with_tokio_time() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let clock = Clock::starting_at(wall);
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(epoch_milliseconds(clock.now()), 1_795_000_001_500);
    }

    #[test]
    fn times_are_formatted_with_milliseconds() {
        for (milliseconds, expected) in [
            (1_795_000_000_000, "2026-11-18T11:06:40.000Z"),
            (1_795_000_000_050, "2026-11-18T11:06:40.050Z"),
            (0, "1970-01-01T00:00:00.000Z"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
            assert_eq!(iso_8601(time), expected);
            assert_eq!(utc_day(time), expected[..10]);
        }
    }
}
