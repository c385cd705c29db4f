//! A guardrail with fixed rules: a topic that users must not ask about, words that models must not say, and
//! e-mail addresses that are masked.
use std::{borrow::Cow, sync::LazyLock};

use fancy_regex::{NoExpand, Regex};
use serde_json::{Value, json};

use super::bedrock_error::BedrockError;

/// What users must not ask about.
pub const FORBIDDEN_TOPIC: &str = "forbidden topic";
/// What models must not say.
pub const FORBIDDEN_WORDS: &str = "secret recipe";
/// What a user reads whose message is blocked.
pub const BLOCKED_INPUT_MESSAGE: &str = "Sorry, the model cannot answer this question.";
/// What a user reads in place of a blocked answer.
pub const BLOCKED_OUTPUT_MESSAGE: &str = "Sorry, the answer to this question is withheld.";

const MASK: &str = "{EMAIL}";
/// The version that every guardrail has.
const DRAFT: &str = "DRAFT";
/// A text unit of Bedrock's bill.
const UNIT_CHARACTERS: usize = 1_000;

static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "the pattern is constant")]
    Regex::new(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+").unwrap()
});

/// A guardrail of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guardrail {
    id: String,
    version: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Input,
    Output,
}

/// What the rules have found in texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Assessment {
    has_topic: bool,
    has_words: bool,
    emails: Vec<String>,
    characters: usize,
}

impl Guardrail {
    /// The id may be an ARN. Besides the version there is the draft.
    pub fn new(id: &str, version: &str) -> Self {
        Self { id: without_arn(id).to_owned(), version: version.to_owned() }
    }

    /// The text was recorded from both Converse and ApplyGuardrail.
    pub(super) fn check_name(&self, identifier: &str, version: &str) -> Result<(), BedrockError> {
        match without_arn(identifier) == self.id && [DRAFT, &self.version].contains(&version) {
            true => Ok(()),
            false => Err(Self::unknown()),
        }
    }

    pub(super) fn unknown() -> BedrockError {
        BedrockError::validation("The guardrail identifier or version provided in the request does not exist.")
    }

    /// As in a trace, where it was recorded; the members of words and of what is masked are documented.
    pub(super) fn report(&self, version: &str, assessment: &Assessment, total_characters: usize) -> Value {
        let mut report = json!({
            "invocationMetrics": {
                "guardrailProcessingLatency": 190,
                "usage": assessment.usage(),
                "guardrailCoverage": {
                    "textCharacters": { "guarded": assessment.characters, "total": total_characters },
                },
            },
            "appliedGuardrailDetails": {
                "guardrailId": self.id,
                "guardrailVersion": version,
                "guardrailOrigin": ["REQUEST"],
                "guardrailOwnership": "SELF",
            },
        });
        if assessment.has_topic {
            let topic = json!({ "name": "ForbiddenTopic", "type": "DENY", "action": "BLOCKED", "detected": true });
            report["topicPolicy"] = json!({ "topics": [topic] });
        }
        if assessment.has_words {
            let custom_word = json!({ "match": FORBIDDEN_WORDS, "action": "BLOCKED", "detected": true });
            report["wordPolicy"] = json!({ "customWords": [custom_word], "managedWordLists": [] });
        }
        if !assessment.emails.is_empty() {
            let entity = |email| json!({ "match": email, "type": "EMAIL", "action": "ANONYMIZED", "detected": true });
            let entities: Vec<Value> = assessment.emails.iter().map(entity).collect();
            report["sensitiveInformationPolicy"] = json!({ "piiEntities": entities, "regexes": [] });
        }
        report
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

fn without_arn(identifier: &str) -> &str {
    identifier.rsplit('/').next().unwrap_or(identifier)
}

impl Assessment {
    pub fn new<'a>(source: Source, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut assessment = Self::default();
        for text in texts {
            let lower = text.to_lowercase();
            assessment.has_topic |= source == Source::Input && lower.contains(FORBIDDEN_TOPIC);
            assessment.has_words |= source == Source::Output && lower.contains(FORBIDDEN_WORDS);
            let found = EMAIL.find_iter(text).flatten().map(|email| email.as_str().to_owned());
            assessment.emails.extend(found);
            assessment.characters += text.chars().count();
        }
        assessment
    }

    pub fn is_blocked(&self) -> bool {
        self.has_topic || self.has_words
    }

    pub fn is_masked(&self) -> bool {
        !self.is_blocked() && !self.emails.is_empty()
    }

    pub fn characters(&self) -> usize {
        self.characters
    }

    /// The texts were recorded.
    pub fn reason(&self) -> &'static str {
        if self.is_blocked() {
            "Guardrail blocked."
        } else if self.is_masked() {
            "Guardrail masked."
        } else {
            "No action."
        }
    }

    pub fn usage(&self) -> Value {
        let units = self.characters.div_ceil(UNIT_CHARACTERS);
        json!({
            "topicPolicyUnits": units,
            "contentPolicyUnits": 0,
            "wordPolicyUnits": units,
            "sensitiveInformationPolicyUnits": units,
            "sensitiveInformationPolicyFreeUnits": 0,
            "contextualGroundingPolicyUnits": 0,
        })
    }
}

pub(super) fn mask(text: &str) -> Cow<'_, str> {
    EMAIL.replace_all(text, NoExpand(MASK))
}

/// Whether the text has what models must not say.
pub(super) fn has_forbidden_words(text: &str) -> bool {
    text.to_lowercase().contains(FORBIDDEN_WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_masked() {
        assert_eq!(mask("ann.b+c@mail.example.org, or bob@b.de."), "{EMAIL}, or {EMAIL}.");
        assert_eq!(mask("a@b and @c"), "a@b and @c");
    }

    #[test]
    fn guardrail_is_known_by_id_or_arn_with_its_version_or_the_draft() {
        let guardrail = Guardrail::new("arn:aws:bedrock:us-east-1:1:guardrail/gr1", "2");
        for (identifier, version, is_known) in [
            ("gr1", "2", true),
            ("gr1", "DRAFT", true),
            ("arn:aws:bedrock:us-east-1:1:guardrail/gr1", "2", true),
            ("gr1", "3", false),
            ("gr2", "2", false),
        ] {
            assert_eq!(guardrail.check_name(identifier, version).is_ok(), is_known, "{identifier} {version}");
        }
    }
}
