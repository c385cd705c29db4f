//! The course of a conversation: its users send, cancel, answer calls, retry, continue and replace at random.
use std::{sync::Arc, time::Duration};

use client::schema::Access as GrantedAccess;
use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    access::Access,
    checker::Violation,
    environment::Environment,
    long_run::LongRun,
    observations::Sizes,
    people::Person,
    run::stored_items,
    subscriber::SubscriberHandle,
    tools::PENDING_HOURS,
    users::{Answer, PendingCall, RequestError, User},
};

/// Long enough for a subscription that fails again and again.
const SYNCHRONIZATION_TIMEOUT: Duration = Duration::from_secs(3600);
/// An attempt that is to die has died by then, or has ended its turn.
const DEATH_TIMEOUT: Duration = Duration::from_secs(300);
/// After an attempt's death: its lease has expired, and Lambda has not retried its invocation.
const LEASE_END: Duration = Duration::from_secs(33);
/// After a send: the turn cannot be claimed any more.
const CLAIM_END: Duration = Duration::from_secs(363);

/// After the beginning of a wait: its calls have expired.
pub const WAIT_END: Duration = Duration::from_secs(PENDING_HOURS * 3600 + 5);
/// How often the calls of one turn are answered. The model calls tools in a limited number of steps.
const MAX_WAITS: u32 = 12;

/// A conversation of a few messages, or a long one. Meanwhile the owner may share it, stop sharing it, and
/// delete it.
pub async fn converse(environment: Arc<Environment>, owner: SubscriberHandle, participant: Option<SubscriberHandle>) {
    let conversation = Conversation { user: User::new(&environment, Person::Owner), environment, subscriber: owner };
    if timeout(SYNCHRONIZATION_TIMEOUT, conversation.subscriber.wait_until_synchronized()).await.is_err() {
        let violation = Violation::new(3, "the owner cannot subscribe to its conversation".into());
        return conversation.environment.with_recorder(|recorder| recorder.violations.push(violation));
    }
    let turns = async {
        match conversation.environment.long_run {
            Some(long_run) => conversation.play_long_run(long_run).await,
            None => conversation.play_turns().await,
        }
    };
    let sharing = async {
        if let Some(subscriber) = &participant {
            conversation.share_and_unshare(subscriber).await;
        }
    };
    let deletion = async {
        let deletes = conversation.environment.users.deletes;
        let is_long = conversation.environment.long_run.is_some();
        if !is_long && conversation.environment.with_rng(|rng| rng.percent(deletes)) {
            sleep(conversation.environment.with_rng(|rng| rng.milliseconds(500..60_000))).await;
            conversation.delete().await;
        }
    };
    let agent_changes = async {
        let environment = &conversation.environment;
        let probability = environment.users.agent_changes;
        if environment.agent.has_tools && environment.with_rng(|rng| rng.percent(probability)) {
            for has_tools in [false, true] {
                sleep(environment.with_rng(|rng| rng.milliseconds(500..40_000))).await;
                conversation.user.put_agent(has_tools).await;
            }
        }
    };
    tokio::join!(turns, sharing, deletion, agent_changes);
}

struct Conversation {
    environment: Arc<Environment>,
    user: User,
    subscriber: SubscriberHandle,
}

impl Conversation {
    async fn play_turns(&self) {
        for number in 1..=self.environment.users.messages {
            self.play_turn(number).await;
        }
    }

    /// Follows a turn to its end, and answers the tool calls that wait.
    async fn wait_for_end(&self, turn_id: &str) {
        for wait in 1..=MAX_WAITS {
            let pending = self.user.wait_for_end_or_calls(turn_id).await;
            if pending.is_empty() || !self.end_wait(turn_id, wait, &pending).await {
                return;
            }
        }
    }

    /// Answers the calls, or ends the wait in another way. Returns false if nobody looks after the turn any
    /// more.
    async fn end_wait(&self, turn_id: &str, wait: u32, pending: &[PendingCall]) -> bool {
        let (pause, action) = self.environment.with_rng(|rng| {
            let pause = if rng.percent(60) { rng.milliseconds(0..2_000) } else { rng.seconds(0..90) };
            (pause, rng.below(100))
        });
        sleep(pause).await;
        let send_instead = async || {
            let other_id = format!("{turn_id}-instead-{wait}");
            if self.user.send(&other_id, "«another message»").await.is_ok() {
                self.subscriber.expect_turn(&other_id);
                drop(self.user.wait_for_end_or_calls(&other_id).await);
            }
        };
        match action {
            0..68 => self.answer_all(turn_id, pending).await,
            68..74 => drop(self.other_user().cancel(turn_id).await),
            74..80 => {
                let (_, ()) = tokio::join!(self.user.cancel(turn_id), self.answer_all(turn_id, pending));
            }
            80..84 => send_instead().await,
            84..89 => {
                tokio::join!(send_instead(), self.answer_all(turn_id, pending));
            }
            89..93 => {
                self.answer_all(turn_id, &pending[1..]).await;
                sleep(WAIT_END).await;
            }
            93..96 => sleep(WAIT_END).await,
            // The last answers arrive when the wait is over, or nearly so.
            96..98 => {
                sleep(WAIT_END.saturating_sub(pause + Duration::from_secs(10))).await;
                sleep(self.environment.with_rng(|rng| rng.milliseconds(0..12_000))).await;
                self.answer_all(turn_id, pending).await;
            }
            _ => return false,
        }
        true
    }

    /// Answers the calls one after the other or all at once, some of them on two devices.
    async fn answer_all(&self, turn_id: &str, pending: &[PendingCall]) {
        if self.environment.with_rng(|rng| rng.percent(40)) {
            join_all(pending.iter().map(|call| self.answer(turn_id, call))).await;
            return;
        }
        for call in pending {
            self.answer(turn_id, call).await;
        }
    }

    /// The other device gives the same answer or another one.
    async fn answer(&self, turn_id: &str, call: &PendingCall) {
        let answer = self.random_answer(call);
        let is_doubled = self.environment.with_rng(|rng| rng.percent(30));
        if !is_doubled {
            return drop(self.user.answer(turn_id, &call.id, answer).await);
        }
        let is_same = self.environment.with_rng(|rng| rng.percent(40));
        let other_answer = if is_same { answer.clone() } else { self.random_answer(call) };
        let other_user = self.other_user();
        drop(tokio::join!(
            self.user.answer(turn_id, &call.id, answer),
            other_user.answer(turn_id, &call.id, other_answer)
        ));
    }

    fn random_answer(&self, call: &PendingCall) -> Answer {
        self.environment.with_rng(|rng| {
            let is_client = call.status == "CLIENT_NEEDED";
            let number = rng.below(1_000_000);
            match rng.below(100) {
                0..20 => Answer::Denial { reason: rng.percent(50).then(|| format!("Not {number}.")) },
                20..35 if is_client => Answer::Result { json: format!(r#"{{"error":{number}}}"#), is_error: true },
                _ if is_client => Answer::Result { json: format!(r#"{{"answer":{number}}}"#), is_error: false },
                _ => Answer::Approval,
            }
        })
    }

    /// Another user, or another device of the owner.
    fn other_user(&self) -> User {
        let is_shared = self.environment.access_stamp(Person::Participant).access != Access::None;
        let person = if is_shared { Person::Participant } else { Person::Owner };
        User::new(&self.environment, person)
    }

    /// The owner shares the conversation and stops sharing it. The participant tries whether that has an
    /// effect.
    async fn share_and_unshare(&self, subscriber: &SubscriberHandle) {
        let Some(participant_id) = self.environment.people.participant_id() else { return };
        let participant = User::new(&self.environment, Person::Participant);
        for _ in 0..self.environment.users.shares {
            let granted = self.environment.with_rng(|rng| rng.choose(&[GrantedAccess::Read, GrantedAccess::Write]));
            if self.user.share(participant_id, granted).await.is_err() {
                return;
            }
            subscriber.reconnect();
            participant.probe().await;
            if self.environment.with_rng(|rng| rng.percent(30)) {
                return;
            }
            sleep(self.environment.with_rng(|rng| rng.milliseconds(0..20_000))).await;
            if self.user.unshare(participant_id).await.is_err() {
                return;
            }
            participant.probe().await;
            sleep(self.environment.with_rng(|rng| rng.milliseconds(0..20_000))).await;
        }
    }

    async fn delete(&self) {
        let started_turns = self.environment.with_recorder(|recorder| recorder.turn_ids());
        let sizes = Sizes::of_items(&stored_items(&self.environment, &started_turns));
        self.environment.with_recorder(|recorder| recorder.sizes = sizes);
        self.user.delete_conversation().await;
        self.user.probe().await;
        drop(self.user.send("after-deletion", "«a message to nobody»").await);
    }

    async fn play_long_run(&self, long_run: LongRun) {
        match long_run {
            LongRun::Batches(_) | LongRun::Blocks { dies: true, .. } => {
                self.play_dead_turn(long_run.updates_before_death().unwrap_or_default()).await;
            }
            LongRun::Blocks { .. } => self.play_answered_turn("t1").await,
            LongRun::Events(_) => {
                self.play_answered_turn("t1").await;
                self.rerun("retryTurn", "t1").await;
            }
            LongRun::Continues(count) => {
                self.play_answered_turn("t1").await;
                for _ in 0..count {
                    self.rerun("continueTurn", "t1").await;
                }
                self.rerun("retryTurn", "t1").await;
            }
            LongRun::Turns(count) => {
                for number in 3..count + 2 {
                    self.play_answered_turn(&format!("t{number}")).await;
                }
            }
        }
        let replaces_long_answer =
            matches!(long_run, LongRun::Events(_)) && self.environment.with_rng(|rng| rng.percent(50));
        if !replaces_long_answer || self.replace_answered_turn("t1", "t2").await.is_err() {
            self.play_answered_turn("t2").await;
        }
        let deletes = self.environment.users.deletes;
        if self.environment.with_rng(|rng| rng.percent(deletes)) {
            self.delete().await;
        }
    }

    async fn play_answered_turn(&self, turn_id: &str) {
        let text = format!("«question {turn_id}» {}", self.environment.with_rng(|rng| rng.number()));
        if self.user.send(turn_id, &text).await.is_ok() {
            self.subscriber.expect_turn(turn_id);
            self.wait_for_end(turn_id).await;
        }
    }

    async fn replace_answered_turn(&self, replaced: &str, turn_id: &str) -> Result<(), RequestError> {
        self.user.replace(replaced, turn_id, &format!("«edited {replaced}»")).await?;
        self.subscriber.expect_turn(turn_id);
        self.wait_for_end(turn_id).await;
        Ok(())
    }

    async fn rerun(&self, field: &str, turn_id: &str) {
        let result = self.user.execute_on_turn("mutation", field, turn_id).await;
        self.subscriber.expect_turn(turn_id);
        if result.is_ok() {
            self.wait_for_end(turn_id).await;
        }
    }

    /// A turn whose first attempt dies after so many updates; all other invocations die at once. A user
    /// closes the turn: by a cancel while it waits to be claimed again, or by a send, a retry or a continue
    /// once it has ended.
    async fn play_dead_turn(&self, updates: u32) {
        // The claim and the model call come first. Each call has two fault points.
        let fault_points = 2 * updates + 3;
        self.environment.with_faults(|profile, _| {
            profile.planned_kills.push_back(fault_points);
            profile.kills_all = true;
        });
        if self.user.send("t1", "«question t1» whose handler dies").await.is_err() {
            return;
        }
        self.subscriber.expect_turn("t1");
        let sent = Instant::now();
        while sent.elapsed() < DEATH_TIMEOUT && self.environment.with_recorder(|recorder| recorder.kills == 0) {
            sleep(Duration::from_secs(1)).await;
        }
        let field = self.environment.with_rng(|rng| rng.choose(&["cancelTurn", "retryTurn", "continueTurn", "send"]));
        match field {
            "cancelTurn" => sleep(LEASE_END).await,
            _ => sleep(CLAIM_END.saturating_sub(sent.elapsed())).await,
        }
        self.environment.with_faults(|profile, _| profile.kills_all = false);
        match field {
            "send" => {}
            "cancelTurn" => drop(self.user.cancel("t1").await),
            field => self.rerun(field, "t1").await,
        }
    }

    async fn play_turn(&self, number: u64) {
        let turn_id = format!("t{number}");
        let text = format!("«question {number}» {}", self.environment.with_rng(|rng| rng.number()));
        if self.send(&turn_id, &text).await.is_err() {
            return;
        }
        self.subscriber.expect_turn(&turn_id);
        self.interfere(&turn_id, &text).await;
        if self.environment.with_rng(|rng| rng.percent(85)) {
            self.wait_for_end(&turn_id).await;
        }
        self.retry_continue_and_replace(&turn_id).await;
    }

    /// Sends a message once, twice at once, or at the same time as another message.
    async fn send(&self, turn_id: &str, text: &str) -> Result<(), RequestError> {
        match self.environment.with_rng(|rng| rng.below(10)) {
            0..2 => {
                let other_user = self.other_user();
                let (first, second) = tokio::join!(self.user.send(turn_id, text), other_user.send(turn_id, text));
                first.or(second)
            }
            2..4 => self.send_against_rival(turn_id, text).await,
            _ => self.user.send(turn_id, text).await,
        }
    }

    /// Sends two messages at once, of which the conversation accepts one at a time.
    async fn send_against_rival(&self, turn_id: &str, text: &str) -> Result<(), RequestError> {
        let rival_id = format!("{turn_id}-rival");
        let other_user = self.other_user();
        let (result, rival_result) = tokio::join!(self.user.send(turn_id, text), other_user.send(&rival_id, "«rival»"));
        if rival_result.is_ok() {
            self.subscriber.expect_turn(&rival_id);
            self.wait_for_end(&rival_id).await;
        }
        match result {
            Err(RequestError::Refused(_)) => self.user.send(turn_id, text).await,
            result => result,
        }
    }

    /// While the turn is being answered: a cancel, a repeated send, or the same id with another text.
    async fn interfere(&self, turn_id: &str, text: &str) {
        let (pause, action) = self.environment.with_rng(|rng| {
            let pause = if rng.percent(60) { rng.milliseconds(0..1_500) } else { rng.seconds(0..90) };
            (pause, rng.below(10))
        });
        if action < 5 {
            sleep(pause).await;
        }
        match action {
            0..3 => drop(self.other_user().cancel(turn_id).await),
            3 => {
                let accepted = self.other_user().send(turn_id, text).await.is_ok();
                if accepted {
                    self.subscriber.expect_turn(turn_id);
                }
            }
            4 => {
                let accepted = self.other_user().send(turn_id, "another text").await.is_ok();
                if accepted {
                    let violation = Violation::new(2, format!("{turn_id} was accepted with another text"));
                    self.environment.with_recorder(|recorder| recorder.violations.push(violation));
                }
            }
            _ => {}
        }
    }

    /// Runs an ended turn again or replaces it, some of the runs cancelled.
    async fn retry_continue_and_replace(&self, turn_id: &str) {
        let reruns = self.environment.users.reruns;
        let mut turn_id = turn_id.to_owned();
        while self.environment.with_rng(|rng| rng.percent(reruns)) {
            let result = match self.environment.with_rng(|rng| rng.choose(&["retryTurn", "continueTurn", "replace"])) {
                "replace" => self.replace(&turn_id).await.map(|replacement| turn_id = replacement),
                field => self.user.execute_on_turn("mutation", field, &turn_id).await.map(drop),
            };
            self.subscriber.expect_turn(&turn_id);
            if result.is_err() {
                return;
            }
            if self.environment.with_rng(|rng| rng.percent(25)) {
                sleep(self.environment.with_rng(|rng| rng.milliseconds(0..4_000))).await;
                drop(self.other_user().cancel(&turn_id).await);
            }
            self.wait_for_end(&turn_id).await;
        }
    }

    /// Replaces an ended turn: once, twice at once, or at the same time as a retry or another replacement.
    /// Returns the id of the message that has replaced it.
    async fn replace(&self, turn_id: &str) -> Result<String, RequestError> {
        let id = format!("{turn_id}-edit");
        let (action, number) = self.environment.with_rng(|rng| (rng.below(10), rng.number()));
        let text = format!("«edited {turn_id}» {number}");
        let other_user = self.other_user();
        let replace = async || self.user.replace(turn_id, &id, &text).await;
        match action {
            0..2 => {
                let (first, second) = tokio::join!(replace(), other_user.replace(turn_id, &id, &text));
                first.or(second)?;
            }
            2..4 => {
                let (result, retried) =
                    tokio::join!(replace(), other_user.execute_on_turn("mutation", "retryTurn", turn_id));
                if retried.is_ok() {
                    self.subscriber.expect_turn(turn_id);
                    self.wait_for_end(turn_id).await;
                }
                match result {
                    Err(RequestError::Refused(_)) => replace().await?,
                    result => result?,
                }
            }
            4..6 => return self.replace_against_rival(turn_id, id, &text).await,
            6 => {
                replace().await?;
                self.check_refused_repetition(&id, &text).await;
            }
            _ => replace().await?,
        }
        Ok(id)
    }

    /// Replaces a turn by two messages at once, of which one is accepted.
    async fn replace_against_rival(&self, turn_id: &str, id: String, text: &str) -> Result<String, RequestError> {
        let rival_id = format!("{id}-rival");
        let other_user = self.other_user();
        let (result, rival_result) = tokio::join!(
            self.user.replace(turn_id, &id, text),
            other_user.replace(turn_id, &rival_id, "«edited by a rival»")
        );
        if result.is_ok() && rival_result.is_ok() {
            let violation = Violation::new(1, format!("{id} and {rival_id} have both replaced {turn_id}"));
            self.environment.with_recorder(|recorder| recorder.violations.push(violation));
        }
        result.map(|()| id).or_else(|_| rival_result.map(|()| rival_id))
    }

    /// The same text with the same id, but not in place of the turn, is another message.
    async fn check_refused_repetition(&self, id: &str, text: &str) {
        if self.other_user().send(id, text).await.is_ok() {
            let violation = Violation::new(2, format!("{id} was accepted without the turn that it has replaced"));
            self.environment.with_recorder(|recorder| recorder.violations.push(violation));
        }
    }
}
