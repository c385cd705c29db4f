//! `util.time`: instants as text, in ISO 8601 and by the patterns of Java's `DateTimeFormatter`.
mod parse;
mod pattern;
mod print;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use pattern::Pattern;

/// UTC with milliseconds: `2018-02-06T19:01:35.749Z`.
pub fn iso(milliseconds: f64) -> Result<String, String> {
    Ok(timestamp(milliseconds)?.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

pub fn parse_iso(text: &str) -> Result<f64, String> {
    let instant: Result<Timestamp, _> = text.parse();
    let instant = instant.map_err(|_| format!("the text {text:?} is not an ISO 8601 date and time with an offset"))?;
    Ok(instant.as_millisecond() as f64)
}

pub fn format(milliseconds: f64, pattern: &str, zone: &str) -> Result<String, String> {
    let pattern = Pattern::read(pattern)?;
    Ok(print::print(&pattern, &timestamp(milliseconds)?.to_zoned(time_zone(zone)?)))
}

/// `zone` serves where the text itself names none.
pub fn parse(text: &str, pattern: &str, zone: Option<&str>) -> Result<f64, String> {
    let moment = parse::parse(&Pattern::read(pattern)?, text)?;
    let zone = match (moment.zone, zone) {
        (Some(written), _) => written,
        (None, Some(given)) => time_zone(given)?,
        (None, None) => TimeZone::UTC,
    };
    let zoned = moment.civil.to_zoned(zone).map_err(|fault| fault.to_string())?;
    Ok(zoned.timestamp().as_millisecond() as f64)
}

fn timestamp(milliseconds: f64) -> Result<Timestamp, String> {
    let refused = || format!("{milliseconds} is not a number of milliseconds since 1970");
    if !milliseconds.is_finite() {
        return Err(refused());
    }
    Timestamp::from_millisecond(milliseconds.floor() as i64).map_err(|_| refused())
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    match name {
        "UTC" | "GMT" | "Z" => Ok(TimeZone::UTC),
        _ => TimeZone::get(name)
            .or_else(|_| TimeZone::posix(name))
            .map_err(|_| format!("there is no time zone {name:?}")),
    }
}
