//! Java's `BigDecimal`: its texts, and exact conversion to machine numbers.

/// A decimal number: its digits times ten to the power of `-scale`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JavaDecimal {
    is_negative: bool,
    /// Without leading zeros, except for the one digit of zero.
    digits: String,
    scale: i64,
}

impl JavaDecimal {
    /// Parses a text as `new BigDecimal(text)` does: `7`, `+7.50`, `.5`, `5.`, `7e-1`.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negative, unsigned) = match text.strip_prefix(['+', '-']) {
            Some(unsigned) => (text.starts_with('-'), unsigned),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = format!("{integer}{fraction}");
        if all_digits.is_empty() || !all_digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = all_digits.trim_start_matches('0');
        let is_zero = digits.is_empty();
        Some(Self {
            is_negative: is_negative && !is_zero,
            digits: if is_zero { "0".to_owned() } else { digits.to_owned() },
            scale: i64::try_from(fraction.len()).ok()? - exponent,
        })
    }

    /// The number as an integer, if it is whole and in range.
    pub fn to_integer(&self) -> Option<i64> {
        let digits = match usize::try_from(self.scale) {
            Ok(0) => self.digits.clone(),
            Ok(scale) => {
                let (integer, fraction) = self.digits.split_at(self.digits.len().saturating_sub(scale));
                if !fraction.bytes().all(|byte| byte == b'0') {
                    return None;
                }
                if integer.is_empty() { "0".to_owned() } else { integer.to_owned() }
            }
            Err(_) if self.digits == "0" => "0".to_owned(),
            Err(_) => {
                let zeros = usize::try_from(self.scale.unsigned_abs()).ok().filter(|zeros| *zeros <= MAX_ZEROS)?;
                format!("{}{}", self.digits, "0".repeat(zeros))
            }
        };
        let sign = if self.is_negative { "-" } else { "" };
        format!("{sign}{digits}").parse().ok()
    }

    /// The nearest double, if it is finite.
    pub fn to_double(&self) -> Option<f64> {
        let sign = if self.is_negative { "-" } else { "" };
        let double: f64 = format!("{sign}{}e{}", self.digits, -self.scale).parse().ok()?;
        double.is_finite().then_some(double)
    }
}

/// More than any number of 64 bits has.
const MAX_ZEROS: usize = 20;

/// Java's exponents have 32 bits.
fn parse_exponent(text: &str) -> Option<i64> {
    text.parse::<i32>().ok().map(i64::from)
}

/// As `BigDecimal.toString`: scientific if the scale is negative or the number is below 10^-6.
impl std::fmt::Display for JavaDecimal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_negative {
            formatter.write_str("-")?;
        }
        let length = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        let exponent = length - 1 - self.scale;
        if self.scale == 0 {
            return formatter.write_str(&self.digits);
        }
        if self.scale > 0 && exponent >= -6 {
            let width = usize::try_from(self.scale + 1).unwrap_or_default();
            let padded = format!("{:0>width$}", self.digits);
            let (integer, fraction) = padded.split_at(padded.len() + 1 - width);
            return write!(formatter, "{integer}.{fraction}");
        }
        let (first, rest) = self.digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        write!(formatter, "{first}{point}{rest}E{exponent:+}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_whole_numbers_are_integers() {
        for (text, integer) in [
            ("7", 7),
            ("+7", 7),
            ("-0", 0),
            ("007", 7),
            ("7.0", 7),
            ("7.", 7),
            ("2e1", 20),
            ("2000E-2", 20),
            ("-9223372036854775808", i64::MIN),
            ("0e2147483647", 0),
            ("0.000e-2147483648", 0),
        ] {
            assert_eq!(JavaDecimal::parse(text).unwrap().to_integer(), Some(integer), "{text}");
        }
        for text in ["7.5", ".5", "9223372036854775808", "1e19", "1e2147483647", "1e-2147483648"] {
            assert_eq!(JavaDecimal::parse(text).unwrap().to_integer(), None, "{text}");
        }
        for text in [
            "",
            " 7",
            "7 ",
            "x",
            "NaN",
            "Infinity",
            "0x7",
            "1_0",
            ".",
            "+",
            "e1",
            "1e",
            "1e1.0",
            "--1",
            "1e2147483648",
            "٧",
        ] {
            assert_eq!(JavaDecimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn texts_are_the_nearest_doubles() {
        for (text, double) in [("7", 7.0), ("-.5", -0.5), ("1e2", 100.0), ("0.1", 0.1), ("1e-400", 0.0)] {
            assert_eq!(JavaDecimal::parse(text).unwrap().to_double(), Some(double), "{text}");
        }
        assert_eq!(JavaDecimal::parse("1e400").unwrap().to_double(), None);
    }

    #[test]
    fn text_is_that_of_java() {
        for (text, expected) in [
            ("7", "7"),
            ("-0", "0"),
            ("1.50", "1.50"),
            ("-0.5", "-0.5"),
            ("1e400", "1E+400"),
            ("15e-1", "1.5"),
            ("12e1", "1.2E+2"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1E-7"),
            ("123e-9", "1.23E-7"),
            ("0.00", "0.00"),
        ] {
            assert_eq!(JavaDecimal::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }
}
