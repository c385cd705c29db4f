//! Which inference settings a model refuses.
//!
//! `validateAgent.js` has the same rules and refuses such an agent. The handler needs them for agents that
//! were stored before, and for model ids that do not name a model, such as those of application inference
//! profiles. `tests/model-settings.json` holds the cases of both.
use api::{text::is_blank, types::InferenceSettings};

use crate::capabilities::{self, Sampling};

/// A setting that a model refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusedSetting {
    Temperature,
    TopP,
    StopSequences,
    /// Only the sequences without a visible character.
    BlankStopSequences,
}

impl RefusedSetting {
    /// The setting's name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::TopP => "topP",
            Self::StopSequences | Self::BlankStopSequences => "stopSequences",
        }
    }
}

/// The settings that the named model is known to refuse; none where the id does not name a known model.
///
/// Claude Opus 4.1 and every Claude from 4.5 on take temperature or topP, not both. Claude Opus from 4.7 on,
/// Claude Sonnet from 5 on, Fable and Mythos take neither. Claude takes no blank stop sequence. No limit on
/// the number of stop sequences is documented below the 20 that putAgent allows.
pub fn refused_by_model(model_id: &str, settings: &InferenceSettings) -> Vec<RefusedSetting> {
    use RefusedSetting::{BlankStopSequences, Temperature, TopP};
    let capabilities = capabilities::of_model(model_id);
    let (temperature, top_p) = (settings.temperature.is_some(), settings.top_p.is_some());
    let sampling = match capabilities.sampling {
        Sampling::Both => [None, None],
        Sampling::One => [None, (temperature && top_p).then_some(TopP)],
        Sampling::Neither => [temperature.then_some(Temperature), top_p.then_some(TopP)],
    };
    let has_blank = !capabilities.blank_stop_sequences && has_blank_stop_sequence(settings);
    let blank = has_blank.then_some(BlankStopSequences);
    sampling.into_iter().chain([blank]).flatten().collect()
}

/// The settings that the message of a ValidationException names and that the request has.
pub fn refused_by_message(message: &str, settings: &InferenceSettings) -> Vec<RefusedSetting> {
    use RefusedSetting::{BlankStopSequences, StopSequences, Temperature, TopP};
    let temperature = settings.temperature.is_some() && names_any(message, &["temperature"]);
    let top_p = settings.top_p.is_some() && names_any(message, TOP_P);
    let stop_sequences = settings.stop_sequences.is_some() && names_any(message, STOP_SEQUENCES);
    let stop_sequences = stop_sequences.then(|| match has_blank_stop_sequence(settings) {
        true => BlankStopSequences,
        false => StopSequences,
    });
    // If the model accepts only one of the two, topP is left out.
    let temperature = (temperature && !(top_p && message.contains("both"))).then_some(Temperature);
    [temperature, top_p.then_some(TopP), stop_sequences].into_iter().flatten().collect()
}

/// Whether the message of a ValidationException is about a setting and not about the conversation.
pub fn is_about_settings(message: &str) -> bool {
    let is_about_length = names_any(message, &["context limit", "input length", "too long"]);
    let names_max_tokens = names_any(message, &["maxTokens", "max_tokens", "maximum tokens"]);
    let names_other = names_any(message, &["temperature", "top_k"]);
    let names_other = names_other || names_any(message, TOP_P) || names_any(message, STOP_SEQUENCES);
    names_other || (names_max_tokens && !is_about_length)
}

/// The settings without the refused ones.
pub fn without(settings: &InferenceSettings, refused: &[RefusedSetting]) -> InferenceSettings {
    let mut settings = settings.clone();
    for setting in refused {
        match setting {
            RefusedSetting::Temperature => settings.temperature = None,
            RefusedSetting::TopP => settings.top_p = None,
            RefusedSetting::StopSequences => settings.stop_sequences = None,
            RefusedSetting::BlankStopSequences => {
                settings.stop_sequences.iter_mut().for_each(|texts| texts.retain(|text| !is_blank(text)));
            }
        }
    }
    settings
}

/// What a model may think before a short answer, in tokens.
const SHORT_THOUGHT_TOKENS: u32 = 1000;

/// The settings for an answer of at most `max_tokens`. A model that can think may do so without being asked,
/// and its tokens count.
pub fn short_answer(model_id: &str, max_tokens: u32) -> InferenceSettings {
    let thought = capabilities::of_model(model_id).reasoning.map_or(0, |_| SHORT_THOUGHT_TOKENS);
    InferenceSettings { max_tokens: Some(max_tokens + thought), ..InferenceSettings::default() }
}

const TOP_P: &[&str] = &["topP", "top_p"];
const STOP_SEQUENCES: &[&str] = &["stopSequences", "stop_sequences", "stop sequence"];

fn names_any(message: &str, names: &[&str]) -> bool {
    names.iter().any(|name| message.contains(name))
}

fn has_blank_stop_sequence(settings: &InferenceSettings) -> bool {
    settings.stop_sequences.iter().flatten().any(|text| is_blank(text))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Case {
        model_id: String,
        inference: InferenceSettings,
        refused: Vec<String>,
    }

    #[test]
    fn known_models_refuse_the_settings_of_the_cases() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../../tests/model-settings.json")).expect("a table of cases");
        assert!(cases.iter().any(|case| case.refused.is_empty()));
        for Case { model_id, inference, refused } in cases {
            let found = refused_by_model(&model_id, &inference);
            assert_eq!(found.iter().map(|setting| setting.name()).collect::<Vec<_>>(), refused, "{model_id}");
            assert!(refused_by_model(&model_id, &without(&inference, &found)).is_empty(), "{model_id}");
        }
    }

    /// Messages that Bedrock has sent.
    #[test]
    fn messages_name_the_settings_that_were_refused() {
        use RefusedSetting::{BlankStopSequences, StopSequences, Temperature, TopP};
        let all = InferenceSettings {
            max_tokens: Some(9),
            temperature: Some(0.5),
            top_p: Some(0.5),
            stop_sequences: Some(vec!["END".into()]),
        };
        let blank = InferenceSettings { stop_sequences: Some(vec!["\n".into(), "END".into()]), ..all.clone() };
        for (message, settings, expected) in [
            (
                "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
                &all,
                vec![TopP],
            ),
            (
                "The model returned the following errors: `temperature` is deprecated for this model.",
                &all,
                vec![Temperature],
            ),
            ("`top_p` is deprecated for this model.", &all, vec![TopP]),
            ("stop_sequences: each stop sequence must contain non-whitespace", &blank, vec![BlankStopSequences]),
            ("This model doesn't support the stopSequences field.", &all, vec![StopSequences]),
            ("`temperature` is deprecated for this model.", &InferenceSettings::default(), vec![]),
            ("Input is too long for requested model.", &all, vec![]),
        ] {
            assert_eq!(refused_by_message(message, settings), expected, "{message}");
        }
    }

    #[test]
    fn messages_about_the_conversation_are_not_about_settings() {
        for (message, expected) in [
            ("The maximum tokens you requested exceeds the model limit of 8192.", true),
            ("Value '0' at 'inferenceConfig.maxTokens' failed to satisfy constraint", true),
            ("`top_k` is deprecated for this model.", true),
            ("input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000", false),
            ("prompt is too long: 210000 tokens > 200000 maximum", false),
            ("A conversation must start with a user message.", false),
        ] {
            assert_eq!(is_about_settings(message), expected, "{message}");
        }
    }

    #[test]
    fn only_blank_stop_sequences_are_left_out() {
        let settings = InferenceSettings {
            stop_sequences: Some(vec![" ".into(), "END".into(), "\t".into()]),
            ..InferenceSettings::default()
        };
        let accepted = without(&settings, &[RefusedSetting::BlankStopSequences]);
        assert_eq!(accepted.stop_sequences, Some(vec!["END".to_owned()]));
    }
}
