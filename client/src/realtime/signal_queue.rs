//! Bounded queue of the signals of one subscription, which its owner may read slowly.
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::Stream;

use super::Signal;

/// Enough for the updates of several minutes of streaming.
const CAPACITY: usize = 1024;

/// The receiver ends when the sender is dropped.
pub(super) struct Sender(Arc<Mutex<Queue>>);

pub(super) struct Receiver(Arc<Mutex<Queue>>);

pub(super) fn signal_queue() -> (Sender, Receiver) {
    let queue = Arc::<Mutex<Queue>>::default();
    (Sender(queue.clone()), Receiver(queue))
}

#[derive(Default)]
struct Queue {
    signals: VecDeque<Signal>,
    is_closed: bool,
    reader: Option<Waker>,
}

impl Queue {
    /// A full queue is cleared, and reports that as an interruption of the subscription.
    fn push(&mut self, signal: Signal) {
        if self.signals.len() >= CAPACITY {
            self.signals.clear();
            self.signals.push_back(Signal::Interrupted);
            if let Signal::Data(_) = signal {
                self.signals.push_back(Signal::Subscribed);
            }
        }
        self.signals.push_back(signal);
        self.wake_reader();
    }

    fn close(&mut self) {
        self.is_closed = true;
        self.wake_reader();
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Sender {
    pub fn send(&self, signal: Signal) {
        lock(&self.0).push(signal);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        lock(&self.0).close();
    }
}

impl Stream for Receiver {
    type Item = Signal;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Signal>> {
        let mut queue = lock(&self.0);
        match queue.signals.pop_front() {
            Some(signal) => Poll::Ready(Some(signal)),
            None if queue.is_closed => Poll::Ready(None),
            None => {
                queue.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt, executor::block_on};
    use serde_json::json;

    use super::*;

    fn data(number: usize) -> Signal {
        Signal::Data(json!(number))
    }

    /// The signals that a queue holds after so many updates, with its sender.
    fn queue_after(updates: usize) -> (Sender, Vec<Signal>) {
        let (sender, mut receiver) = signal_queue();
        (0..updates).for_each(|number| sender.send(data(number)));
        let signals = std::iter::from_fn(|| receiver.next().now_or_never().flatten()).collect();
        (sender, signals)
    }

    #[test]
    fn signals_are_received_in_order() {
        let (_, signals) = queue_after(CAPACITY);
        assert_eq!(signals, (0..CAPACITY).map(data).collect::<Vec<_>>());
    }

    #[test]
    fn overflow_by_data_is_an_interruption_with_recovery() {
        let (_, signals) = queue_after(CAPACITY + 2);
        let expected = [Signal::Interrupted, Signal::Subscribed, data(CAPACITY), data(CAPACITY + 1)];
        assert_eq!(signals, expected);
        let (_, signals) = queue_after(10 * CAPACITY);
        assert!(signals.len() <= CAPACITY);
        assert_eq!((&signals[0], signals.last()), (&Signal::Interrupted, Some(&data(10 * CAPACITY - 1))));
    }

    #[test]
    fn overflow_by_a_refusal_is_an_interruption_that_lasts() {
        let (sender, mut receiver) = signal_queue();
        (0..CAPACITY).for_each(|number| sender.send(data(number)));
        sender.send(Signal::Refused(Vec::new()));
        drop(sender);
        let signals: Vec<_> = block_on(async { receiver.by_ref().collect().await });
        assert_eq!(signals, [Signal::Interrupted, Signal::Refused(Vec::new())]);
    }

    #[test]
    fn waiting_reader_is_woken_by_a_signal_and_by_the_end() {
        let (sender, mut receiver) = signal_queue();
        let writer = std::thread::spawn(move || sender.send(Signal::Subscribed));
        assert_eq!(block_on(receiver.next()), Some(Signal::Subscribed));
        assert_eq!(block_on(receiver.next()), None);
        writer.join().unwrap();
    }
}
