//! The environment, read once; all problems reported together.
use std::{ops::RangeInclusive, time::Duration};

use turn::limits::Limits;

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub table_name: String,
    pub graphql_url: String,
    pub limits: Limits,
}

/// One sentence per problem.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join(" "))]
pub struct SettingsError(Vec<String>);

impl Settings {
    /// `variable`: an environment variable's value, if it is set.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader { variable, problems: Vec::new() };
        let usual = Limits::default();
        let settings = Self {
            table_name: reader.required("TABLE_NAME"),
            graphql_url: reader.url("GRAPHQL_URL"),
            limits: Limits {
                model_silence: Duration::from_secs(reader.number(
                    "MODEL_SILENCE_SECONDS",
                    1..=900,
                    usual.model_silence.as_secs(),
                )),
                pacing_first: reader.milliseconds("PACING_FIRST_MILLISECONDS", usual.pacing_first),
                pacing_last: reader.milliseconds("PACING_LAST_MILLISECONDS", usual.pacing_last),
                batch_max_bytes: reader.bytes("BATCH_MAX_BYTES", 64..=65_536, usual.batch_max_bytes),
                event_max_bytes: reader.bytes("EVENT_MAX_BYTES", 8_192..=240_000, usual.event_max_bytes),
                ..usual
            },
        };
        if settings.limits.pacing_first > settings.limits.pacing_last {
            reader.problems.push("PACING_FIRST_MILLISECONDS must not be above PACING_LAST_MILLISECONDS.".into());
        }
        if reader.problems.is_empty() { Ok(settings) } else { Err(SettingsError(reader.problems)) }
    }
}

struct Reader<F> {
    variable: F,
    problems: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn required(&mut self, name: &str) -> String {
        let value = (self.variable)(name).filter(|value| !value.is_empty());
        value.unwrap_or_else(|| {
            self.problems.push(format!("{name} must be set."));
            String::new()
        })
    }

    fn url(&mut self, name: &str) -> String {
        let value = self.required(name);
        if !value.is_empty() && !reqwest::Url::parse(&value).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            self.problems.push(format!("{name} must be an http or https URL, not {value:?}."));
        }
        value
    }

    fn milliseconds(&mut self, name: &str, usual: Duration) -> Duration {
        Duration::from_millis(self.number(name, 1..=10_000, usual.as_millis() as u64))
    }

    fn bytes(&mut self, name: &str, range: RangeInclusive<u64>, usual: usize) -> usize {
        self.number(name, range, usual as u64) as usize
    }

    fn number(&mut self, name: &str, range: RangeInclusive<u64>, usual: u64) -> u64 {
        let Some(value) = (self.variable)(name) else { return usual };
        match value.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (least, most) = range.into_inner();
                self.problems.push(format!("{name} must be a whole number from {least} to {most}, not {value:?}."));
                usual
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn two_variables_are_enough() {
        let settings = read(&[("TABLE_NAME", "parlance"), ("GRAPHQL_URL", "https://api.example.com/graphql")]).unwrap();
        assert_eq!(settings.limits, Limits::default());
    }

    #[test]
    fn what_is_set_wins() {
        let settings = read(&[
            ("TABLE_NAME", "parlance"),
            ("GRAPHQL_URL", "http://localhost:4000/graphql"),
            ("MODEL_SILENCE_SECONDS", "3"),
            ("PACING_LAST_MILLISECONDS", "500"),
            ("EVENT_MAX_BYTES", "9000"),
        ]);
        let limits = settings.unwrap().limits;
        assert_eq!(limits.model_silence, Duration::from_secs(3));
        assert_eq!((limits.pacing_last, limits.event_max_bytes), (Duration::from_millis(500), 9000));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let problems = read(&[
            ("GRAPHQL_URL", "ftp://x"),
            ("MODEL_SILENCE_SECONDS", "never"),
            ("BATCH_MAX_BYTES", "1"),
            ("PACING_FIRST_MILLISECONDS", "300"),
            ("PACING_LAST_MILLISECONDS", "0"),
        ]);
        assert_eq!(
            problems.unwrap_err().to_string(),
            "TABLE_NAME must be set. \
             GRAPHQL_URL must be an http or https URL, not \"ftp://x\". \
             MODEL_SILENCE_SECONDS must be a whole number from 1 to 900, not \"never\". \
             PACING_LAST_MILLISECONDS must be a whole number from 1 to 10000, not \"0\". \
             BATCH_MAX_BYTES must be a whole number from 64 to 65536, not \"1\". \
             PACING_FIRST_MILLISECONDS must not be above PACING_LAST_MILLISECONDS."
        );
    }
}
