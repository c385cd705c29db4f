//! Text of CSV: a row is a line `header: value; header: value`, which is understood without the rows above.
use super::{ExtractError, MAX_TEXT_BYTES};

const DELIMITERS: [char; 3] = [',', ';', '\t'];

pub fn to_text(content: &str) -> Result<String, ExtractError> {
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter(content)).flexible(true).from_reader(content.as_bytes());
    let headers = reader.headers().map_err(error)?.clone();
    let mut text = String::new();
    for row in reader.records() {
        let row = row.map_err(error)?;
        let fields = row.iter().enumerate().map(|(column, value)| (headers.get(column).unwrap_or_default(), value));
        push_row(&mut text, fields);
        // Headers are repeated in each row, so that a short file may become a long text.
        if text.len() > MAX_TEXT_BYTES {
            return Err(ExtractError::TooLong);
        }
    }
    Ok(text)
}

fn push_row<'a>(text: &mut String, fields: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut separator = if text.is_empty() { "" } else { "\n" };
    for (header, value) in fields {
        // A line break within a value would end the row.
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        if value.is_empty() {
            continue;
        }
        text.push_str(separator);
        if !header.trim().is_empty() {
            text.push_str(header.trim());
            text.push_str(": ");
        }
        text.push_str(&value);
        separator = "; ";
    }
}

/// The delimiter that the first line has most of.
fn delimiter(content: &str) -> u8 {
    let first_line = content.lines().next().unwrap_or_default();
    let count = |delimiter: &char| first_line.matches(*delimiter).count();
    let best = DELIMITERS.into_iter().rev().max_by_key(count).unwrap_or(',');
    best as u8
}

fn error(error: csv::Error) -> ExtractError {
    ExtractError::Csv(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_names_its_columns() {
        let csv = "Zone,Days,Price\nNorth,2,\"4,90\nEUR\"\nSouth,,6\n";
        assert_eq!(to_text(csv).unwrap(), "Zone: North; Days: 2; Price: 4,90 EUR\nZone: South; Price: 6");
    }

    #[test]
    fn semicolons_and_tabs_delimit_too() {
        assert_eq!(to_text("a;b\n1,5;2").unwrap(), "a: 1,5; b: 2");
        assert_eq!(to_text("a\tb\n1\t2").unwrap(), "a: 1; b: 2");
        assert_eq!(to_text("only\none").unwrap(), "only: one");
    }

    #[test]
    fn rows_may_be_longer_or_shorter_than_the_header() {
        assert_eq!(to_text("a,b\n1\n1,2,3").unwrap(), "a: 1\na: 1; b: 2; 3");
    }
}
