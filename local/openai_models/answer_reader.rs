//! Reads the events of a stream of chat completions as those of ConverseStream.
use std::{collections::VecDeque, io, time::Instant};

use futures::{Stream, StreamExt, stream, stream::BoxStream};

use super::{
    answer::{AnswerTranslator, Progress},
    event::Event,
    failure::Failure,
};

/// Reads the data of one stream's events.
struct AnswerReader {
    data: BoxStream<'static, io::Result<String>>,
    translator: AnswerTranslator,
    /// What is not passed on yet: the events of one chunk.
    events: VecDeque<Event>,
    has_ended: bool,
    started_at: Instant,
}

/// The events of an answer, of which the last is metadata or an exception.
pub fn answer_events(
    data: BoxStream<'static, io::Result<String>>,
    started_at: Instant,
) -> impl Stream<Item = Event> + Send {
    let translator = AnswerTranslator::default();
    let reader = AnswerReader { data, translator, events: VecDeque::new(), has_ended: false, started_at };
    stream::unfold(reader, |mut reader| async move {
        while reader.events.is_empty() && !reader.has_ended {
            reader.advance().await;
        }
        reader.events.pop_front().map(|event| (event, reader))
    })
}

/// The events of a whole answer.
pub fn whole_events(body: &[u8], started_at: Instant) -> Vec<Event> {
    let mut events = Vec::new();
    let mut translator = AnswerTranslator::default();
    let result = translator.receive_whole(body, &mut events);
    let result = result.and_then(|()| translator.finish(started_at.elapsed(), &mut events));
    events.extend(result.err().map(Event::Exception));
    events
}

impl AnswerReader {
    async fn advance(&mut self) {
        let mut events = Vec::new();
        let progress = match self.data.next().await {
            Some(Ok(data)) => self.translator.receive(&data, &mut events),
            Some(Err(error)) => {
                tracing::warn!(%error, "the model server breaks off its answer");
                Err(Failure::BrokenAnswer)
            }
            None => Ok(Progress::Ended),
        };
        let result = match progress {
            Ok(Progress::Open) => Ok(()),
            Ok(Progress::Ended) => {
                self.has_ended = true;
                self.translator.finish(self.started_at.elapsed(), &mut events)
            }
            Err(failure) => Err(failure),
        };
        if let Err(failure) = result {
            self.has_ended = true;
            events.push(Event::Exception(failure));
        }
        self.events.extend(events);
    }
}
