//! Users of the local user pool.
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Builder;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolUser {
    pub name: String,
    pub groups: Vec<String>,
}

impl PoolUser {
    /// A user without groups.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), groups: Vec::new() }
    }

    /// The `sub` of the user's tokens. It depends on the name alone, so that conversations keep their owners
    /// over restarts.
    pub fn subject(&self) -> String {
        let hash = digest(&SHA256, self.name.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.as_ref()[..16]);
        Builder::from_random_bytes(bytes).into_uuid().to_string()
    }
}

/// Parses `NAME` or `NAME:GROUP,…`. Names and groups follow Cognito's rules.
impl FromStr for PoolUser {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, groups) = text.split_once(':').map_or((text, None), |(name, groups)| (name, Some(groups)));
        let groups: Vec<_> = groups.into_iter().flat_map(|groups| groups.split(',')).map(str::to_owned).collect();
        let is_valid = |name: &String| (1..=128).contains(&name.chars().count()) && !name.contains(char::is_whitespace);
        let name = name.to_owned();
        if is_valid(&name) && groups.iter().all(is_valid) {
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
    fn user_is_parsed_with_groups() {
        let ada = PoolUser { name: "ada".into(), groups: vec!["administrators".into(), "poets".into()] };
        assert_eq!("ada:administrators,poets".parse(), Ok(ada));
        assert_eq!("bob".parse(), Ok(PoolUser::named("bob")));
        for invalid in ["", ":poets", "ada:", "ada:poets,", "a da", "ada:po ets"] {
            assert!(
                invalid.parse::<PoolUser>().unwrap_err().starts_with("it must be NAME or NAME:GROUP,…"),
                "{invalid}"
            );
        }
    }

    #[test]
    fn subject_depends_on_the_name_alone() {
        let subject = PoolUser::named("ada").subject();
        assert_eq!(subject, "ada:poets".parse::<PoolUser>().unwrap().subject());
        assert_ne!(subject, PoolUser::named("bob").subject());
        assert_eq!((subject.len(), subject.as_bytes()[14]), (36, b'4'));
    }
}
