//! Model checking of the turn protocol: three deliveries of a run, a repeated send, a cancel, a retry with
//! its own delivery, the next message and a closer for each run, in every order, with every lease and
//! deadline expiring at any time.
//!
//! A killed process takes no further action, so every history with a kill is a prefix of a history explored
//! here. `tool_calls` explores a step with tool calls in the same way.
mod actions;
mod explorer;
mod invariants;
mod mutants;
mod state;
mod tool_calls;
mod turn_item;

use actions::Action;
use api::types::TurnStatus;
use explorer::{Exploration, Model, Violation, explore};
use invariants::Invariant;
use mutants::{EXPECTED_VIOLATIONS, Mutant};
use state::{ClientActions, State};

/// The protocol of turns.
#[derive(Debug)]
struct TurnProtocol {
    mutant: Mutant,
}

impl Model for TurnProtocol {
    type State = State;
    type Action = Action;
    type Invariant = Invariant;

    fn successors(&self, state: &State) -> Vec<(Action, State)> {
        actions::successors(state, self.mutant)
    }

    fn check_transition(&self, before: &State, action: Action, after: &State) -> Result<(), Invariant> {
        invariants::check_transition(before, action, after, self.mutant)
    }

    fn check_state(&self, state: &State) -> Result<(), Invariant> {
        invariants::check_state(state, self.mutant)
    }
}

type Outcome = Result<Exploration<State>, Violation<TurnProtocol>>;

fn explore_one_run(mutant: Mutant) -> Outcome {
    let client = ClientActions { cancel: true, repeat_send: true, retry: false, send_next: true };
    explore(State::initial(3, client), &TurnProtocol { mutant })
}

fn explore_two_runs(mutant: Mutant) -> Outcome {
    let client = ClientActions { cancel: true, repeat_send: false, retry: true, send_next: true };
    explore(State::initial(2, client), &TurnProtocol { mutant })
}

#[test]
fn no_order_of_actions_breaks_an_invariant() {
    for explore in [explore_one_run, explore_two_runs] {
        let exploration = explore(Mutant::None).unwrap_or_else(|violation| panic!("{violation}"));
        println!("{} states, {} transitions", exploration.states.len(), exploration.transitions);
        assert!(exploration.states.len() > 1_000, "the exploration is too small to mean anything");
    }
}

#[test]
fn each_mutant_breaks_its_invariant() {
    assert!(explore_two_runs(Mutant::FenceIgnoresRun).is_ok(), "attempts alone tell the runs apart");
    for (mutant, invariant) in EXPECTED_VIOLATIONS {
        let violation = explore_two_runs(*mutant).err().unwrap_or_else(|| panic!("{mutant:?} is not detected"));
        println!("{mutant:?}: {violation}");
        assert_eq!(violation.invariant, *invariant, "{mutant:?} breaks another invariant:\n{violation}");
    }
}

#[test]
fn cancelling_turn_may_finish_as_completed_or_cancelled() {
    let exploration = explore_one_run(Mutant::None).unwrap_or_else(|violation| panic!("{violation}"));
    let cancelling = exploration.states.iter().filter(|state| state.turn.status == TurnStatus::Cancelling);
    let actions: Vec<_> = cancelling.flat_map(|state| actions::successors(state, Mutant::None)).collect();
    for expected in [TurnStatus::Completed, TurnStatus::Cancelled] {
        let is_finish = |action: Action| matches!(action, Action::Finish { status, .. } if status == expected);
        assert!(actions.iter().any(|(action, _)| is_finish(*action)), "no cancelling turn finishes {expected:?}");
    }
}
