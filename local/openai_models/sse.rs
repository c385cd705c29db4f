//! The events of a response, with a limit on the length of each.
use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use sse_stream::SseStream;

/// A longer event ends the answer: a call with all its arguments is shorter.
pub const MAX_EVENT_BYTES: usize = 2 << 20;

/// The data of each event. Chunks may be cut anywhere.
pub fn event_data<E: std::error::Error + Send + Sync + 'static>(
    chunks: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> impl Stream<Item = io::Result<String>> + Send {
    let mut length = EventLength::default();
    let limited = chunks.map(move |chunk| {
        let chunk = chunk.map_err(io::Error::other)?;
        if length.add(&chunk) { Ok(chunk) } else { Err(io::Error::other("an event is too long")) }
    });
    // Nothing follows an error.
    SseStream::from_bytes_stream(limited.boxed())
        .scan(false, |has_failed, event| {
            let event = (!*has_failed).then(|| event.map_err(io::Error::other));
            *has_failed = matches!(event, Some(Err(_)));
            std::future::ready(event)
        })
        .filter_map(|event| std::future::ready(event.map(|event| event.data).transpose()))
}

/// How much of an event has arrived.
#[derive(Default)]
struct EventLength {
    event: usize,
    line: usize,
}

impl EventLength {
    /// Whether the event that is open after these bytes is short enough, and each within them.
    fn add(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            self.event += 1;
            match byte {
                b'\r' => {}
                b'\n' if self.line == 0 => self.event = 0,
                b'\n' => self.line = 0,
                _ => self.line += 1,
            }
            if self.event > MAX_EVENT_BYTES {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(bytes: &[u8], length: usize) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let chunks = bytes.chunks(length).map(|chunk| Ok(Bytes::copy_from_slice(chunk)));
        futures::stream::iter(chunks.collect::<Vec<_>>())
    }

    async fn data(bytes: &[u8], length: usize) -> Vec<Option<String>> {
        event_data(chunks(bytes, length)).map(Result::ok).collect().await
    }

    #[tokio::test]
    async fn events_are_found_wherever_the_bytes_are_cut() {
        let bytes = "\u{feff}data: a\r\n\r\n: ping\n\ndata: 🦀\ndata: b\n\nid: 1\n\n".as_bytes();
        for length in 1..=bytes.len() {
            assert_eq!(data(bytes, length).await, ["a", "🦀\nb"].map(|text| Some(text.to_owned())), "{length}");
        }
    }

    #[tokio::test]
    async fn nothing_follows_an_event_that_is_too_long_or_no_event() {
        let long = format!("data: a\n\ndata: {}\n\ndata: b\n\n", "x".repeat(MAX_EVENT_BYTES));
        assert_eq!(data(long.as_bytes(), 1 << 16).await, [Some("a".into()), None]);
        assert_eq!(data(b"data: a\n\nno event\n\ndata: b\n\n", 9).await, [Some("a".into()), None]);
    }
}
