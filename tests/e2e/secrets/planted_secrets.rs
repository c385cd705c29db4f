//! Planted secrets, the locations where each may appear, and the scan of captured text for all others.
use std::collections::{BTreeMap, BTreeSet};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use fancy_regex::Regex;

/// A part of a credential of this length counts as a leak.
const FRAGMENT_LENGTH: usize = 16;
/// The bytes of text that a report shows before and after a leak.
const CONTEXT_LENGTH: usize = 60;

pub const API_KEY: &str = "the API key";
pub const ADMINISTRATOR_KEY: &str = "the administrator's secret key";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretKind {
    Credential,
    /// Text of a user, or of an agent.
    Text,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlantedSecret {
    pub kind: SecretKind,
    pub name: String,
    /// Unique ASCII text.
    pub value: String,
}

/// Where text was captured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// What the program prints until it is ready.
    StartupOutput,
    /// Both output streams after the start.
    Log,
    /// A file of the state folder.
    StateFile(String),
    TableItem,
    /// The data of a response.
    ResponseData,
    /// An error in a response, or a refused connection.
    ResponseError,
    /// The event of an invocation, or a failure record, which contains the event.
    Invocation,
    /// The members of a failure record, but for the event.
    FailureRecord,
    /// What a function sends to the Runtime API.
    FunctionResponse,
}

pub struct CapturedText {
    pub location: Location,
    pub text: String,
}

/// A planted secret that was found in a captured text.
pub struct Finding {
    pub location: Location,
    pub secret: PlantedSecret,
    context: String,
}

pub struct Findings(Vec<Finding>);

impl Location {
    fn may_contain(&self, secret: &PlantedSecret) -> bool {
        match (self, secret.kind) {
            (Self::TableItem | Self::ResponseData | Self::Invocation, SecretKind::Text) => true,
            (Self::StateFile(name), SecretKind::Text) => name.starts_with("table.db"),
            (Self::StateFile(name), SecretKind::Credential) if name == "api-key" => secret.name == API_KEY,
            (Self::StateFile(name), SecretKind::Credential) if name == "endpoint.json" => secret.is_given_to_the_user(),
            (Self::StartupOutput, SecretKind::Credential) => secret.is_given_to_the_user(),
            _ => false,
        }
    }
}

impl PlantedSecret {
    /// Whether the program shows the secret to the user that starts it.
    fn is_given_to_the_user(&self) -> bool {
        [API_KEY, ADMINISTRATOR_KEY].contains(&self.name.as_str())
    }

    /// The texts that reveal the secret: its value, its base64 at each alignment, and both ends of a
    /// credential.
    fn forms(&self) -> Vec<String> {
        let mut forms = vec![self.value.clone()];
        for alignment in 0..3 {
            forms.push(base64_within(&STANDARD_NO_PAD, alignment, &self.value));
            forms.push(base64_within(&URL_SAFE_NO_PAD, alignment, &self.value));
        }
        if self.kind == SecretKind::Credential {
            let start_of_end = self.value.len().saturating_sub(FRAGMENT_LENGTH);
            let ends = [self.value.get(..FRAGMENT_LENGTH), self.value.get(start_of_end..)];
            forms.extend(ends.into_iter().flatten().map(str::to_owned));
        }
        forms
    }
}

/// The characters that encode a value in the base64 of any longer text with this many bytes (modulo 3) before
/// it.
fn base64_within(engine: &impl Engine, alignment: usize, value: &str) -> String {
    let padded = [&[0; 2][..alignment], value.as_bytes()].concat();
    let encoded = engine.encode(&padded);
    let first = (alignment * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    encoded[first..last].to_owned()
}

impl Findings {
    /// Scans all texts for all secrets.
    pub fn scan<'a>(secrets: &[PlantedSecret], captured: impl IntoIterator<Item = &'a CapturedText>) -> Self {
        let mut secrets_by_form = BTreeMap::new();
        for secret in secrets {
            secrets_by_form.extend(secret.forms().into_iter().map(|form| (form, secret)));
        }
        // Longer forms come first, because the regex prefers earlier alternatives: a fragment that two
        // secrets share must not hide the whole value of either.
        let mut forms: Vec<_> = secrets_by_form.keys().map(|form| fancy_regex::escape(form)).collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        let pattern = Regex::new(&forms.join("|")).unwrap();
        let mut findings = Vec::new();
        for CapturedText { location, text } in captured {
            for found in pattern.find_iter(text).map(Result::unwrap) {
                let secret = secrets_by_form[found.as_str()].clone();
                findings.push(Finding { location: location.clone(), secret, context: context(text, found.start()) });
            }
        }
        Self(findings)
    }

    /// Describes each secret in a location that may not contain it.
    pub fn leaks(&self) -> BTreeSet<String> {
        let leaks = self.0.iter().filter(|finding| !finding.location.may_contain(&finding.secret));
        leaks
            .map(|Finding { location, secret, context }| format!("{location:?} contains {}: …{context}…", secret.name))
            .collect()
    }

    /// The names of all secrets in these locations.
    pub fn names_in(&self, is_included: impl Fn(&Location) -> bool) -> BTreeSet<String> {
        let findings = self.0.iter().filter(|finding| is_included(&finding.location));
        findings.map(|finding| finding.secret.name.clone()).collect()
    }
}

fn context(text: &str, at: usize) -> String {
    let start = text.floor_char_boundary(at.saturating_sub(CONTEXT_LENGTH));
    let end = text.ceil_char_boundary(at + CONTEXT_LENGTH);
    text[start..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(kind: SecretKind, name: &str) -> PlantedSecret {
        PlantedSecret { kind, name: name.into(), value: format!("planted~?{name}-0123456789abcdef0123456789") }
    }

    fn count_leaks(location: Location, text: String) -> usize {
        let secrets = [
            secret(SecretKind::Credential, "token"),
            secret(SecretKind::Credential, API_KEY),
            secret(SecretKind::Text, "title"),
        ];
        Findings::scan(&secrets, &[CapturedText { location, text }]).leaks().len()
    }

    #[test]
    fn leaks_are_found_whole_in_fragments_and_in_base64() {
        let token = secret(SecretKind::Credential, "token").value;
        let (start, end) = (&token[..FRAGMENT_LENGTH], &token[token.len() - FRAGMENT_LENGTH..]);
        for text in [token.clone(), format!("token={token:?}"), start.into(), end.into()] {
            assert_eq!(count_leaks(Location::Log, text.clone()), 1, "{text}");
        }
        for prefix in ["", "{", "{\"", "{\"x\":\""] {
            let header = format!("{prefix}{token}\"}}");
            for encoded in [STANDARD_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&header)] {
                assert_eq!(count_leaks(Location::ResponseError, format!("header-{encoded}")), 1, "{header}");
            }
        }
    }

    #[test]
    fn each_kind_of_secret_has_its_allowed_locations() {
        let file = |name: &str| Location::StateFile(name.into());
        let title = secret(SecretKind::Text, "title").value;
        let for_text = [Location::TableItem, Location::ResponseData, Location::Invocation];
        for location in for_text.into_iter().chain([file("table.db"), file("table.db-wal")]) {
            assert_eq!(count_leaks(location, title.clone()), 0);
        }
        for location in [
            Location::Log,
            Location::StartupOutput,
            Location::ResponseError,
            Location::FailureRecord,
            Location::FunctionResponse,
            file("endpoint.json"),
        ] {
            assert_eq!(count_leaks(location, title.clone()), 1);
        }
        let key = secret(SecretKind::Credential, API_KEY).value;
        let token = secret(SecretKind::Credential, "token").value;
        for location in [Location::StartupOutput, file("api-key"), file("endpoint.json")] {
            assert_eq!(count_leaks(location.clone(), key.clone()), 0);
            assert_eq!(count_leaks(location, token.clone()), 1);
        }
        for location in
            [Location::TableItem, Location::ResponseData, Location::Invocation, Location::Log, file("table.db")]
        {
            assert_eq!(count_leaks(location, key.clone()), 1);
        }
    }
}
