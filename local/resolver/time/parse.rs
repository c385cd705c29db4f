//! Reads a moment out of a text that was written as a pattern says.
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use super::pattern::{Part, Pattern};

/// What a text says: a date and time, and perhaps where.
pub struct Moment {
    pub civil: DateTime,
    pub zone: Option<TimeZone>,
}

pub fn parse(pattern: &Pattern, text: &str) -> Result<Moment, String> {
    let refused = || format!("the text {text:?} does not fit the pattern");
    let mut found = Found::default();
    let mut rest = text;
    for (index, part) in pattern.0.iter().enumerate() {
        rest = match part {
            Part::Literal(literal) => rest.strip_prefix(literal.as_str()).ok_or_else(refused)?,
            Part::Field(letter, count) => {
                let width = Width::of(*letter, *count, pattern.0.get(index + 1));
                found.field(*letter, *count, width, rest).ok_or_else(refused)?
            }
        };
    }
    if !rest.is_empty() {
        return Err(refused());
    }
    let civil = found.civil().ok_or_else(|| format!("the text {text:?} does not give a date and an hour"))?;
    Ok(Moment { civil, zone: found.zone })
}

/// How many digits a number has: exactly so many where the next part is a number too.
struct Width {
    least: usize,
    most: usize,
}

impl Width {
    fn of(letter: char, count: usize, next: Option<&Part>) -> Self {
        let numeric = matches!(next, Some(Part::Field(letter, count)) if is_number(*letter, *count));
        let exact = numeric || letter == 'S' || count == 2;
        Width { least: count, most: if exact { count } else { 10 } }
    }
}

fn is_number(letter: char, count: usize) -> bool {
    "uydDHhKkmsSAnN".contains(letter) || ("ML".contains(letter) && count < 3)
}

#[derive(Default)]
struct Found {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    hour: Option<i64>,
    half_hour: Option<i64>,
    afternoon: bool,
    minute: i64,
    second: i64,
    nanosecond: i64,
    zone: Option<TimeZone>,
}

impl Found {
    /// Reads one field and gives back the rest of the text.
    fn field<'t>(&mut self, letter: char, count: usize, width: Width, text: &'t str) -> Option<&'t str> {
        match letter {
            'M' | 'L' if count >= 3 => {
                let (month, rest) = name(text, &MONTHS, count)?;
                self.month = Some(month);
                Some(rest)
            }
            'E' => name(text, &WEEKDAYS, count).map(|(_, rest)| rest),
            'a' => {
                let (half, rest) = name(text, &["AM", "PM"], 4)?;
                self.afternoon = half == 2;
                Some(rest)
            }
            'X' | 'x' | 'Z' | 'O' => {
                let (offset, rest) = offset(text)?;
                self.zone = Some(TimeZone::fixed(offset));
                Some(rest)
            }
            'V' | 'z' => {
                let end = text.find(|next: char| !next.is_ascii_alphanumeric() && !"/_+-".contains(next));
                let (zone, rest) = text.split_at(end.unwrap_or(text.len()));
                self.zone = Some(super::time_zone(zone).ok()?);
                Some(rest)
            }
            _ => self.number(letter, count, width, text),
        }
    }

    fn number<'t>(&mut self, letter: char, count: usize, width: Width, text: &'t str) -> Option<&'t str> {
        let digits = text.bytes().take(width.most).take_while(u8::is_ascii_digit).count();
        if digits < width.least {
            return None;
        }
        let (digits, rest) = text.split_at(digits);
        let value: i64 = digits.parse().ok()?;
        match letter {
            'u' | 'y' => self.year = Some(if count == 2 { 2000 + value } else { value }),
            'M' | 'L' => self.month = Some(value),
            'd' => self.day = Some(value),
            'H' => self.hour = Some(value),
            'k' => self.hour = Some(value % 24),
            'h' | 'K' => self.half_hour = Some(value % 12),
            'm' => self.minute = value,
            's' => self.second = value,
            'S' => self.nanosecond = format!("{digits:0<9}").get(..9)?.parse().ok()?,
            'n' => self.nanosecond = value,
            _ => return None,
        }
        Some(rest)
    }

    fn civil(&self) -> Option<DateTime> {
        let hour = self.hour.or_else(|| self.half_hour.map(|hour| hour + if self.afternoon { 12 } else { 0 }))?;
        let date = Date::new(small(self.year?)?, small(self.month?)?, small(self.day?)?).ok()?;
        let (minute, second) = (small(self.minute)?, small(self.second)?);
        let time = Time::new(small(hour)?, minute, second, small(self.nanosecond)?).ok()?;
        Some(date.to_datetime(time))
    }
}

fn small<T: TryFrom<i64>>(value: i64) -> Option<T> {
    T::try_from(value).ok()
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Which name stands first in the text, counted from 1: the full one with four letters, else its first three.
fn name<'t>(text: &'t str, names: &[&str], count: usize) -> Option<(i64, &'t str)> {
    names.iter().zip(1..).find_map(|(name, index)| {
        let name = if count >= 4 { name } else { name.get(..3)? };
        Some((index, text.strip_prefix(name)?))
    })
}

/// `Z`, `+08`, `+0830`, `+08:30`, with or without `GMT` before it.
fn offset(text: &str) -> Option<(Offset, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((Offset::UTC, rest));
    }
    let unprefixed = text.strip_prefix("GMT").unwrap_or(text);
    let sign = match unprefixed.chars().next() {
        Some('+') => 1,
        Some('-') => -1,
        _ => return (unprefixed != text).then_some((Offset::UTC, unprefixed)),
    };
    let (hours, rest) = two_digits(&unprefixed[1..])?;
    let (minutes, rest) = two_digits(rest.strip_prefix(':').unwrap_or(rest)).unwrap_or((0, rest));
    Some((Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?, rest))
}

fn two_digits(text: &str) -> Option<(i32, &str)> {
    let (digits, rest) = text.split_at_checked(2)?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then_some((digits.parse().ok()?, rest))
}
