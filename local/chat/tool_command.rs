//! Commands of the user that run the tools of clients.
use std::{
    fmt,
    process::{ExitStatus, Stdio},
    str::FromStr,
    time::Duration,
};

use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{ChildStdin, Command},
    time::timeout,
};

use crate::{
    command_line::CommandLine,
    process_group::{ProcessGroup, ProcessGroupGuard},
};

/// How long a command may run.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(60);
/// The API's bound for the result of a call, as JSON text.
const MAX_RESULT_BYTES: usize = 48 << 10;
const MAX_NAME_LENGTH: usize = 64;
/// Only the end of what a command writes to its standard error is kept.
const MAX_ERROR_BYTES: usize = 4 << 10;
const MAX_ERROR_CHARS: usize = 1_000;

/// A command from `--tool NAME=COMMAND`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCommand {
    /// The name of the tool.
    pub name: String,
    /// The command as the user wrote it.
    text: String,
    command_line: CommandLine,
}

/// The call for which a command is run.
pub(super) struct CommandCall<'a> {
    pub conversation_id: &'a str,
    pub turn_id: &'a str,
    pub tool_use_id: &'a str,
    /// The arguments of the call, as JSON text.
    pub input: &'a str,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandResult {
    /// JSON text of at most 48 KB.
    pub json: String,
    pub is_error: bool,
}

impl ToolCommand {
    /// Runs the command to its end. It gets the arguments on its standard input; the processes that it has
    /// started end with it. When the returned future is dropped, all of them are killed.
    pub(super) async fn run(&self, call: CommandCall<'_>, time_limit: Duration) -> CommandResult {
        let mut command = Command::new(&self.command_line.program);
        command.args(&self.command_line.arguments).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What a command changes, it can claim by these ids: another client may run the same call.
        command.env("PARLANCE_CONVERSATION_ID", call.conversation_id);
        command.env("PARLANCE_TURN_ID", call.turn_id).env("PARLANCE_TOOL_USE_ID", call.tool_use_id);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return CommandResult::error(&format!("The command cannot be started: {error}.")),
        };
        let group = ProcessGroupGuard::new(ProcessGroup::of(child.id()));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let exit = async {
            // A process that the command leaves behind would hold its output open.
            group.end_with_leader().await;
            child.wait().await
        };
        let output = async {
            let output = read_output(stdout).await;
            if output.is_none() {
                group.kill();
            }
            output
        };
        let finished = async { tokio::join!(write_input(stdin, call.input), output, read_last_line(stderr), exit) };
        let Ok(((), output, last_line, status)) = timeout(time_limit, finished).await else {
            let seconds = time_limit.as_secs();
            return CommandResult::error(&format!("The command did not end within {seconds} seconds."));
        };
        match (output, status) {
            (None, _) => CommandResult::too_large(),
            (Some(output), Ok(status)) if status.success() => CommandResult::from_output(&output),
            (Some(_), Ok(status)) => CommandResult::error(&last_line.unwrap_or_else(|| describe_exit(status))),
            (Some(_), Err(error)) => CommandResult::error(&format!("The command was lost: {error}.")),
        }
    }
}

impl fmt::Display for ToolCommand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Parses `NAME=COMMAND`.
impl FromStr for ToolCommand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or("it must be NAME=COMMAND")?;
        if !is_tool_name(name) {
            return Err(format!("the name must have 1 to {MAX_NAME_LENGTH} letters, digits and _, not '{name}'"));
        }
        Ok(Self { name: name.to_owned(), text: command.trim().to_owned(), command_line: command.parse()? })
    }
}

fn is_tool_name(name: &str) -> bool {
    (1..=MAX_NAME_LENGTH).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl CommandResult {
    pub fn error(message: &str) -> Self {
        let message: String = message.chars().take(MAX_ERROR_CHARS).collect();
        Self { json: Value::from(message).to_string(), is_error: true }
    }

    fn too_large() -> Self {
        Self::error("The output of the command is larger than 48 KB.")
    }

    /// JSON is sent as it is, and other output as a JSON string. The API takes no null as a result, so it
    /// counts as other output.
    fn from_output(output: &[u8]) -> Self {
        let text = String::from_utf8_lossy(output);
        let is_json = serde_json::from_str::<IgnoredAny>(&text).is_ok() && text.trim() != "null";
        let json =
            if is_json { text.trim().to_owned() } else { Value::from(text.trim_end_matches(['\r', '\n'])).to_string() };
        if json.len() > MAX_RESULT_BYTES { Self::too_large() } else { Self { json, is_error: false } }
    }
}

/// A command may end without having read its input.
async fn write_input(stdin: Option<ChildStdin>, input: &str) {
    if let Some(mut stdin) = stdin {
        stdin.write_all(input.as_bytes()).await.ok();
    }
}

/// What a command writes; `None` if that is larger than a result may be.
async fn read_output(stdout: Option<impl AsyncRead + Unpin>) -> Option<Vec<u8>> {
    let mut output = Vec::new();
    if let Some(stdout) = stdout {
        stdout.take(MAX_RESULT_BYTES as u64 + 1).read_to_end(&mut output).await.ok();
    }
    (output.len() <= MAX_RESULT_BYTES).then_some(output)
}

/// The last line that is not blank.
async fn read_last_line(stderr: Option<impl AsyncRead + Unpin>) -> Option<String> {
    let mut stderr = stderr?;
    let mut end = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
        end.extend_from_slice(&chunk[..length]);
        end.drain(..end.len().saturating_sub(MAX_ERROR_BYTES));
    }
    let text = String::from_utf8_lossy(&end);
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}

fn describe_exit(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("The command ended with the exit code {code}."),
        None => "The command was ended by a signal.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Instant};

    use super::*;

    const INPUT: &str = r#"{"city" : "Paris"}"#;

    async fn run(command: &str) -> (String, bool) {
        run_within(command, TIME_LIMIT).await
    }

    async fn run_within(command: &str, time_limit: Duration) -> (String, bool) {
        let command: ToolCommand = format!("tool={command}").parse().unwrap();
        let call = CommandCall { conversation_id: "c1", turn_id: "m1", tool_use_id: "t1", input: INPUT };
        let CommandResult { json, is_error } = command.run(call, time_limit).await;
        (json, is_error)
    }

    /// The command of a shell that runs a script.
    fn shell(script: &str) -> String {
        format!("sh -c {}", shlex::try_quote(script).unwrap())
    }

    #[test]
    fn command_is_divided_as_a_shell_divides_it() {
        let command: ToolCommand = "read_file=cat 'my notes.txt' --show=all ".parse().unwrap();
        let CommandLine { program, arguments } = &command.command_line;
        assert_eq!((command.name.as_str(), program.to_str()), ("read_file", Some("cat")));
        assert_eq!(arguments, &["my notes.txt", "--show=all"]);
        assert_eq!(command.to_string(), "cat 'my notes.txt' --show=all");
    }

    #[test]
    fn invalid_commands_are_refused() {
        for (text, message) in [
            ("forecast", "it must be NAME=COMMAND"),
            ("=node", "the name must have 1 to 64 letters, digits and _, not ''"),
            ("get-forecast=node", "the name must have 1 to 64 letters, digits and _, not 'get-forecast'"),
            ("forecast= ", "the command is empty"),
            ("forecast=node 'a", "the command has a quote without an end"),
        ] {
            assert_eq!(text.parse::<ToolCommand>(), Err(message.to_owned()));
        }
    }

    #[tokio::test]
    async fn json_is_sent_as_it_is_and_other_output_as_a_string() {
        assert_eq!(run("cat").await, (INPUT.to_owned(), false));
        for (output, json) in [
            ("[1.0, 2]\\n", "[1.0, 2]"),
            ("23 °C\\n", r#""23 °C""#),
            ("null", r#""null""#),
            ("", r#""""#),
            ("{\"a\":1} {}", r#""{\"a\":1} {}""#),
        ] {
            assert_eq!(run(&shell(&format!("printf '{output}'"))).await, (json.to_owned(), false));
        }
    }

    #[tokio::test]
    async fn command_gets_the_ids_of_its_call() {
        let script = "echo $PARLANCE_CONVERSATION_ID $PARLANCE_TURN_ID $PARLANCE_TOOL_USE_ID";
        assert_eq!(run(&shell(script)).await, (r#""c1 m1 t1""#.to_owned(), false));
    }

    #[tokio::test]
    async fn failed_command_returns_its_last_line_of_standard_error() {
        let script = "echo '{}'; echo 'Warning: slow.' >&2; printf 'There is no such city.\\n\\n' >&2; exit 3";
        assert_eq!(run(&shell(script)).await, (r#""There is no such city.""#.to_owned(), true));
        let expected = (r#""The command ended with the exit code 3.""#.to_owned(), true);
        assert_eq!(run(&shell("exit 3")).await, expected);
        assert_eq!(run(&shell("kill $$")).await, (r#""The command was ended by a signal.""#.to_owned(), true));
        let (json, is_error) = run("there-is-no-such-program").await;
        assert!(json.starts_with(r#""The command cannot be started: "#) && is_error, "{json}");
    }

    #[tokio::test]
    async fn long_line_of_standard_error_is_cut() {
        let (json, is_error) = run(&shell("head -c 100000 /dev/zero | tr '\\0' e >&2; exit 1")).await;
        assert_eq!((json, is_error), (format!("\"{}\"", "e".repeat(MAX_ERROR_CHARS)), true));
    }

    #[tokio::test]
    async fn output_over_48_kilobytes_is_an_error() {
        let longest = MAX_RESULT_BYTES - 2;
        let output = |length: usize| shell(&format!("head -c {length} /dev/zero | tr '\\0' x"));
        assert_eq!(run(&output(longest)).await, (format!("\"{}\"", "x".repeat(longest)), false));
        let expected = (r#""The output of the command is larger than 48 KB.""#.to_owned(), true);
        assert_eq!(run(&output(longest + 1)).await, expected, "with its quotes the string is longer");
        assert_eq!(run("yes").await, expected, "a command without an end is killed");
    }

    #[tokio::test]
    async fn command_is_killed_with_its_children_after_the_time_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("late");
        let script = format!("(sleep 1; touch {}) & sleep 60", file.display());
        let expected = (r#""The command did not end within 0 seconds.""#.to_owned(), true);
        assert_eq!(run_within(&shell(&script), Duration::from_millis(300)).await, expected);
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert!(!fs::exists(&file).unwrap(), "the child was killed");
    }

    #[tokio::test]
    async fn processes_that_a_command_leaves_behind_end_with_it() {
        let start = Instant::now();
        assert_eq!(run(&shell("sleep 60 & echo 1")).await, ("1".to_owned(), false));
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
