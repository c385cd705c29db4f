//! Command lines in options, such as `--handler COMMAND`.
use std::{path::PathBuf, str::FromStr};

/// A program and its arguments. No shell runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

/// The text is divided into words as a shell divides it.
impl FromStr for CommandLine {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = shlex::split(text).ok_or("the command has a quote without an end")?;
        let (program, arguments) = words.split_first().ok_or("the command is empty")?;
        Ok(Self { program: program.into(), arguments: arguments.to_vec() })
    }
}
