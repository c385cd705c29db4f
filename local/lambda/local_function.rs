//! Functions that are programs of the user, beside those of the template.
use std::{collections::BTreeMap, str::FromStr};

use crate::{
    command_line::CommandLine,
    stack::{EventInvokeConfig, Function, Role},
    template::{ACCOUNT, REGION},
};

const MEMORY_MEGABYTES: u32 = 128;
/// The longest time that an agent waits for a tool.
const TIMEOUT_SECONDS: u32 = 300;
const MAX_NAME_LENGTH: usize = 64;

/// A function from `--function NAME=COMMAND`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFunction {
    pub name: String,
    pub command: CommandLine,
}

impl LocalFunction {
    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{}", self.name)
    }

    /// The function in a stack. Its role has no permissions.
    pub fn to_function(&self) -> Function {
        Function {
            name: self.name.clone(),
            arn: self.arn(),
            memory_megabytes: MEMORY_MEGABYTES,
            timeout_seconds: TIMEOUT_SECONDS,
            reserved_concurrency: None,
            code_folder: String::new(),
            command: Some(self.command.clone()),
            environment: BTreeMap::new(),
            event_invoke: EventInvokeConfig { max_retries: 2, max_event_age_seconds: 21_600, on_failure: None },
            role: Role { arn: format!("arn:aws:iam::{ACCOUNT}:role/{}", self.name), statements: Vec::new() },
        }
    }
}

/// Parses `NAME=COMMAND`.
impl FromStr for LocalFunction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or("it must be NAME=COMMAND")?;
        if !is_function_name(name) {
            return Err(format!("the name must have 1 to {MAX_NAME_LENGTH} letters, digits, - and _, not '{name}'"));
        }
        Ok(Self { name: name.to_owned(), command: command.parse()? })
    }
}

fn is_function_name(name: &str) -> bool {
    (1..=MAX_NAME_LENGTH).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn command_is_divided_as_a_shell_divides_it() {
        let function: LocalFunction = "forecast=node 'my tools/forecast.mjs' --unit=C".parse().unwrap();
        assert_eq!(function.arn(), "arn:aws:lambda:us-east-1:000000000000:function:forecast");
        assert_eq!(function.command.program, PathBuf::from("node"));
        assert_eq!(function.command.arguments, ["my tools/forecast.mjs", "--unit=C"]);
    }

    #[test]
    fn invalid_functions_are_refused() {
        for (text, message) in [
            ("forecast", "it must be NAME=COMMAND"),
            ("=node", "the name must have 1 to 64 letters, digits, - and _, not ''"),
            ("get.forecast=node", "the name must have 1 to 64 letters, digits, - and _, not 'get.forecast'"),
            ("forecast=", "the command is empty"),
            ("forecast=node 'a", "the command has a quote without an end"),
        ] {
            assert_eq!(text.parse::<LocalFunction>(), Err(message.to_owned()));
        }
    }
}
