//! What waits to be read by a subscription's owner: never more than its capacity, whoever is slow to read.
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::Stream;

use super::session::Signal;

/// Minutes of the fastest answer.
const CAPACITY: usize = 1024;

/// The writing side; the reading side ends when it is dropped.
pub(super) struct Sender(Arc<Mutex<Mailbox>>);

pub(super) struct Receiver(Arc<Mutex<Mailbox>>);

pub(super) fn mailbox() -> (Sender, Receiver) {
    let shared = Arc::<Mutex<Mailbox>>::default();
    (Sender(shared.clone()), Receiver(shared))
}

#[derive(Default)]
struct Mailbox {
    signals: VecDeque<Signal>,
    closed: bool,
    reader: Option<Waker>,
}

impl Mailbox {
    /// A full mailbox forgets all it holds, and says that updates were lost as it would say of a connection.
    fn put(&mut self, signal: Signal) {
        if self.signals.len() >= CAPACITY {
            self.signals.clear();
            self.signals.push_back(Signal::Interrupted);
            if let Signal::Data(_) = signal {
                self.signals.push_back(Signal::Subscribed);
            }
        }
        self.signals.push_back(signal);
        self.wake();
    }

    fn close(&mut self) {
        self.closed = true;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Sender {
    pub fn send(&self, signal: Signal) {
        lock(&self.0).put(signal);
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
        let mut mailbox = lock(&self.0);
        match mailbox.signals.pop_front() {
            Some(signal) => Poll::Ready(Some(signal)),
            None if mailbox.closed => Poll::Ready(None),
            None => {
                mailbox.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn lock(mailbox: &Mutex<Mailbox>) -> MutexGuard<'_, Mailbox> {
    mailbox.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt, executor::block_on};
    use serde_json::json;

    use super::*;

    fn data(number: usize) -> Signal {
        Signal::Data(json!(number))
    }

    /// A mailbox to which this many updates have been sent, and what it holds.
    fn after(updates: usize) -> (Sender, Vec<Signal>) {
        let (sender, mut receiver) = mailbox();
        (0..updates).for_each(|number| sender.send(data(number)));
        let held = std::iter::from_fn(|| receiver.next().now_or_never().flatten()).collect();
        (sender, held)
    }

    #[test]
    fn signals_are_read_in_their_order() {
        let (_, held) = after(CAPACITY);
        assert_eq!(held, (0..CAPACITY).map(data).collect::<Vec<_>>());
    }

    #[test]
    fn what_no_longer_fits_is_told_as_an_interruption_that_is_over() {
        let (_, held) = after(CAPACITY + 2);
        let expected = [Signal::Interrupted, Signal::Subscribed, data(CAPACITY), data(CAPACITY + 1)];
        assert_eq!(held, expected);
        let (_, held) = after(10 * CAPACITY);
        assert!(held.len() <= CAPACITY);
        assert_eq!((&held[0], held.last()), (&Signal::Interrupted, Some(&data(10 * CAPACITY - 1))));
    }

    #[test]
    fn an_interruption_that_no_longer_fits_is_not_over() {
        let (sender, mut receiver) = mailbox();
        (0..CAPACITY).for_each(|number| sender.send(data(number)));
        sender.send(Signal::Refused(Vec::new()));
        drop(sender);
        let held: Vec<_> = block_on(async { receiver.by_ref().collect().await });
        assert_eq!(held, [Signal::Interrupted, Signal::Refused(Vec::new())]);
    }

    #[test]
    fn a_reader_that_waits_is_woken_by_a_signal_and_by_the_end() {
        let (sender, mut receiver) = mailbox();
        let writer = std::thread::spawn(move || sender.send(Signal::Subscribed));
        assert_eq!(block_on(receiver.next()), Some(Signal::Subscribed));
        assert_eq!(block_on(receiver.next()), None);
        writer.join().unwrap();
    }
}
