//! Forwards the output of processes to this process's log.
use serde_json::{Map, Value};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Child,
};
use tracing::Level;

/// Logs the lines of a process until it closes its streams.
pub(super) fn forward_output(function: &str, child: &mut Child) {
    if let Some(stdout) = child.stdout.take() {
        tokio::spawn(forward_lines(function.to_owned(), stdout, Level::INFO));
    }
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(forward_lines(function.to_owned(), stderr, Level::WARN));
    }
}

async fn forward_lines(function: String, stream: impl AsyncRead + Unpin, default_level: Level) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while matches!(stream.read_until(b'\n', &mut line).await, Ok(read) if read > 0) {
        let (level, text) = parse_line(&String::from_utf8_lossy(&line), default_level);
        log(&function, level, &text);
        line.clear();
    }
}

fn log(function: &str, level: Level, text: &str) {
    match level {
        Level::ERROR => tracing::error!(function, "{text}"),
        Level::WARN => tracing::warn!(function, "{text}"),
        Level::INFO => tracing::info!(function, "{text}"),
        Level::DEBUG => tracing::debug!(function, "{text}"),
        _ => tracing::trace!(function, "{text}"),
    }
}

/// The level and text of a line. A JSON line becomes its message followed by its other fields; any other line
/// is kept.
fn parse_line(line: &str, default_level: Level) -> (Level, String) {
    let line = line.trim_end();
    let Ok(Value::Object(mut entry)) = serde_json::from_str(line) else { return (default_level, line.to_owned()) };
    let level = entry.remove("level").and_then(|level| level.as_str()?.parse().ok()).unwrap_or(default_level);
    let mut fields = match entry.remove("fields") {
        Some(Value::Object(fields)) => fields,
        _ => std::mem::take(&mut entry),
    };
    let message = fields.remove("message").map(to_text).unwrap_or_default();
    let parts = [message].into_iter().chain(field_pairs(&fields)).chain(span_pairs(&entry));
    (level, parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "))
}

fn field_pairs(fields: &Map<String, Value>) -> impl Iterator<Item = String> {
    fields.iter().filter(|(name, _)| *name != "timestamp").map(|(name, value)| format!("{name}={value}"))
}

fn span_pairs(entry: &Map<String, Value>) -> impl Iterator<Item = String> {
    let span = entry.get("span").and_then(Value::as_object);
    span.into_iter().flatten().filter(|(name, _)| *name != "name").map(|(name, value)| format!("{name}={value}"))
}

fn to_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_line_becomes_message_and_fields_at_its_level() {
        let cases = [
            (
                r#"{"timestamp":"2026-01-01","level":"WARN","fields":{"message":"throttled","attempt":2},"span":{"turn":"t1","name":"turn"}}"#,
                (Level::WARN, r#"throttled attempt=2 turn="t1""#),
            ),
            (r#"{"level":"DEBUG","message":"flat","count":1}"#, (Level::DEBUG, "flat count=1")),
            (r#"{"message":"no level"}"#, (Level::INFO, "no level")),
            ("plain text\r\n", (Level::INFO, "plain text")),
            ("[1, 2]", (Level::INFO, "[1, 2]")),
        ];
        for (line, (level, text)) in cases {
            assert_eq!(parse_line(line, Level::INFO), (level, text.to_owned()));
        }
    }
}
