//! The end of a command's output.
use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};

const MAX_BYTES: usize = 8 << 10;
const MAX_LINES: usize = 15;

/// The last bytes of an output of any length.
#[derive(Default)]
pub struct OutputTail(VecDeque<u8>);

impl OutputTail {
    /// Reads until the output is closed.
    pub async fn read(&mut self, mut output: impl AsyncRead + Unpin) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut buffer).await {
            self.push(&buffer[..length]);
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let excess = self.0.len().saturating_sub(MAX_BYTES);
        self.0.drain(..excess);
    }

    /// The last lines that are not blank.
    pub fn last_lines(&self) -> Vec<String> {
        let bytes: Vec<u8> = self.0.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<String> =
            text.lines().rev().map(printable).filter(|line| !line.is_empty()).take(MAX_LINES).collect();
        lines.reverse();
        lines
    }
}

/// The line without the control characters that would change the terminal.
fn printable(line: &str) -> String {
    let printable: String = line.chars().map(|character| if character == '\t' { ' ' } else { character }).collect();
    printable.replace(char::is_control, "").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn last_lines_of_a_long_output_are_printable() {
        let mut output: String = (0..10_000).map(|number| format!("line {number}\n")).collect();
        output += "\x1b]0;title\x07error:\tthe end\r\n\n";
        let mut tail = OutputTail::default();
        tail.read(output.as_bytes()).await;
        let lines = tail.last_lines();
        assert_eq!((lines.len(), lines[0].as_str()), (MAX_LINES, "line 9986"));
        assert_eq!(lines[MAX_LINES - 1], "]0;titleerror: the end");
        assert!(tail.0.len() <= MAX_BYTES);
    }
}
