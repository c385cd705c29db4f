use super::*;

const TIMEOUT: Duration = Duration::from_secs(300);

/// A session and its clock, drained after every input.
struct Bench {
    session: Session,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { session: Session::new(), now: Instant::now() }
    }

    /// One subscription that stands.
    fn live() -> Self {
        let mut bench = Self::new();
        bench.subscribe("a");
        bench.open();
        bench.hear(ServerFrame::Started { id: "a".to_owned() });
        bench
    }

    fn subscribe(&mut self, id: &str) -> Vec<Step> {
        self.session.subscribe(id.to_owned(), format!("operation {id}"), self.now);
        self.steps()
    }

    fn open(&mut self) -> Vec<Step> {
        self.session.opened(self.now);
        self.hear(ServerFrame::Ack { timeout: TIMEOUT })
    }

    fn hear(&mut self, frame: ServerFrame) -> Vec<Step> {
        self.session.received(frame, 1.0, self.now);
        self.steps()
    }

    fn pass(&mut self, time: Duration) -> Vec<Step> {
        self.now += time;
        self.session.advance(1.0, self.now);
        self.steps()
    }

    fn steps(&mut self) -> Vec<Step> {
        std::iter::from_fn(|| self.session.poll_step()).collect()
    }
}

fn start(id: &str) -> Step {
    Step::Send(ClientFrame::Start { id: id.to_owned(), data: format!("operation {id}") })
}

fn told(id: &str, signal: Signal) -> Step {
    Step::Tell { id: id.to_owned(), signal }
}

fn error(error_type: &str, code: Option<u16>) -> Vec<ApiError> {
    let json = serde_json::json!({ "errorType": error_type, "message": "no", "errorCode": code });
    vec![serde_json::from_value(json).unwrap()]
}

#[test]
fn the_first_subscription_opens_greets_and_starts() {
    let mut bench = Bench::new();
    assert_eq!(bench.subscribe("a"), [Step::Open]);
    bench.session.opened(bench.now);
    assert_eq!(bench.steps(), [Step::Send(ClientFrame::Init)]);
    assert_eq!(bench.hear(ServerFrame::Ack { timeout: TIMEOUT }), [start("a")]);
    assert_eq!(bench.hear(ServerFrame::Started { id: "a".to_owned() }), [told("a", Signal::Subscribed)]);
}

#[test]
fn subscriptions_share_a_connection() {
    let mut bench = Bench::live();
    assert_eq!(bench.subscribe("b"), [start("b")]);
    let data = Value::from(7);
    let frame = ServerFrame::Data { id: "b".to_owned(), data: data.clone() };
    assert_eq!(bench.hear(frame), [told("b", Signal::Data(data))]);
}

#[test]
fn subscriptions_made_before_the_greeting_start_after_it() {
    let mut bench = Bench::new();
    bench.subscribe("a");
    assert_eq!(bench.subscribe("b"), []);
    assert_eq!(bench.open(), [Step::Send(ClientFrame::Init), start("a"), start("b")]);
}

#[test]
fn a_lost_connection_is_made_anew_and_its_subscriptions_with_it() {
    let mut bench = Bench::live();
    bench.session.lost(1.0, bench.now);
    assert_eq!(bench.steps(), [told("a", Signal::Interrupted)]);
    assert_eq!(bench.pass(Duration::from_millis(249)), []);
    assert_eq!(bench.pass(Duration::from_millis(1)), [Step::Open]);
    assert_eq!(bench.open(), [Step::Send(ClientFrame::Init), start("a")]);
    assert_eq!(bench.hear(ServerFrame::Started { id: "a".to_owned() }), [told("a", Signal::Subscribed)]);
}

#[test]
fn waits_grow_until_a_connection_stands() {
    let mut bench = Bench::new();
    bench.subscribe("a");
    for millis in [250, 500, 1000] {
        bench.session.lost(1.0, bench.now);
        assert_eq!(bench.pass(Duration::from_millis(millis - 1)), []);
        assert_eq!(bench.pass(Duration::from_millis(1)), [Step::Open]);
    }
    bench.open();
    bench.session.lost(1.0, bench.now);
    assert_eq!(bench.pass(Duration::from_millis(250)), [Step::Open]);
}

#[test]
fn silence_beyond_the_timeout_means_the_connection_is_dead() {
    let mut bench = Bench::live();
    assert_eq!(bench.pass(TIMEOUT - Duration::from_secs(1)), []);
    assert_eq!(bench.hear(ServerFrame::KeepAlive), []);
    assert_eq!(bench.pass(TIMEOUT - Duration::from_secs(1)), []);
    assert_eq!(bench.pass(Duration::from_secs(1)), [Step::Close, told("a", Signal::Interrupted)]);
}

#[test]
fn a_greeting_or_a_start_without_an_answer_means_the_connection_is_dead() {
    let mut greeting = Bench::new();
    greeting.subscribe("a");
    greeting.session.opened(greeting.now);
    greeting.steps();
    assert_eq!(greeting.pass(ACK_TIMEOUT), [Step::Close]);

    let mut starting = Bench::live();
    starting.subscribe("b");
    assert_eq!(starting.pass(ACK_TIMEOUT), [Step::Close, told("a", Signal::Interrupted)]);
}

#[test]
fn a_refused_handshake_is_final_for_every_subscription() {
    let mut bench = Bench::new();
    bench.subscribe("a");
    bench.session.opened(bench.now);
    bench.steps();
    let errors = error("UnauthorizedException", Some(401));
    let steps = bench.hear(ServerFrame::Refused(errors.clone()));
    assert_eq!(steps, [told("a", Signal::Refused(errors)), Step::Close]);
    assert_eq!(bench.session.wake(), None);
}

#[test]
fn a_handshake_that_cannot_be_written_is_final_for_every_subscription() {
    let mut bench = Bench::new();
    bench.subscribe("a");
    bench.subscribe("b");
    let error = Error::Credentials("no".to_owned());
    bench.session.failed(&error);
    let failed = Signal::Failed(error);
    assert_eq!(bench.steps(), [told("a", failed.clone()), told("b", failed), Step::Close]);
    assert_eq!(bench.session.wake(), None);
    assert_eq!(bench.subscribe("c"), [Step::Open]);
}

#[test]
fn a_handshake_that_failed_for_a_while_is_tried_again() {
    let mut bench = Bench::new();
    bench.subscribe("a");
    bench.session.opened(bench.now);
    bench.steps();
    assert_eq!(bench.hear(ServerFrame::Refused(error("InternalFailure", Some(500)))), [Step::Close]);
    assert_eq!(bench.pass(Duration::from_millis(250)), [Step::Open]);
}

#[test]
fn a_refused_subscription_leaves_the_others_alone() {
    let mut bench = Bench::live();
    bench.subscribe("b");
    let errors = error("Unauthorized", None);
    let frame = ServerFrame::Error { id: "b".to_owned(), errors: errors.clone() };
    assert_eq!(bench.hear(frame), [told("b", Signal::Refused(errors))]);
    assert_eq!(bench.hear(ServerFrame::Error { id: String::new(), errors: Vec::new() }), []);
    let data = ServerFrame::Data { id: "a".to_owned(), data: Value::Null };
    assert_eq!(bench.hear(data), [told("a", Signal::Data(Value::Null))]);
}

#[test]
fn a_rate_limit_is_waited_out() {
    let mut bench = Bench::live();
    bench.subscribe("b");
    let frame = ServerFrame::Error { id: "b".to_owned(), errors: error("LimitExceededError", None) };
    assert_eq!(bench.hear(frame), [Step::Close, told("a", Signal::Interrupted)]);
    assert_eq!(bench.pass(Duration::from_millis(250)), [Step::Open]);
}

#[test]
fn a_subscription_that_may_be_tried_again_is_tried_again() {
    let mut bench = Bench::live();
    bench.session.lost(1.0, bench.now);
    bench.pass(Duration::from_millis(250));
    bench.open();
    for error_type in ["TryAgain", "ExecutionTimeout"] {
        let frame = ServerFrame::Error { id: "a".to_owned(), errors: error(error_type, None) };
        assert_eq!(bench.hear(frame), [Step::Close], "{error_type}");
        assert_eq!(bench.pass(Duration::from_millis(250)), [Step::Open]);
        assert_eq!(bench.open(), [Step::Send(ClientFrame::Init), start("a")]);
    }
    assert_eq!(bench.hear(ServerFrame::Started { id: "a".to_owned() }), [told("a", Signal::Subscribed)]);
}

#[test]
fn a_subscription_ended_by_the_other_side_asks_to_be_let_in_again() {
    let mut bench = Bench::live();
    let steps = bench.hear(ServerFrame::Complete { id: "a".to_owned() });
    assert_eq!(steps, [Step::Close, told("a", Signal::Interrupted)]);
}

#[test]
fn the_connection_closes_with_the_last_subscription() {
    let mut bench = Bench::live();
    bench.subscribe("b");
    bench.session.unsubscribe("a");
    assert_eq!(bench.steps(), [Step::Send(ClientFrame::Stop { id: "a".to_owned() })]);
    bench.session.unsubscribe("b");
    assert_eq!(bench.steps(), [Step::Send(ClientFrame::Stop { id: "b".to_owned() }), Step::Close]);
    assert_eq!(bench.session.wake(), None);
    assert_eq!(bench.subscribe("c"), [Step::Open]);
}

#[test]
fn what_arrives_for_nobody_is_dropped() {
    let mut bench = Bench::live();
    bench.subscribe("b");
    bench.session.unsubscribe("b");
    bench.steps();
    assert_eq!(bench.hear(ServerFrame::Data { id: "b".to_owned(), data: Value::Null }), []);
    assert_eq!(bench.hear(ServerFrame::Complete { id: "b".to_owned() }), []);
}
