//! State machine of one connection and its subscriptions.
//!
//! The caller passes in what happened and the time, then drains the effects to carry out.
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use api::backoff::Backoff;
use serde_json::Value;

use super::frames::{ClientFrame, ServerFrame};
use crate::errors::{ApiError, Error, ErrorType};

/// How long AppSync may take to acknowledge a connection or a subscription.
const ACK_TIMEOUT: Duration = Duration::from_secs(15);
/// The wait before a lost connection is opened again. Jitter spreads clients that lost it at the same time.
const RECONNECT_BACKOFF: Backoff = Backoff::full_jitter(Duration::from_millis(250), Duration::from_secs(20));

/// AppSync's error types that reject the credentials or the request for good.
const FINAL_ERROR_TYPES: [&str; 2] = ["UnauthorizedException", "BadRequestException"];
/// AppSync's error type for an exceeded limit of subscriptions or of subscription requests.
const LIMIT_ERROR_TYPE: &str = "LimitExceededError";

/// An effect that the caller has to perform.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open a socket; `on_socket_opened`, `on_socket_lost` or `on_handshake_error` follows.
    OpenSocket,
    SendFrame(ClientFrame),
    /// Close the socket, if there is one; no call follows.
    CloseSocket,
    /// Pass a signal to the owner of a subscription.
    Deliver {
        id: String,
        signal: Signal,
    },
}

/// A change or an update of a subscription.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// AppSync has acknowledged the subscription, for the first time or after an interruption.
    Subscribed,
    /// The `data` of one update.
    Data(Value),
    /// Updates may be lost until `Subscribed` comes again.
    Interrupted,
    /// AppSync has refused the subscription; no signal follows.
    Refused(Vec<ApiError>),
    /// The handshake cannot be built for this endpoint with these credentials; no signal follows.
    Failed(Error),
}

pub struct Connection {
    state: State,
    /// Failed connections since the last established one.
    failures: u32,
    subscriptions: BTreeMap<String, Entry>,
    effects: VecDeque<Effect>,
}

enum State {
    /// There is no subscription.
    Idle,
    BackingOff {
        until: Instant,
    },
    OpeningSocket,
    /// `connection_init` is sent.
    AwaitingAck {
        deadline: Instant,
    },
    Established {
        /// How long AppSync may send nothing, not even a keep-alive.
        keep_alive_timeout: Duration,
        deadline: Instant,
    },
}

struct Entry {
    /// The GraphQL operation: `{"query", "variables"}` as a JSON text.
    operation: String,
    state: SubscriptionState,
}

enum SubscriptionState {
    Unsent,
    AwaitingAck { deadline: Instant },
    Active,
}

impl Connection {
    pub fn new() -> Self {
        Self { state: State::Idle, failures: 0, subscriptions: BTreeMap::new(), effects: VecDeque::new() }
    }

    /// `operation` is `{"query", "variables"}` as a JSON text.
    pub fn subscribe(&mut self, id: String, operation: String, now: Instant) {
        self.subscriptions.insert(id, Entry { operation, state: SubscriptionState::Unsent });
        match self.state {
            State::Idle => self.open_socket(),
            State::Established { .. } => self.start_subscriptions(now),
            State::BackingOff { .. } | State::OpeningSocket | State::AwaitingAck { .. } => {}
        }
    }

    pub fn unsubscribe(&mut self, id: &str) {
        let Some(subscription) = self.subscriptions.remove(id) else { return };
        match subscription.state {
            SubscriptionState::Unsent => {}
            SubscriptionState::AwaitingAck { .. } | SubscriptionState::Active => {
                self.send(ClientFrame::Stop { id: id.to_owned() });
            }
        }
        self.close_if_unused();
    }

    pub fn on_socket_opened(&mut self, now: Instant) {
        self.state = State::AwaitingAck { deadline: now + ACK_TIMEOUT };
        self.send(ClientFrame::Init);
    }

    /// The socket could not be opened, or was closed. `jitter` is a random number from 0 to 1.
    pub fn on_socket_lost(&mut self, jitter: f64, now: Instant) {
        if self.subscriptions.is_empty() {
            self.state = State::Idle;
            return;
        }
        for (id, subscription) in &mut self.subscriptions {
            if let SubscriptionState::Active = subscription.state {
                self.effects.push_back(Effect::Deliver { id: id.clone(), signal: Signal::Interrupted });
            }
            subscription.state = SubscriptionState::Unsent;
        }
        self.failures = self.failures.saturating_add(1);
        self.state = State::BackingOff { until: now + RECONNECT_BACKOFF.delay(self.failures, jitter) };
    }

    /// The handshake cannot be built, now or later.
    pub fn on_handshake_error(&mut self, error: &Error) {
        self.end_all_subscriptions(&Signal::Failed(error.clone()));
    }

    pub fn on_frame(&mut self, frame: ServerFrame, jitter: f64, now: Instant) {
        if let State::Established { keep_alive_timeout, deadline } = &mut self.state {
            *deadline = now + *keep_alive_timeout;
        }
        match frame {
            ServerFrame::ConnectionAck { timeout } => self.on_connection_ack(timeout, now),
            ServerFrame::ConnectionError(errors) if is_final(&errors) => {
                self.end_all_subscriptions(&Signal::Refused(errors));
            }
            ServerFrame::ConnectionError(_) => self.reconnect(jitter, now),
            ServerFrame::StartAck { id } => self.on_start_ack(id),
            ServerFrame::Data { id, data } => self.deliver(id, Signal::Data(data)),
            ServerFrame::Error { id, errors } => self.on_error(id, errors, jitter, now),
            ServerFrame::Complete { id } => self.on_complete(&id, jitter, now),
            ServerFrame::KeepAlive | ServerFrame::Unknown => {}
        }
    }

    pub fn advance(&mut self, jitter: f64, now: Instant) {
        if self.wake_at().is_none_or(|at| now < at) {
            return;
        }
        match self.state {
            State::BackingOff { .. } => self.open_socket(),
            State::AwaitingAck { .. } | State::Established { .. } => self.reconnect(jitter, now),
            State::Idle | State::OpeningSocket => {}
        }
    }

    /// When to call `advance`, if nothing else happens before.
    pub fn wake_at(&self) -> Option<Instant> {
        match self.state {
            State::Idle | State::OpeningSocket => None,
            State::BackingOff { until } => Some(until),
            State::AwaitingAck { deadline } => Some(deadline),
            State::Established { deadline, .. } => self.start_ack_deadlines().chain([deadline]).min(),
        }
    }

    /// The next effect to carry out. After None, wait for an input or for `wake_at`.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn start_ack_deadlines(&self) -> impl Iterator<Item = Instant> {
        self.subscriptions.values().filter_map(|subscription| match subscription.state {
            SubscriptionState::AwaitingAck { deadline } => Some(deadline),
            SubscriptionState::Unsent | SubscriptionState::Active => None,
        })
    }

    fn open_socket(&mut self) {
        self.state = State::OpeningSocket;
        self.effects.push_back(Effect::OpenSocket);
    }

    fn on_connection_ack(&mut self, keep_alive_timeout: Duration, now: Instant) {
        if let State::AwaitingAck { .. } = self.state {
            self.state = State::Established { keep_alive_timeout, deadline: now + keep_alive_timeout };
            self.failures = 0;
            self.start_subscriptions(now);
        }
    }

    fn start_subscriptions(&mut self, now: Instant) {
        for (id, subscription) in &mut self.subscriptions {
            if let SubscriptionState::Unsent = subscription.state {
                subscription.state = SubscriptionState::AwaitingAck { deadline: now + ACK_TIMEOUT };
                let start = ClientFrame::Start { id: id.clone(), operation: subscription.operation.clone() };
                self.effects.push_back(Effect::SendFrame(start));
            }
        }
    }

    fn on_start_ack(&mut self, id: String) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.state = SubscriptionState::Active;
            self.deliver(id, Signal::Subscribed);
        }
    }

    /// AppSync sends some errors without a subscription's id. Those are ignored unless they are transient.
    fn on_error(&mut self, id: String, errors: Vec<ApiError>, jitter: f64, now: Instant) {
        if is_transient(&errors) {
            return self.reconnect(jitter, now);
        }
        if self.subscriptions.contains_key(&id) {
            self.deliver(id.clone(), Signal::Refused(errors));
            self.subscriptions.remove(&id);
            self.close_if_unused();
        }
    }

    /// AppSync completes a subscription on invalidation. A new subscription is authorized again.
    fn on_complete(&mut self, id: &str, jitter: f64, now: Instant) {
        if self.subscriptions.contains_key(id) {
            self.reconnect(jitter, now);
        }
    }

    fn reconnect(&mut self, jitter: f64, now: Instant) {
        self.effects.push_back(Effect::CloseSocket);
        self.on_socket_lost(jitter, now);
    }

    fn end_all_subscriptions(&mut self, signal: &Signal) {
        for (id, _) in std::mem::take(&mut self.subscriptions) {
            self.effects.push_back(Effect::Deliver { id, signal: signal.clone() });
        }
        self.close_if_unused();
    }

    fn close_if_unused(&mut self) {
        if self.subscriptions.is_empty() {
            self.state = State::Idle;
            self.effects.push_back(Effect::CloseSocket);
        }
    }

    fn send(&mut self, frame: ClientFrame) {
        self.effects.push_back(Effect::SendFrame(frame));
    }

    fn deliver(&mut self, id: String, signal: Signal) {
        if self.subscriptions.contains_key(&id) {
            self.effects.push_back(Effect::Deliver { id, signal });
        }
    }
}

/// Whether the same credentials and request will be refused again.
fn is_final(errors: &[ApiError]) -> bool {
    errors.iter().any(|error| {
        let is_client_error = matches!(error.error_code, Some(400 | 401 | 403));
        let is_final_type = match &error.error_type {
            Some(ErrorType::Unauthorized) => true,
            Some(ErrorType::Other(name)) => FINAL_ERROR_TYPES.contains(&name.as_str()),
            Some(_) | None => false,
        };
        is_client_error || is_final_type
    })
}

/// Whether the same subscription can succeed later.
fn is_transient(errors: &[ApiError]) -> bool {
    let is_limit =
        |error: &ApiError| matches!(&error.error_type, Some(ErrorType::Other(name)) if name == LIMIT_ERROR_TYPE);
    errors.iter().any(|error| error.is_transient() || is_limit(error))
}

#[cfg(test)]
mod tests;
