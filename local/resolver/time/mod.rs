//! `util.time`: formats and parses times, in ISO 8601 and with the patterns of Java's `DateTimeFormatter`.
mod format;
mod parse;
mod pattern;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use pattern::Pattern;

/// UTC with milliseconds: `2018-02-06T19:01:35.749Z`.
pub fn format_iso(milliseconds: f64) -> Result<String, String> {
    Ok(timestamp(milliseconds)?.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

pub fn parse_iso(text: &str) -> Result<f64, String> {
    let timestamp: Result<Timestamp, _> = text.parse();
    let timestamp =
        timestamp.map_err(|_| format!("the text {text:?} is not an ISO 8601 date and time with an offset"))?;
    Ok(timestamp.as_millisecond() as f64)
}

pub fn format_pattern(milliseconds: f64, pattern: &str, zone: &str) -> Result<String, String> {
    let pattern = Pattern::parse(pattern)?;
    Ok(format::format(&pattern, &timestamp(milliseconds)?.to_zoned(time_zone(zone)?)))
}

/// `zone` applies when the text names no time zone.
pub fn parse_pattern(text: &str, pattern: &str, zone: Option<&str>) -> Result<f64, String> {
    let parsed = parse::parse(&Pattern::parse(pattern)?, text)?;
    let zone = match (parsed.zone, zone) {
        (Some(zone), _) => zone,
        (None, Some(name)) => time_zone(name)?,
        (None, None) => TimeZone::UTC,
    };
    let zoned = parsed.civil.to_zoned(zone).map_err(|error| error.to_string())?;
    Ok(zoned.timestamp().as_millisecond() as f64)
}

fn timestamp(milliseconds: f64) -> Result<Timestamp, String> {
    let message = || format!("{milliseconds} is not a number of milliseconds since 1970");
    if !milliseconds.is_finite() {
        return Err(message());
    }
    Timestamp::from_millisecond(milliseconds.floor() as i64).map_err(|_| message())
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    match name {
        "UTC" | "GMT" | "Z" => Ok(TimeZone::UTC),
        _ => TimeZone::get(name)
            .or_else(|_| TimeZone::posix(name))
            .map_err(|_| format!("there is no time zone {name:?}")),
    }
}
