//! What is planted, where it may lie, and the search for it everywhere else.
use std::collections::{BTreeMap, BTreeSet};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use fancy_regex::Regex;

/// As much of a credential is as bad as all of it.
const PIECE: usize = 16;
const CONTEXT: usize = 60;

pub const API_KEY: &str = "the API key";
pub const ADMINISTRATOR: &str = "the administrator's secret";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Credential,
    Text,
}

/// Something with a name that is easily told from anything else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Planted {
    pub kind: Kind,
    pub name: String,
    /// ASCII.
    pub value: String,
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// What is printed for whoever starts the program.
    Greeting,
    /// Both streams, but for the greeting.
    Log,
    /// A file of the state folder.
    File(String),
    /// An item of the table.
    Item,
    /// What a caller asked for.
    Answer,
    /// An error that a caller was told.
    Refusal,
    /// What Lambda hands a process: an order, or a failure record, which quotes the order.
    Invocation,
    /// What a failure record says beside the order that it quotes.
    Record,
    /// What a process hands back to Lambda.
    Report,
}

pub struct Written {
    pub place: Place,
    pub text: String,
}

/// Finds everything that is planted in one pass over a text.
pub struct Search {
    pattern: Regex,
    planted: BTreeMap<String, Planted>,
}

impl Place {
    fn may_hold(&self, planted: &Planted) -> bool {
        match (self, planted.kind) {
            (Self::Item | Self::Answer | Self::Invocation, Kind::Text) => true,
            (Self::File(name), Kind::Text) => name.starts_with("table.db"),
            (Self::File(name), Kind::Credential) if name == "api-key" => planted.name == API_KEY,
            (Self::File(name), Kind::Credential) if name == "endpoint.json" => planted.is_announced(),
            (Self::Greeting, Kind::Credential) => planted.is_announced(),
            _ => false,
        }
    }
}

impl Planted {
    /// Whether the program tells it to whoever starts it.
    fn is_announced(&self) -> bool {
        [API_KEY, ADMINISTRATOR].contains(&self.name.as_str())
    }

    /// Itself, as a part of anything in base64, and of a credential its beginning and its end.
    fn forms(&self) -> Vec<String> {
        let value = &self.value;
        let pieces = [value.get(..PIECE), value.get(value.len().saturating_sub(PIECE)..)];
        let pieces = pieces.into_iter().flatten().filter(|_| self.kind == Kind::Credential).map(str::to_owned);
        let encoded =
            (0..3).flat_map(|offset| [STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|code| within(&code, offset, value)));
        [value.clone()].into_iter().chain(encoded).chain(pieces).collect()
    }
}

/// The characters that a text always has inside a longer one in base64, where so many bytes (modulo 3) stand before it.
fn within(code: &impl Engine, offset: usize, value: &str) -> String {
    let padded = [&[0; 2][..offset], value.as_bytes()].concat();
    let encoded = code.encode(&padded);
    let first = (offset * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    encoded[first..last].to_owned()
}

impl Search {
    pub fn of(planted: impl IntoIterator<Item = Planted>) -> Self {
        let forms = planted
            .into_iter()
            .flat_map(|planted| planted.forms().into_iter().map(move |form| (form, planted.clone())));
        let planted: BTreeMap<String, Planted> = forms.collect();
        // The longest first: a piece must not hide the whole, which may be somebody else's.
        let mut forms: Vec<_> = planted.keys().map(|form| fancy_regex::escape(form)).collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self { pattern: Regex::new(&forms.join("|")).unwrap(), planted }
    }

    /// What lies in the text, by where it begins.
    pub fn found<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (usize, &'a Planted)> {
        self.pattern.find_iter(text).map(|found| {
            let found = found.unwrap();
            (found.start(), &self.planted[found.as_str()])
        })
    }

    /// What lies where it must not, each once a place.
    pub fn leaks(&self, written: &[Written]) -> BTreeSet<String> {
        let leaks = |written: &Written| -> Vec<String> {
            let found = self.found(&written.text).filter(|(_, planted)| !written.place.may_hold(planted));
            found.map(|(at, planted)| told(written, at, &planted.name)).collect()
        };
        written.iter().flat_map(leaks).collect()
    }
}

fn told(written: &Written, at: usize, name: &str) -> String {
    let text = &written.text;
    let around = text.floor_char_boundary(at.saturating_sub(CONTEXT))..text.ceil_char_boundary(at + CONTEXT);
    format!("{:?} holds {name}: …{}…", written.place, &text[around])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planted(kind: Kind, name: &str) -> Planted {
        Planted { kind, name: name.into(), value: format!("planted~?{name}-0123456789abcdef0123456789") }
    }

    fn leaks(place: Place, text: String) -> usize {
        let all =
            [planted(Kind::Credential, "token"), planted(Kind::Credential, API_KEY), planted(Kind::Text, "title")];
        Search::of(all).leaks(&[Written { place, text }]).len()
    }

    #[test]
    fn what_lies_in_the_wrong_place_is_found_also_in_pieces_and_in_base64() {
        let token = planted(Kind::Credential, "token").value;
        let (beginning, end) = (&token[..PIECE], &token[token.len() - PIECE..]);
        for text in [token.clone(), format!("token={token:?}"), beginning.into(), end.into()] {
            assert_eq!(leaks(Place::Log, text.clone()), 1, "{text}");
        }
        for before in ["", "{", "{\"", "{\"x\":\""] {
            let header = format!("{before}{token}\"}}");
            for encoded in [STANDARD_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&header)] {
                assert_eq!(leaks(Place::Refusal, format!("header-{encoded}")), 1, "{header}");
            }
        }
    }

    #[test]
    fn each_thing_has_its_own_places() {
        let file = |name: &str| Place::File(name.into());
        let title = planted(Kind::Text, "title").value;
        for place in [Place::Item, Place::Answer, Place::Invocation, file("table.db"), file("table.db-wal")] {
            assert_eq!(leaks(place, title.clone()), 0);
        }
        for place in [Place::Log, Place::Greeting, Place::Refusal, Place::Record, Place::Report, file("endpoint.json")]
        {
            assert_eq!(leaks(place, title.clone()), 1);
        }
        let key = planted(Kind::Credential, API_KEY).value;
        for place in [Place::Greeting, file("api-key"), file("endpoint.json")] {
            assert_eq!(
                (leaks(place.clone(), key.clone()), leaks(place, planted(Kind::Credential, "token").value)),
                (0, 1)
            );
        }
        for place in [Place::Item, Place::Answer, Place::Invocation, Place::Log, file("table.db")] {
            assert_eq!(leaks(place, key.clone()), 1);
        }
    }
}
