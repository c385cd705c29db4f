//! Parses a text according to a pattern.
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use super::pattern::{Part, Pattern};

/// The date and time in a text, and its time zone if it names one.
pub struct ParsedTime {
    pub civil: DateTime,
    pub zone: Option<TimeZone>,
}

pub fn parse(pattern: &Pattern, text: &str) -> Result<ParsedTime, String> {
    let message = || format!("the text {text:?} does not fit the pattern");
    let mut fields = Fields::default();
    let mut rest = text;
    for (index, part) in pattern.0.iter().enumerate() {
        rest = match part {
            Part::Literal(literal) => rest.strip_prefix(literal.as_str()).ok_or_else(message)?,
            Part::Field(letter, count) => {
                let width = Width::new(*letter, *count, pattern.0.get(index + 1));
                fields.parse_field(*letter, *count, width, rest).ok_or_else(message)?
            }
        };
    }
    if !rest.is_empty() {
        return Err(message());
    }
    let civil = fields.to_civil().ok_or_else(|| format!("the text {text:?} does not give a date and an hour"))?;
    Ok(ParsedTime { civil, zone: fields.zone })
}

/// The number of digits of a field. The number is exact when the next field is numeric too.
struct Width {
    min: usize,
    max: usize,
}

impl Width {
    fn new(letter: char, count: usize, next: Option<&Part>) -> Self {
        let next_is_numeric = matches!(next, Some(Part::Field(letter, count)) if is_numeric(*letter, *count));
        let is_exact = next_is_numeric || letter == 'S' || count == 2;
        Width { min: count, max: if is_exact { count } else { 10 } }
    }
}

fn is_numeric(letter: char, count: usize) -> bool {
    "uydDHhKkmsSAnN".contains(letter) || ("ML".contains(letter) && count < 3)
}

#[derive(Default)]
struct Fields {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    hour: Option<i64>,
    /// From 0 to 11.
    half_day_hour: Option<i64>,
    is_afternoon: bool,
    minute: i64,
    second: i64,
    nanosecond: i64,
    zone: Option<TimeZone>,
}

impl Fields {
    /// Parses one field. Returns the rest of the text.
    fn parse_field<'t>(&mut self, letter: char, count: usize, width: Width, text: &'t str) -> Option<&'t str> {
        match letter {
            'M' | 'L' if count >= 3 => {
                let (month, rest) = parse_name(text, &MONTHS, count)?;
                self.month = Some(month);
                Some(rest)
            }
            'E' => parse_name(text, &WEEKDAYS, count).map(|(_, rest)| rest),
            'a' => {
                let (half_day, rest) = parse_name(text, &["AM", "PM"], 4)?;
                self.is_afternoon = half_day == 2;
                Some(rest)
            }
            'X' | 'x' | 'Z' | 'O' => {
                let (offset, rest) = parse_offset(text)?;
                self.zone = Some(TimeZone::fixed(offset));
                Some(rest)
            }
            'V' | 'z' => {
                let end = text.find(|next: char| !next.is_ascii_alphanumeric() && !"/_+-".contains(next));
                let (zone, rest) = text.split_at(end.unwrap_or(text.len()));
                self.zone = Some(super::time_zone(zone).ok()?);
                Some(rest)
            }
            _ => self.parse_number(letter, count, width, text),
        }
    }

    fn parse_number<'t>(&mut self, letter: char, count: usize, width: Width, text: &'t str) -> Option<&'t str> {
        let digits = text.bytes().take(width.max).take_while(u8::is_ascii_digit).count();
        if digits < width.min {
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
            'h' | 'K' => self.half_day_hour = Some(value % 12),
            'm' => self.minute = value,
            's' => self.second = value,
            'S' => self.nanosecond = format!("{digits:0<9}").get(..9)?.parse().ok()?,
            'n' => self.nanosecond = value,
            _ => return None,
        }
        Some(rest)
    }

    fn to_civil(&self) -> Option<DateTime> {
        let hour =
            self.hour.or_else(|| self.half_day_hour.map(|hour| hour + if self.is_afternoon { 12 } else { 0 }))?;
        let date = Date::new(convert(self.year?)?, convert(self.month?)?, convert(self.day?)?).ok()?;
        let (minute, second) = (convert(self.minute)?, convert(self.second)?);
        let time = Time::new(convert(hour)?, minute, second, convert(self.nanosecond)?).ok()?;
        Some(date.to_datetime(time))
    }
}

fn convert<T: TryFrom<i64>>(value: i64) -> Option<T> {
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

/// The number of the name at the start of the text, counted from 1, and the rest of the text. From a count of
/// four the name is written in full, else it has three letters.
fn parse_name<'t>(text: &'t str, names: &[&str], count: usize) -> Option<(i64, &'t str)> {
    names.iter().zip(1..).find_map(|(name, index)| {
        let name = if count >= 4 { name } else { name.get(..3)? };
        Some((index, text.strip_prefix(name)?))
    })
}

/// Parses `Z`, `+08`, `+0830` or `+08:30`, with or without `GMT` in front.
fn parse_offset(text: &str) -> Option<(Offset, &str)> {
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
