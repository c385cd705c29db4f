//! Parsing of what the user types: a message or a command.

pub(super) const HELP: &str = "\
/retry     answer the last message again
/continue  continue the last answer where it ended
/edit TEXT send a text in place of the last message
/help      list the commands
/quit      leave; the end of the input also leaves
A tool call that needs your approval is asked for: y runs it, n denies it.
Ctrl-C cancels the answer that streams, and ends a command that runs for it; pressed again, or with no
answer streaming, it leaves.
A space before the slash sends a line as a message.
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input<'a> {
    Turn(TurnRequest<'a>),
    Help,
    Quit,
}

/// A request that starts a turn, or starts it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnRequest<'a> {
    Send {
        text: &'a str,
    },
    Retry,
    Continue,
    /// Sends a text in place of the last message.
    Edit {
        text: &'a str,
    },
}

/// Why a text that starts like a command is neither a command nor a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error(
        "There is no command {command}: the commands are /retry, /continue, /edit, /help and /quit, and a space before \
         the slash sends a message."
    )]
    Unknown { command: String },
    #[error(
        "The command {command} takes no text: the commands are /retry, /continue, /edit, /help and /quit, and a space before \
         the slash sends a message."
    )]
    UnexpectedText { command: String },
    #[error("The command {command} takes the text that replaces the last message.")]
    MissingText { command: String },
}

impl<'a> Input<'a> {
    /// A text whose first characters are a slash and a word is a command, and refused if that is unknown.
    /// Every other text is a message, such as ` /retry`, `/etc/hosts` and `// a comment`.
    pub fn parse(text: &'a str) -> Result<Self, CommandError> {
        let (command, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if !is_command(command) {
            return Ok(Self::Turn(TurnRequest::Send { text }));
        }
        let rest = rest.trim();
        let input = match command {
            "/edit" if rest.is_empty() => return Err(CommandError::MissingText { command: command.to_owned() }),
            "/edit" => return Ok(Self::Turn(TurnRequest::Edit { text: rest })),
            "/retry" => Self::Turn(TurnRequest::Retry),
            "/continue" => Self::Turn(TurnRequest::Continue),
            "/help" => Self::Help,
            "/quit" => Self::Quit,
            _ => return Err(CommandError::Unknown { command: command.to_owned() }),
        };
        if !rest.is_empty() {
            return Err(CommandError::UnexpectedText { command: command.to_owned() });
        }
        Ok(input)
    }
}

/// What the user decides about a tool call; `None` if the line says neither.
pub(super) fn parse_approval(line: &str) -> Option<bool> {
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

fn is_command(word: &str) -> bool {
    let Some(name) = word.strip_prefix('/') else { return false };
    !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_recognized() {
        let cases = [
            ("/retry", Input::Turn(TurnRequest::Retry)),
            ("/continue ", Input::Turn(TurnRequest::Continue)),
            ("/edit Hello", Input::Turn(TurnRequest::Edit { text: "Hello" })),
            ("/edit  /retry now ", Input::Turn(TurnRequest::Edit { text: "/retry now" })),
            ("/help", Input::Help),
            ("/quit\t", Input::Quit),
        ];
        for (text, input) in cases {
            assert_eq!(Input::parse(text), Ok(input), "{text}");
        }
    }

    #[test]
    fn texts_that_do_not_start_with_a_slash_and_a_word_are_messages() {
        for text in ["Hello", "", " /retry", "/", "/ 2", "//", "// a comment", "/etc/hosts", "What is /retry?"] {
            assert_eq!(Input::parse(text), Ok(Input::Turn(TurnRequest::Send { text })), "{text}");
        }
    }

    #[test]
    fn unknown_commands_are_refused() {
        for text in ["/shrug", "/Retry", "/shrug me", "/retry-all"] {
            let command = text.split(' ').next().unwrap().to_owned();
            assert_eq!(Input::parse(text), Err(CommandError::Unknown { command }), "{text}");
        }
        for text in ["/retry now", "/quit the job"] {
            let command = text.split(' ').next().unwrap().to_owned();
            assert_eq!(Input::parse(text), Err(CommandError::UnexpectedText { command }), "{text}");
        }
        for text in ["/edit", "/edit  "] {
            assert_eq!(Input::parse(text), Err(CommandError::MissingText { command: "/edit".to_owned() }), "{text}");
        }
    }

    #[test]
    fn only_a_clear_word_approves_or_denies() {
        for (line, approved) in [("y", true), (" YES ", true), ("n", false), ("No", false)] {
            assert_eq!(parse_approval(line), Some(approved), "{line}");
        }
        for line in ["", "yy", "ok", "y n", "/retry"] {
            assert_eq!(parse_approval(line), None, "{line}");
        }
    }

    #[test]
    fn help_and_errors_name_every_command() {
        let error = CommandError::Unknown { command: "/shrug".to_owned() }.to_string();
        for command in ["/retry", "/continue", "/edit Hello", "/help", "/quit"] {
            assert!(Input::parse(command).is_ok());
            let name = command.split(' ').next().unwrap();
            assert!(HELP.contains(name) && error.contains(name), "{name}");
        }
    }
}
