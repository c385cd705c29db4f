//! Writes a moment as a pattern says, in English.
use jiff::Zoned;
use jiff::tz::Offset;

use super::pattern::{Part, Pattern};

pub fn print(pattern: &Pattern, moment: &Zoned) -> String {
    pattern
        .0
        .iter()
        .map(|part| match part {
            Part::Literal(text) => text.clone(),
            Part::Field(letter, count) => field(*letter, *count, moment),
        })
        .collect()
}

fn field(letter: char, count: usize, moment: &Zoned) -> String {
    match letter {
        'G' => {
            if moment.year() > 0 {
                "AD".into()
            } else {
                "BC".into()
            }
        }
        'u' | 'y' => year(moment.year(), count),
        'M' | 'L' => named(moment, moment.month(), count, "%b", "%B"),
        'E' => named(moment, moment.weekday().to_monday_one_offset(), count.max(3), "%a", "%A"),
        'Q' | 'q' => quarter(moment, count),
        'a' => moment.strftime("%p").to_string(),
        'S' => format!("{:09}", moment.subsec_nanosecond()).chars().chain("0".repeat(9).chars()).take(count).collect(),
        'V' => moment.time_zone().iana_name().map_or_else(|| offset(moment.offset(), ":", true), str::to_owned),
        'z' => moment.strftime("%Z").to_string(),
        'O' => localized(moment.offset(), count),
        'X' => {
            if moment.offset() == Offset::UTC {
                "Z".into()
            } else {
                of_width(moment.offset(), count)
            }
        }
        'x' => of_width(moment.offset(), count),
        'Z' => match count {
            4 => localized(moment.offset(), 4),
            5 if moment.offset() == Offset::UTC => "Z".into(),
            5 => offset(moment.offset(), ":", true),
            _ => offset(moment.offset(), "", true),
        },
        _ => format!("{:0count$}", number(letter, moment)),
    }
}

fn number(letter: char, moment: &Zoned) -> i64 {
    let hour = i64::from(moment.hour());
    let of_day = moment.datetime().time();
    let nanoseconds = of_day.duration_since(jiff::civil::Time::midnight()).as_nanos();
    match letter {
        'd' => moment.day().into(),
        'D' => moment.day_of_year().into(),
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
        'm' => moment.minute().into(),
        's' => moment.second().into(),
        'A' => (nanoseconds / 1_000_000) as i64,
        'N' => nanoseconds as i64,
        _ => moment.subsec_nanosecond().into(),
    }
}

fn year(year: i16, count: usize) -> String {
    if count == 2 { format!("{:02}", year.rem_euclid(100)) } else { format!("{year:0count$}") }
}

/// A number up to two letters, then a short name, a full name, and its first letter.
fn named(moment: &Zoned, number: i8, count: usize, short: &str, full: &str) -> String {
    match count {
        1 | 2 => format!("{number:0count$}"),
        3 => moment.strftime(short).to_string(),
        4 => moment.strftime(full).to_string(),
        _ => moment.strftime(full).to_string().chars().take(1).collect(),
    }
}

fn quarter(moment: &Zoned, count: usize) -> String {
    let quarter = (moment.month() + 2) / 3;
    if count < 3 { format!("{quarter:0count$}") } else { format!("Q{quarter}") }
}

/// `X` and `x`: hours, hours and minutes, or both with a colon.
fn of_width(of: Offset, count: usize) -> String {
    match count {
        1 => offset(of, "", false),
        2 | 4 => offset(of, "", true),
        _ => offset(of, ":", true),
    }
}

fn offset(of: Offset, separator: &str, always_minutes: bool) -> String {
    let seconds = of.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
    if always_minutes || minutes != 0 {
        format!("{sign}{hours:02}{separator}{minutes:02}")
    } else {
        format!("{sign}{hours:02}")
    }
}

fn localized(of: Offset, count: usize) -> String {
    let seconds = of.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
    match (seconds, count, minutes) {
        (0, ..) => "GMT".into(),
        (_, 4, _) => format!("GMT{sign}{hours:02}:{minutes:02}"),
        (_, _, 0) => format!("GMT{sign}{hours}"),
        _ => format!("GMT{sign}{hours}:{minutes:02}"),
    }
}
