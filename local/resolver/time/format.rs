//! Formats a time according to a pattern, in English.
use jiff::Zoned;
use jiff::tz::Offset;

use super::pattern::{Part, Pattern};

pub fn format(pattern: &Pattern, time: &Zoned) -> String {
    pattern
        .0
        .iter()
        .map(|part| match part {
            Part::Literal(text) => text.clone(),
            Part::Field(letter, count) => format_field(*letter, *count, time),
        })
        .collect()
}

fn format_field(letter: char, count: usize, time: &Zoned) -> String {
    match letter {
        'G' => {
            if time.year() > 0 {
                "AD".into()
            } else {
                "BC".into()
            }
        }
        'u' | 'y' => format_year(time.year(), count),
        'M' | 'L' => number_or_name(time, time.month(), count, "%b", "%B"),
        'E' => number_or_name(time, time.weekday().to_monday_one_offset(), count.max(3), "%a", "%A"),
        'Q' | 'q' => format_quarter(time, count),
        'a' => time.strftime("%p").to_string(),
        'S' => format!("{:09}", time.subsec_nanosecond()).chars().chain("0".repeat(9).chars()).take(count).collect(),
        'V' => time.time_zone().iana_name().map_or_else(|| format_offset(time.offset(), ":", true), str::to_owned),
        'z' => time.strftime("%Z").to_string(),
        'O' => localized_offset(time.offset(), count),
        'X' => {
            if time.offset() == Offset::UTC {
                "Z".into()
            } else {
                offset_of_width(time.offset(), count)
            }
        }
        'x' => offset_of_width(time.offset(), count),
        'Z' => match count {
            4 => localized_offset(time.offset(), 4),
            5 if time.offset() == Offset::UTC => "Z".into(),
            5 => format_offset(time.offset(), ":", true),
            _ => format_offset(time.offset(), "", true),
        },
        _ => format!("{:0count$}", field_number(letter, time)),
    }
}

fn field_number(letter: char, time: &Zoned) -> i64 {
    let hour = i64::from(time.hour());
    let nanoseconds = time.datetime().time().duration_since(jiff::civil::Time::midnight()).as_nanos();
    match letter {
        'd' => time.day().into(),
        'D' => time.day_of_year().into(),
        'H' => hour,
        'k' => {
            if hour == 0 {
                24
            } else {
                hour
            }
        }
        'K' => hour % 12,
        'h' => {
            if hour % 12 == 0 {
                12
            } else {
                hour % 12
            }
        }
        'm' => time.minute().into(),
        's' => time.second().into(),
        'A' => (nanoseconds / 1_000_000) as i64,
        'N' => nanoseconds as i64,
        _ => time.subsec_nanosecond().into(),
    }
}

fn format_year(year: i16, count: usize) -> String {
    if count == 2 { format!("{:02}", year.rem_euclid(100)) } else { format!("{year:0count$}") }
}

/// With one or two letters a number, with three a short name, with four a full name, with more its first
/// letter.
fn number_or_name(time: &Zoned, number: i8, count: usize, short: &str, full: &str) -> String {
    match count {
        1 | 2 => format!("{number:0count$}"),
        3 => time.strftime(short).to_string(),
        4 => time.strftime(full).to_string(),
        _ => time.strftime(full).to_string().chars().take(1).collect(),
    }
}

fn format_quarter(time: &Zoned, count: usize) -> String {
    let quarter = (time.month() + 2) / 3;
    if count < 3 { format!("{quarter:0count$}") } else { format!("Q{quarter}") }
}

/// The fields `X` and `x`: hours, hours and minutes, or both with a colon.
fn offset_of_width(offset: Offset, count: usize) -> String {
    match count {
        1 => format_offset(offset, "", false),
        2 | 4 => format_offset(offset, "", true),
        _ => format_offset(offset, ":", true),
    }
}

fn format_offset(offset: Offset, separator: &str, always_minutes: bool) -> String {
    let seconds = offset.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
    if always_minutes || minutes != 0 {
        format!("{sign}{hours:02}{separator}{minutes:02}")
    } else {
        format!("{sign}{hours:02}")
    }
}

fn localized_offset(offset: Offset, count: usize) -> String {
    let seconds = offset.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
    match (seconds, count, minutes) {
        (0, ..) => "GMT".into(),
        (_, 4, _) => format!("GMT{sign}{hours:02}:{minutes:02}"),
        (_, _, 0) => format!("GMT{sign}{hours}"),
        _ => format!("GMT{sign}{hours}:{minutes:02}"),
    }
}
