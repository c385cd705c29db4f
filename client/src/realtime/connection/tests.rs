use super::*;

const TIMEOUT: Duration = Duration::from_secs(300);

/// A connection and its clock, drained after every input.
struct Harness {
    connection: Connection,
    now: Instant,
}

impl Harness {
    fn new() -> Self {
        Self { connection: Connection::new(), now: Instant::now() }
    }

    /// A connection with one active subscription, `a`.
    fn subscribed() -> Self {
        let mut harness = Self::new();
        harness.subscribe("a");
        harness.establish();
        harness.receive(ServerFrame::StartAck { id: "a".to_owned() });
        harness
    }

    fn subscribe(&mut self, id: &str) -> Vec<Effect> {
        self.connection.subscribe(id.to_owned(), format!("operation {id}"), self.now);
        self.drain_effects()
    }

    fn establish(&mut self) -> Vec<Effect> {
        self.connection.on_socket_opened(self.now);
        self.receive(ServerFrame::ConnectionAck { timeout: TIMEOUT })
    }

    fn receive(&mut self, frame: ServerFrame) -> Vec<Effect> {
        self.connection.on_frame(frame, 1.0, self.now);
        self.drain_effects()
    }

    fn advance(&mut self, time: Duration) -> Vec<Effect> {
        self.now += time;
        self.connection.advance(1.0, self.now);
        self.drain_effects()
    }

    fn drain_effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.connection.poll_effect()).collect()
    }
}

fn start(id: &str) -> Effect {
    Effect::SendFrame(ClientFrame::Start { id: id.to_owned(), operation: format!("operation {id}") })
}

fn deliver(id: &str, signal: Signal) -> Effect {
    Effect::Deliver { id: id.to_owned(), signal }
}

fn error(error_type: &str, code: Option<u16>) -> Vec<ApiError> {
    let json = serde_json::json!({ "errorType": error_type, "message": "no", "errorCode": code });
    vec![serde_json::from_value(json).unwrap()]
}

#[test]
fn first_subscription_opens_the_socket_and_starts() {
    let mut harness = Harness::new();
    assert_eq!(harness.subscribe("a"), [Effect::OpenSocket]);
    harness.connection.on_socket_opened(harness.now);
    assert_eq!(harness.drain_effects(), [Effect::SendFrame(ClientFrame::Init)]);
    assert_eq!(harness.receive(ServerFrame::ConnectionAck { timeout: TIMEOUT }), [start("a")]);
    assert_eq!(harness.receive(ServerFrame::StartAck { id: "a".to_owned() }), [deliver("a", Signal::Subscribed)]);
}

#[test]
fn subscriptions_share_a_connection() {
    let mut harness = Harness::subscribed();
    assert_eq!(harness.subscribe("b"), [start("b")]);
    let data = Value::from(7);
    let frame = ServerFrame::Data { id: "b".to_owned(), data: data.clone() };
    assert_eq!(harness.receive(frame), [deliver("b", Signal::Data(data))]);
}

#[test]
fn subscriptions_made_before_the_ack_start_after_it() {
    let mut harness = Harness::new();
    harness.subscribe("a");
    assert_eq!(harness.subscribe("b"), []);
    assert_eq!(harness.establish(), [Effect::SendFrame(ClientFrame::Init), start("a"), start("b")]);
}

#[test]
fn lost_connection_is_reopened_with_its_subscriptions() {
    let mut harness = Harness::subscribed();
    harness.connection.on_socket_lost(1.0, harness.now);
    assert_eq!(harness.drain_effects(), [deliver("a", Signal::Interrupted)]);
    assert_eq!(harness.advance(Duration::from_millis(249)), []);
    assert_eq!(harness.advance(Duration::from_millis(1)), [Effect::OpenSocket]);
    assert_eq!(harness.establish(), [Effect::SendFrame(ClientFrame::Init), start("a")]);
    assert_eq!(harness.receive(ServerFrame::StartAck { id: "a".to_owned() }), [deliver("a", Signal::Subscribed)]);
}

#[test]
fn backoff_grows_until_a_connection_is_established() {
    let mut harness = Harness::new();
    harness.subscribe("a");
    for millis in [250, 500, 1000] {
        harness.connection.on_socket_lost(1.0, harness.now);
        assert_eq!(harness.advance(Duration::from_millis(millis - 1)), []);
        assert_eq!(harness.advance(Duration::from_millis(1)), [Effect::OpenSocket]);
    }
    harness.establish();
    harness.connection.on_socket_lost(1.0, harness.now);
    assert_eq!(harness.advance(Duration::from_millis(250)), [Effect::OpenSocket]);
}

#[test]
fn missing_keep_alive_reconnects() {
    let mut harness = Harness::subscribed();
    assert_eq!(harness.advance(TIMEOUT - Duration::from_secs(1)), []);
    assert_eq!(harness.receive(ServerFrame::KeepAlive), []);
    assert_eq!(harness.advance(TIMEOUT - Duration::from_secs(1)), []);
    assert_eq!(harness.advance(Duration::from_secs(1)), [Effect::CloseSocket, deliver("a", Signal::Interrupted)]);
}

#[test]
fn missing_acknowledgement_reconnects() {
    let mut unacknowledged = Harness::new();
    unacknowledged.subscribe("a");
    unacknowledged.connection.on_socket_opened(unacknowledged.now);
    unacknowledged.drain_effects();
    assert_eq!(unacknowledged.advance(ACK_TIMEOUT), [Effect::CloseSocket]);

    let mut starting = Harness::subscribed();
    starting.subscribe("b");
    assert_eq!(starting.advance(ACK_TIMEOUT), [Effect::CloseSocket, deliver("a", Signal::Interrupted)]);
}

#[test]
fn refused_handshake_ends_all_subscriptions() {
    let mut harness = Harness::new();
    harness.subscribe("a");
    harness.connection.on_socket_opened(harness.now);
    harness.drain_effects();
    let errors = error("UnauthorizedException", Some(401));
    let effects = harness.receive(ServerFrame::ConnectionError(errors.clone()));
    assert_eq!(effects, [deliver("a", Signal::Refused(errors)), Effect::CloseSocket]);
    assert_eq!(harness.connection.wake_at(), None);
}

#[test]
fn handshake_that_cannot_be_built_ends_all_subscriptions() {
    let mut harness = Harness::new();
    harness.subscribe("a");
    harness.subscribe("b");
    let error = Error::Credentials("no".to_owned());
    harness.connection.on_handshake_error(&error);
    let failed = Signal::Failed(error);
    assert_eq!(harness.drain_effects(), [deliver("a", failed.clone()), deliver("b", failed), Effect::CloseSocket]);
    assert_eq!(harness.connection.wake_at(), None);
    assert_eq!(harness.subscribe("c"), [Effect::OpenSocket]);
}

#[test]
fn transient_handshake_failure_is_retried() {
    let mut harness = Harness::new();
    harness.subscribe("a");
    harness.connection.on_socket_opened(harness.now);
    harness.drain_effects();
    assert_eq!(
        harness.receive(ServerFrame::ConnectionError(error("InternalFailure", Some(500)))),
        [Effect::CloseSocket]
    );
    assert_eq!(harness.advance(Duration::from_millis(250)), [Effect::OpenSocket]);
}

#[test]
fn refused_subscription_does_not_affect_others() {
    let mut harness = Harness::subscribed();
    harness.subscribe("b");
    let errors = error("Unauthorized", None);
    let frame = ServerFrame::Error { id: "b".to_owned(), errors: errors.clone() };
    assert_eq!(harness.receive(frame), [deliver("b", Signal::Refused(errors))]);
    assert_eq!(harness.receive(ServerFrame::Error { id: String::new(), errors: Vec::new() }), []);
    let data = ServerFrame::Data { id: "a".to_owned(), data: Value::Null };
    assert_eq!(harness.receive(data), [deliver("a", Signal::Data(Value::Null))]);
}

#[test]
fn exceeded_limit_is_retried_after_backoff() {
    let mut harness = Harness::subscribed();
    harness.subscribe("b");
    let frame = ServerFrame::Error { id: "b".to_owned(), errors: error("LimitExceededError", None) };
    assert_eq!(harness.receive(frame), [Effect::CloseSocket, deliver("a", Signal::Interrupted)]);
    assert_eq!(harness.advance(Duration::from_millis(250)), [Effect::OpenSocket]);
}

#[test]
fn transient_subscription_error_is_retried() {
    let mut harness = Harness::subscribed();
    harness.connection.on_socket_lost(1.0, harness.now);
    harness.advance(Duration::from_millis(250));
    harness.establish();
    for error_type in ["TryAgain", "ExecutionTimeout"] {
        let frame = ServerFrame::Error { id: "a".to_owned(), errors: error(error_type, None) };
        assert_eq!(harness.receive(frame), [Effect::CloseSocket], "{error_type}");
        assert_eq!(harness.advance(Duration::from_millis(250)), [Effect::OpenSocket]);
        assert_eq!(harness.establish(), [Effect::SendFrame(ClientFrame::Init), start("a")]);
    }
    assert_eq!(harness.receive(ServerFrame::StartAck { id: "a".to_owned() }), [deliver("a", Signal::Subscribed)]);
}

#[test]
fn subscription_completed_by_the_server_subscribes_again() {
    let mut harness = Harness::subscribed();
    let effects = harness.receive(ServerFrame::Complete { id: "a".to_owned() });
    assert_eq!(effects, [Effect::CloseSocket, deliver("a", Signal::Interrupted)]);
}

#[test]
fn connection_closes_with_the_last_subscription() {
    let mut harness = Harness::subscribed();
    harness.subscribe("b");
    harness.connection.unsubscribe("a");
    assert_eq!(harness.drain_effects(), [Effect::SendFrame(ClientFrame::Stop { id: "a".to_owned() })]);
    harness.connection.unsubscribe("b");
    assert_eq!(
        harness.drain_effects(),
        [Effect::SendFrame(ClientFrame::Stop { id: "b".to_owned() }), Effect::CloseSocket]
    );
    assert_eq!(harness.connection.wake_at(), None);
    assert_eq!(harness.subscribe("c"), [Effect::OpenSocket]);
}

#[test]
fn frames_of_unknown_subscriptions_are_dropped() {
    let mut harness = Harness::subscribed();
    harness.subscribe("b");
    harness.connection.unsubscribe("b");
    harness.drain_effects();
    assert_eq!(harness.receive(ServerFrame::Data { id: "b".to_owned(), data: Value::Null }), []);
    assert_eq!(harness.receive(ServerFrame::Complete { id: "b".to_owned() }), []);
}
