//! How far a build is, for the terminal and for browsers.
use std::{io::Write, time::Duration};

use tokio::sync::watch;

use super::build_error::BuildError;

/// Moves to the start of the line and erases it: a progress bar may be there.
const CLEAR_LINE: &str = "\r\x1b[2K";

/// The steps of a build in their order, at most five.
#[derive(Clone, Debug, Default)]
pub struct BuildProgress {
    /// Whether an outdated build is served meanwhile.
    pub has_earlier_build: bool,
    pub steps: Vec<BuildStep>,
}

#[derive(Clone, Debug)]
pub enum BuildStep {
    /// Another server of this folder builds the page.
    Waiting,
    /// `npm ci`
    Installing,
    /// `npm run build`
    Building,
    /// After this time.
    Built(Duration),
    Failed(BuildError),
}

/// Prints each step until the page ends. The reader of the output may be gone, which changes nothing here.
pub async fn print_progress(mut progress: watch::Receiver<BuildProgress>, mut output: impl Write, is_terminal: bool) {
    let mut printed = 0;
    loop {
        let text = {
            let progress = progress.borrow_and_update();
            let steps = &progress.steps[printed..];
            printed = progress.steps.len();
            steps.iter().map(|step| step_text(step, progress.has_earlier_build)).collect::<String>()
        };
        if !text.is_empty() {
            let clear = if is_terminal { CLEAR_LINE } else { "" };
            drop(write!(output, "{clear}{text}").and_then(|()| output.flush()));
        }
        if progress.changed().await.is_err() {
            return;
        }
    }
}

/// One line, and those of a command that has failed.
fn step_text(step: &BuildStep, has_earlier_build: bool) -> String {
    let meanwhile = if has_earlier_build { "; until then the last build is served" } else { "" };
    let line = match step {
        BuildStep::Waiting => format!("another server builds it{meanwhile}"),
        BuildStep::Installing => format!("installing its packages (npm ci){meanwhile}"),
        BuildStep::Building => format!("building (npm run build){meanwhile}"),
        BuildStep::Built(time) => format!("built ({:.0} s)", time.as_secs_f64().ceil()),
        BuildStep::Failed(error) => {
            let served = if has_earlier_build { "; the last build is served" } else { "" };
            let lines: String = error.last_lines().iter().map(|line| format!("\n  {line}")).collect();
            format!("not built: {error}{served}{lines}")
        }
    };
    format!("Chat page: {line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat_page::build_error::FailureReason;

    #[tokio::test]
    async fn each_step_is_printed_once() {
        let (sender, receiver) = watch::channel(BuildProgress::default());
        sender.send_modify(|progress| progress.steps.extend([BuildStep::Waiting, BuildStep::Installing]));
        let mut output = Vec::new();
        let push = async {
            tokio::task::yield_now().await;
            sender.send_modify(|progress| progress.steps.push(BuildStep::Built(Duration::from_millis(12_100))));
            drop(sender);
        };
        tokio::join!(print_progress(receiver, &mut output, false), push);
        let expected = "Chat page: another server builds it\nChat page: installing its packages (npm ci)\n\
                        Chat page: built (13 s)\n";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }

    #[test]
    fn failure_has_the_last_lines_and_says_what_is_served() {
        let error = BuildError::Command {
            command: "npm ci".into(),
            reason: FailureReason::ExitCode(1),
            last_lines: vec!["npm error a".into(), "npm error b".into()],
        };
        let text = |has_earlier_build| step_text(&BuildStep::Failed(error.clone()), has_earlier_build);
        let lines = "\n  npm error a\n  npm error b\n";
        assert_eq!(text(false), format!("Chat page: not built: npm ci ended with the exit code 1{lines}"));
        let served = "; the last build is served";
        assert_eq!(text(true), format!("Chat page: not built: npm ci ended with the exit code 1{served}{lines}"));
        let no_node = step_text(&BuildStep::Failed(BuildError::NoNode), false);
        let expected =
            "Chat page: not built: there is no Node; install Node 20.19 or later and start the server again\n";
        assert_eq!(no_node, expected);
    }
}
