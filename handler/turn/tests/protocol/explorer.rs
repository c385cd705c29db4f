//! Visits every state that can be reached, breadth first: the path to a violation is a shortest one.
use std::{collections::HashSet, fmt};

use crate::{
    invariants::{self, Invariant},
    model::World,
    mutants::Mutant,
    steps::{self, Step},
};

pub struct Explored {
    pub states: Vec<World>,
    pub steps: usize,
}

#[derive(Debug)]
pub struct Violation {
    pub invariant: Invariant,
    pub path: Vec<Step>,
    pub world: World,
}

pub fn explore(begin: World, mutant: Mutant) -> Result<Explored, Violation> {
    let mut known = HashSet::from([begin.clone()]);
    let mut states = vec![begin];
    let mut reached: Vec<Option<(usize, Step)>> = vec![None];
    let mut steps = 0;
    let mut next = 0;
    while let Some(before) = states.get(next).cloned() {
        for (step, after) in steps::from(&before, mutant) {
            steps += 1;
            let is_new = !known.contains(&after);
            let kept = invariants::keep(&before, step, &after, mutant);
            let held = if is_new { invariants::hold(&after, mutant) } else { Ok(()) };
            if let Err(invariant) = kept.and(held) {
                return Err(Violation { invariant, path: path(&reached, next, step), world: after });
            }
            if is_new {
                known.insert(after.clone());
                states.push(after);
                reached.push(Some((next, step)));
            }
        }
        next += 1;
    }
    Ok(Explored { states, steps })
}

fn path(reached: &[Option<(usize, Step)>], mut state: usize, last: Step) -> Vec<Step> {
    let mut path = vec![last];
    while let Some((before, step)) = reached[state] {
        path.push(step);
        state = before;
    }
    path.reverse();
    path
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is broken by {:?}, which leads to {:?}", self.invariant, self.path, self.world)
    }
}
