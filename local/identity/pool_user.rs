//! Users of a laptop's user pool.
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Builder;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub groups: Vec<String>,
}

impl User {
    /// Somebody of no group.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), groups: Vec::new() }
    }

    /// What issuers know the user by: the same at every start, so that conversations keep their owners.
    pub fn subject(&self) -> String {
        let drawn = digest(&SHA256, self.name.as_bytes());
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(drawn.as_ref()).for_each(|(byte, drawn)| *byte = *drawn);
        Builder::from_random_bytes(bytes).into_uuid().to_string()
    }
}

/// `NAME` or `NAME:GROUP,…`; what names and groups may be is Cognito's rule.
impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, groups) = text.split_once(':').map_or((text, None), |(name, groups)| (name, Some(groups)));
        let groups: Vec<_> = groups.into_iter().flat_map(|groups| groups.split(',')).map(str::to_owned).collect();
        let fits = |name: &String| (1..=128).contains(&name.chars().count()) && !name.contains(char::is_whitespace);
        let name = name.to_owned();
        if fits(&name) && groups.iter().all(fits) {
            Ok(Self { name, groups })
        } else {
            Err("it must be NAME or NAME:GROUP,…, each of 1 to 128 characters without spaces".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_written_with_its_groups() {
        let ada = User { name: "ada".into(), groups: vec!["administrators".into(), "poets".into()] };
        assert_eq!("ada:administrators,poets".parse(), Ok(ada));
        assert_eq!("bob".parse(), Ok(User::named("bob")));
        for none in ["", ":poets", "ada:", "ada:poets,", "a da", "ada:po ets"] {
            assert!(none.parse::<User>().unwrap_err().starts_with("it must be NAME or NAME:GROUP,…"), "{none}");
        }
    }

    #[test]
    fn a_user_has_one_subject_and_shares_it_with_nobody() {
        let subject = User::named("ada").subject();
        assert_eq!(subject, "ada:poets".parse::<User>().unwrap().subject());
        assert_ne!(subject, User::named("bob").subject());
        assert_eq!((subject.len(), subject.as_bytes()[14]), (36, b'4'));
    }
}
