//! Model checking of a step with two tool calls that change something, of which one needs an approval: the
//! deliveries of each run, two devices that answer, a cancel, a continue and the next message, in every
//! order, with the lease and the wait expiring at any time.
//!
//! The bounds: two calls, two answers, one cancel and one next message. Two explorations have two runs, of
//! which each has two deliveries: the second run is started by an answer or by a continue. A third one has
//! both, and one delivery of each run. A killed process takes no further action, so every history with a
//! kill before, during or after a call is a prefix of a history explored here.
mod actions;
mod invariants;
mod mutants;
mod state;

use std::collections::HashSet;

use actions::Action;
use invariants::Invariant;
use mutants::{EXPECTED_VIOLATIONS, Mutant};
use state::State;

use crate::explorer::{Exploration, Model, Violation, explore};

/// The protocol of tool calls.
#[derive(Debug)]
struct ToolProtocol {
    mutant: Mutant,
}

impl Model for ToolProtocol {
    type State = State;
    type Action = Action;
    type Invariant = Invariant;

    fn successors(&self, state: &State) -> Vec<(Action, State)> {
        actions::successors(state, self.mutant)
    }

    fn check_transition(&self, before: &State, action: Action, after: &State) -> Result<(), Invariant> {
        invariants::check_transition(before, action, after)
    }

    fn check_state(&self, state: &State) -> Result<(), Invariant> {
        invariants::check_state(state)
    }
}

type Outcome = Result<Exploration<State>, Violation<ToolProtocol>>;

fn explore_answers(mutant: Mutant) -> Outcome {
    explore(State::initial(2, 2, false), &ToolProtocol { mutant })
}

fn explore_continue(mutant: Mutant) -> Outcome {
    explore(State { answers_left: 0, ..State::initial(2, 2, true) }, &ToolProtocol { mutant })
}

fn explore_answers_and_continue(mutant: Mutant) -> Outcome {
    explore(State::initial(3, 1, true), &ToolProtocol { mutant })
}

#[test]
fn no_order_of_actions_runs_a_call_twice_or_loses_its_result() {
    let mut endings = HashSet::new();
    for explore in [explore_answers, explore_continue, explore_answers_and_continue] {
        let exploration = explore(Mutant::None).unwrap_or_else(|violation| panic!("{violation}"));
        println!("{} states, {} transitions", exploration.states.len(), exploration.transitions);
        assert!(exploration.states.len() > 1_000, "the exploration is too small to mean anything");
        let ended = exploration.states.iter().filter(|state| state.is_step_stored && state.turn.status.is_end());
        endings.extend(ended.map(State::results));
    }
    println!("{} endings of the step", endings.len());
    assert!(endings.len() > 10, "the step ends in too few ways: {endings:?}");
    for results in endings {
        assert!(invariants::has_valid_transcript(results), "the next transcript after {results:?}");
    }
}

#[test]
fn each_mutant_of_tool_calls_breaks_its_invariant() {
    for (mutant, invariant) in EXPECTED_VIOLATIONS {
        let violation = explore_answers(*mutant).err().unwrap_or_else(|| panic!("{mutant:?} is not detected"));
        println!("{mutant:?}: {:?} after {} actions", violation.invariant, violation.path.len());
        assert_eq!(violation.invariant, *invariant, "{mutant:?} breaks another invariant:\n{violation}");
    }
}
