//! Breadth-first exploration of all reachable states. The path to a violation is a shortest one.
use std::{collections::HashSet, fmt};

use crate::{
    actions::{self, Action},
    invariants::{self, Invariant},
    mutants::Mutant,
    state::State,
};

pub struct Exploration {
    pub states: Vec<State>,
    pub transitions: usize,
}

#[derive(Debug)]
pub struct Violation {
    pub invariant: Invariant,
    pub path: Vec<Action>,
    pub state: State,
}

pub fn explore(initial: State, mutant: Mutant) -> Result<Exploration, Violation> {
    let mut known = HashSet::from([initial.clone()]);
    let mut states = vec![initial];
    // For each state, the index of the state before it and the action between the two.
    let mut predecessors: Vec<Option<(usize, Action)>> = vec![None];
    let mut transitions = 0;
    let mut current = 0;
    while let Some(before) = states.get(current).cloned() {
        for (action, after) in actions::successors(&before, mutant) {
            transitions += 1;
            let is_new = !known.contains(&after);
            let mut checked = invariants::check_transition(&before, action, &after, mutant);
            if is_new {
                checked = checked.and(invariants::check_state(&after, mutant));
            }
            if let Err(invariant) = checked {
                return Err(Violation { invariant, path: path(&predecessors, current, action), state: after });
            }
            if is_new {
                known.insert(after.clone());
                states.push(after);
                predecessors.push(Some((current, action)));
            }
        }
        current += 1;
    }
    Ok(Exploration { states, transitions })
}

fn path(predecessors: &[Option<(usize, Action)>], mut state: usize, last: Action) -> Vec<Action> {
    let mut path = vec![last];
    while let Some((before, action)) = predecessors[state] {
        path.push(action);
        state = before;
    }
    path.reverse();
    path
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is broken by {:?}, which leads to {:?}", self.invariant, self.path, self.state)
    }
}
