//! The turn protocol, exhaustively: three deliveries of a run, a message sent again, a cancel, a retry with a delivery of its
//! own, the next message, and a closer for each run, in every order, with every lease and every deadline passing at any time.
//!
//! A process that is killed is one that takes no further step: every history that stops anywhere is a prefix of one here.
mod explorer;
mod invariants;
mod model;
mod mutants;
mod steps;
mod table;

use api::types::TurnStatus;
use explorer::{Explored, Violation, explore};
use model::{May, World};
use mutants::{Mutant, TABLE};
use steps::Step;

/// Everything that can happen to the first run.
fn one_run(mutant: Mutant) -> Result<Explored, Violation> {
    explore(World::begin(3, May { cancel: true, repeat: true, retry: false, go_on: true }), mutant)
}

/// Everything that can happen while the turn is retried.
fn two_runs(mutant: Mutant) -> Result<Explored, Violation> {
    explore(World::begin(2, May { cancel: true, repeat: false, retry: true, go_on: true }), mutant)
}

#[test]
fn no_order_of_events_breaks_a_law() {
    for explore in [one_run, two_runs] {
        let explored = explore(Mutant::None).unwrap_or_else(|violation| panic!("{violation}"));
        println!("{} states, {} steps", explored.states.len(), explored.steps);
        assert!(explored.states.len() > 1_000, "the exploration is not what it was");
    }
}

#[test]
fn each_weakness_breaks_the_law_that_stands_against_it() {
    assert!(two_runs(Mutant::FenceIgnoresRun).is_ok(), "the run is the second of two locks");
    for (mutant, invariant) in TABLE {
        let violation = two_runs(*mutant).err().unwrap_or_else(|| panic!("{mutant:?} is not caught"));
        println!("{mutant:?}: {violation}");
        assert_eq!(violation.invariant, *invariant, "{mutant:?} is caught by another invariant:\n{violation}");
    }
}

#[test]
fn against_a_cancel_a_finish_wins_unless_it_has_heard_of_it() {
    let explored = one_run(Mutant::None).unwrap_or_else(|violation| panic!("{violation}"));
    let cancelling = explored.states.iter().filter(|world| world.turn.status == TurnStatus::Cancelling);
    let steps: Vec<_> = cancelling.flat_map(|world| steps::from(world, Mutant::None)).collect();
    for wanted in [TurnStatus::Completed, TurnStatus::Cancelled] {
        let finishes = |step: Step| matches!(step, Step::Finish { status, .. } if status == wanted);
        assert!(steps.iter().any(|(step, _)| finishes(*step)), "no cancelled answer finishes {wanted:?}");
    }
}
