//! The state of one connection and its subscriptions: told what happened and the time, it says what to do.
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    backoff::Backoff,
    frames::{ClientFrame, ServerFrame},
};
use crate::errors::{ApiError, Error, ErrorType};

/// How long AppSync may take to acknowledge a connection or a subscription.
const ACK_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Open a socket; `opened`, `lost` or `failed` follows.
    Open,
    Send(ClientFrame),
    /// Close the socket, if there is one; nothing follows.
    Close,
    Tell {
        id: String,
        signal: Signal,
    },
}

/// What a subscription's owner is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// Updates flow from now on, for the first time or again.
    Subscribed,
    Data(Value),
    /// Updates may be lost until `Subscribed` comes again.
    Interrupted,
    /// For good; nothing follows.
    Refused(Vec<ApiError>),
    /// No handshake can be written with this endpoint and these credentials; nothing follows.
    Failed(Error),
}

/// One connection with all its subscriptions. Hand in what happened, then drain what to do.
pub struct Session {
    link: Link,
    backoff: Backoff,
    subscriptions: BTreeMap<String, Subscribed>,
    steps: VecDeque<Step>,
}

enum Link {
    /// Nobody subscribes.
    Idle,
    Waiting {
        until: Instant,
    },
    Opening,
    Greeting {
        until: Instant,
    },
    Live {
        timeout: Duration,
        quiet_until: Instant,
    },
}

struct Subscribed {
    data: String,
    stage: Stage,
}

enum Stage {
    Unsent,
    Starting { until: Instant },
    Live,
}

impl Session {
    pub fn new() -> Self {
        Self { link: Link::Idle, backoff: Backoff::default(), subscriptions: BTreeMap::new(), steps: VecDeque::new() }
    }

    /// `data` is the operation as the protocol wants it: `{"query","variables"}` as a JSON text.
    pub fn subscribe(&mut self, id: String, data: String, now: Instant) {
        self.subscriptions.insert(id, Subscribed { data, stage: Stage::Unsent });
        match self.link {
            Link::Idle => self.open(),
            Link::Live { .. } => self.start_all(now),
            Link::Waiting { .. } | Link::Opening | Link::Greeting { .. } => {}
        }
    }

    pub fn unsubscribe(&mut self, id: &str) {
        let Some(subscription) = self.subscriptions.remove(id) else { return };
        if !matches!(subscription.stage, Stage::Unsent) {
            self.send(ClientFrame::Stop { id: id.to_owned() });
        }
        self.rest_if_unused();
    }

    pub fn opened(&mut self, now: Instant) {
        self.link = Link::Greeting { until: now + ACK_TIMEOUT };
        self.send(ClientFrame::Init);
    }

    /// The socket could not be opened, or closed. `chance` is drawn from 0 to 1.
    pub fn lost(&mut self, chance: f64, now: Instant) {
        if self.subscriptions.is_empty() {
            return self.link = Link::Idle;
        }
        for (id, subscription) in &mut self.subscriptions {
            if let Stage::Live = subscription.stage {
                self.steps.push_back(Step::Tell { id: id.clone(), signal: Signal::Interrupted });
            }
            subscription.stage = Stage::Unsent;
        }
        self.link = Link::Waiting { until: now + self.backoff.next(chance) };
    }

    /// A handshake could not be written, and never will be.
    pub fn failed(&mut self, error: &Error) {
        self.dismiss(&Signal::Failed(error.clone()));
    }

    pub fn received(&mut self, frame: ServerFrame, chance: f64, now: Instant) {
        if let Link::Live { timeout, quiet_until } = &mut self.link {
            *quiet_until = now + *timeout;
        }
        match frame {
            ServerFrame::Ack { timeout } => self.greeted(timeout, now),
            ServerFrame::Refused(errors) if is_final(&errors) => self.dismiss(&Signal::Refused(errors)),
            ServerFrame::Refused(_) => self.broken(chance, now),
            ServerFrame::Started { id } => self.started(id),
            ServerFrame::Data { id, data } => self.tell(id, Signal::Data(data)),
            ServerFrame::Error { id, errors } => self.refused(id, errors, chance, now),
            ServerFrame::Complete { id } => self.completed(&id, chance, now),
            ServerFrame::KeepAlive | ServerFrame::Unknown => {}
        }
    }

    pub fn advance(&mut self, chance: f64, now: Instant) {
        if self.wake().is_none_or(|at| now < at) {
            return;
        }
        match self.link {
            Link::Waiting { .. } => self.open(),
            Link::Greeting { .. } | Link::Live { .. } => self.broken(chance, now),
            Link::Idle | Link::Opening => {}
        }
    }

    /// When to call `advance`, if nothing else happens before.
    pub fn wake(&self) -> Option<Instant> {
        match self.link {
            Link::Idle | Link::Opening => None,
            Link::Waiting { until } | Link::Greeting { until } => Some(until),
            Link::Live { quiet_until, .. } => self.starting().chain([quiet_until]).min(),
        }
    }

    /// Call until it answers None; then wait for an input or for `wake`.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    fn starting(&self) -> impl Iterator<Item = Instant> {
        self.subscriptions.values().filter_map(|subscription| match subscription.stage {
            Stage::Starting { until } => Some(until),
            Stage::Unsent | Stage::Live => None,
        })
    }

    fn open(&mut self) {
        self.link = Link::Opening;
        self.steps.push_back(Step::Open);
    }

    fn greeted(&mut self, timeout: Duration, now: Instant) {
        if let Link::Greeting { .. } = self.link {
            self.link = Link::Live { timeout, quiet_until: now + timeout };
            self.backoff.reset();
            self.start_all(now);
        }
    }

    fn start_all(&mut self, now: Instant) {
        for (id, subscription) in &mut self.subscriptions {
            if let Stage::Unsent = subscription.stage {
                subscription.stage = Stage::Starting { until: now + ACK_TIMEOUT };
                let start = ClientFrame::Start { id: id.clone(), data: subscription.data.clone() };
                self.steps.push_back(Step::Send(start));
            }
        }
    }

    fn started(&mut self, id: String) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.stage = Stage::Live;
            self.tell(id, Signal::Subscribed);
        }
    }

    fn dismiss(&mut self, signal: &Signal) {
        for (id, _) in std::mem::take(&mut self.subscriptions) {
            self.steps.push_back(Step::Tell { id, signal: signal.clone() });
        }
        self.rest_if_unused();
    }

    /// AppSync addresses some errors to nobody: they say nothing about a subscription.
    fn refused(&mut self, id: String, errors: Vec<ApiError>, chance: f64, now: Instant) {
        if passes(&errors) {
            return self.broken(chance, now);
        }
        if self.subscriptions.contains_key(&id) {
            self.tell(id.clone(), Signal::Refused(errors));
            self.subscriptions.remove(&id);
            self.rest_if_unused();
        }
    }

    /// Ended by the other side, as an invalidation does: whoever still may is let in again.
    fn completed(&mut self, id: &str, chance: f64, now: Instant) {
        if self.subscriptions.contains_key(id) {
            self.broken(chance, now);
        }
    }

    fn broken(&mut self, chance: f64, now: Instant) {
        self.steps.push_back(Step::Close);
        self.lost(chance, now);
    }

    fn rest_if_unused(&mut self) {
        if self.subscriptions.is_empty() {
            self.link = Link::Idle;
            self.steps.push_back(Step::Close);
        }
    }

    fn send(&mut self, frame: ClientFrame) {
        self.steps.push_back(Step::Send(frame));
    }

    fn tell(&mut self, id: String, signal: Signal) {
        if self.subscriptions.contains_key(&id) {
            self.steps.push_back(Step::Tell { id, signal });
        }
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether trying again with the same credentials is useless.
fn is_final(errors: &[ApiError]) -> bool {
    errors.iter().any(|error| {
        matches!(error.error_code, Some(400 | 401 | 403))
            || matches!(&error.error_type, Some(ErrorType::Unauthorized))
            || matches!(&error.error_type, Some(ErrorType::Other(name)) if FINAL.contains(&name.as_str()))
    })
}

const FINAL: [&str; 2] = ["UnauthorizedException", "BadRequestException"];

/// Whether what stands in the way passes by itself.
fn passes(errors: &[ApiError]) -> bool {
    let is_limit = |error: &ApiError| matches!(&error.error_type, Some(ErrorType::Other(name)) if name == LIMIT);
    errors.iter().any(|error| error.is_transient() || is_limit(error))
}

const LIMIT: &str = "LimitExceededError";

#[cfg(test)]
mod tests;
