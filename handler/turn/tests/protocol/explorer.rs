//! Breadth-first exploration of all reachable states. The path to a violation is a shortest one.
use std::{
    collections::HashSet,
    fmt::{self, Debug},
    hash::Hash,
};

/// What is explored.
pub trait Model {
    type State: Clone + Debug + Eq + Hash;
    type Action: Copy + Debug;
    type Invariant: Copy + Debug;

    /// Everything that can happen next, and what follows.
    fn successors(&self, state: &Self::State) -> Vec<(Self::Action, Self::State)>;

    fn check_transition(
        &self,
        before: &Self::State,
        action: Self::Action,
        after: &Self::State,
    ) -> Result<(), Self::Invariant>;

    fn check_state(&self, state: &Self::State) -> Result<(), Self::Invariant>;
}

pub struct Exploration<S> {
    pub states: Vec<S>,
    pub transitions: usize,
}

#[derive(Debug)]
pub struct Violation<M: Model> {
    pub invariant: M::Invariant,
    pub path: Vec<M::Action>,
    pub state: M::State,
}

pub fn explore<M: Model>(initial: M::State, model: &M) -> Result<Exploration<M::State>, Violation<M>> {
    let mut known = HashSet::from([initial.clone()]);
    let mut states = vec![initial];
    // For each state, the index of the state before it and the action between the two.
    let mut predecessors: Vec<Option<(usize, M::Action)>> = vec![None];
    let mut transitions = 0;
    let mut current = 0;
    while let Some(before) = states.get(current).cloned() {
        for (action, after) in model.successors(&before) {
            transitions += 1;
            let is_new = !known.contains(&after);
            let mut checked = model.check_transition(&before, action, &after);
            if is_new {
                checked = checked.and(model.check_state(&after));
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

fn path<A: Copy>(predecessors: &[Option<(usize, A)>], mut state: usize, last: A) -> Vec<A> {
    let mut path = vec![last];
    while let Some((before, action)) = predecessors[state] {
        path.push(action);
        state = before;
    }
    path.reverse();
    path
}

impl<M: Model> fmt::Display for Violation<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is broken by {:?}, which leads to {:?}", self.invariant, self.path, self.state)
    }
}
