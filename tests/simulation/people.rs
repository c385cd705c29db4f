//! Who takes part in a run, and how each person proves its identity.
use std::sync::Arc;

use local::{
    identity::{Caller, Principal},
    template::{ACCOUNT, REGION},
};

use crate::rng::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    Owner,
    /// With whom the owner shares the conversation for some of the time.
    Participant,
    /// With whom the conversation is never shared.
    Stranger,
}

/// The callers of a run. Names contain the seed, so that the quotas of one run do not count in another.
pub struct People {
    owner: Caller,
    participant: Caller,
    stranger: Caller,
    administrator: Caller,
    /// The id of the participant as a user. `None` if the owner cannot share: all callers with the API key
    /// are one user.
    participant_id: Option<String>,
}

impl People {
    pub fn random(rng: &mut Rng, seed: u64) -> Self {
        let user = |name: &str| {
            let credentials = (format!("AKIA{name}{seed}"), "secret".to_owned());
            Arc::new(Principal::administrator(ACCOUNT, &format!("{name}{seed}"), credentials.0, credentials.1))
        };
        let caller = |principal: &Arc<Principal>| Caller::from_signature(Arc::clone(principal), REGION, Vec::new());
        let participant = user("participant");
        let is_anonymous = rng.percent(25);
        Self {
            owner: if is_anonymous { Caller::from_api_key() } else { caller(&user("owner")) },
            participant_id: (!is_anonymous).then(|| format!("IAM#{ACCOUNT}#{}", participant.user_id)),
            participant: caller(&participant),
            stranger: caller(&user("stranger")),
            administrator: caller(&user("administrator")),
        }
    }

    pub fn caller(&self, person: Person) -> Caller {
        match person {
            Person::Owner => self.owner.clone(),
            Person::Participant => self.participant.clone(),
            Person::Stranger => self.stranger.clone(),
        }
    }

    /// Puts agents.
    pub fn administrator(&self) -> Caller {
        self.administrator.clone()
    }

    pub fn participant_id(&self) -> Option<&str> {
        self.participant_id.as_deref()
    }
}
