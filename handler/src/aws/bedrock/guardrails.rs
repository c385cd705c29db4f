//! Guardrails: in requests to models, what they have found, and the assessment of the results of tools.
//!
//! A trace has the texts that a policy has found. Only the names of the policies are taken from it.
use std::collections::BTreeSet;

use api::types::{GuardrailPolicy, GuardrailSource, ToolStatus};
use aws_sdk_bedrockruntime::{
    Client,
    error::ProvideErrorMetadata,
    types::{
        GuardrailAction, GuardrailAssessment, GuardrailConfiguration, GuardrailContentBlock,
        GuardrailContentPolicyAction, GuardrailContentSource, GuardrailContextualGroundingPolicyAction,
        GuardrailSensitiveInformationPolicyAction, GuardrailStreamConfiguration, GuardrailStreamProcessingMode,
        GuardrailTextBlock, GuardrailTopicPolicyAction, GuardrailTrace, GuardrailTraceAssessment,
        GuardrailWordPolicyAction,
    },
};
use turn::{
    model::{Guardrail, GuardrailFindings, GuardrailMode, ToolOutput},
    tool::ToolOutcome,
};

/// The longest text of one assessment, in bytes. A longer result is assessed in parts: how much
/// ApplyGuardrail takes at once depends on a quota of the account. What lies across two parts is assessed in
/// two halves.
const MAX_ASSESSED_BYTES: usize = 20_000;
/// Stands for a result that a guardrail has blocked.
const WITHHELD: &str = "[A guardrail has withheld this result.]";
/// Stands for a result that could not be assessed.
const NOT_ASSESSED: &str = "[This result is withheld, because it could not be assessed.]";

pub(super) fn stream_configuration(guardrail: &Guardrail) -> GuardrailStreamConfiguration {
    let mode = match guardrail.mode {
        GuardrailMode::Sync => GuardrailStreamProcessingMode::Sync,
        GuardrailMode::Async => GuardrailStreamProcessingMode::Async,
    };
    GuardrailStreamConfiguration::builder()
        .guardrail_identifier(&guardrail.id)
        .guardrail_version(&guardrail.version)
        .trace(GuardrailTrace::Enabled)
        .stream_processing_mode(mode)
        .build()
}

pub(super) fn configuration(guardrail: &Guardrail) -> GuardrailConfiguration {
    GuardrailConfiguration::builder()
        .guardrail_identifier(&guardrail.id)
        .guardrail_version(&guardrail.version)
        .trace(GuardrailTrace::Enabled)
        .build()
}

/// `None` where nothing was found.
pub(super) fn findings(trace: &GuardrailTraceAssessment) -> Option<GuardrailFindings> {
    let input: Vec<_> = trace.input_assessment.iter().flat_map(|assessments| assessments.values()).collect();
    let output: Vec<_> = trace.output_assessments.iter().flat_map(|all| all.values().flatten()).collect();
    let of_input = Policies::of(input.iter().copied());
    let of_output = Policies::of(output.iter().copied());
    let source = match (of_input.is_blocked, of_output.intervened.is_empty()) {
        (true, _) | (false, true) => GuardrailSource::Input,
        (false, false) => GuardrailSource::Output,
    };
    let policies: BTreeSet<_> = of_input.intervened.union(&of_output.intervened).copied().collect();
    (!policies.is_empty()).then(|| GuardrailFindings {
        source: Some(source),
        policies: policies.into_iter().collect(),
        is_blocked: of_input.is_blocked || of_output.is_blocked,
        model_output: trace.model_output.as_deref().unwrap_or_default().concat(),
    })
}

/// The policies that have blocked or masked something.
#[derive(Default)]
struct Policies {
    intervened: BTreeSet<GuardrailPolicy>,
    is_blocked: bool,
}

impl Policies {
    fn of<'a>(assessments: impl Iterator<Item = &'a GuardrailAssessment>) -> Self {
        let mut policies = Self::default();
        assessments.for_each(|assessment| policies.add(assessment));
        policies
    }

    fn add(&mut self, assessment: &GuardrailAssessment) {
        for topic in assessment.topic_policy.iter().flat_map(|policy| &policy.topics) {
            self.blocked(GuardrailPolicy::Topic, topic.action == GuardrailTopicPolicyAction::Blocked);
        }
        for filter in assessment.content_policy.iter().flat_map(|policy| &policy.filters) {
            self.blocked(GuardrailPolicy::Content, filter.action == GuardrailContentPolicyAction::Blocked);
        }
        if let Some(policy) = &assessment.word_policy {
            let custom = policy.custom_words.iter().map(|word| &word.action);
            let managed = policy.managed_word_lists.iter().map(|word| &word.action);
            let is_blocked = custom.chain(managed).any(|action| *action == GuardrailWordPolicyAction::Blocked);
            self.blocked(GuardrailPolicy::Word, is_blocked);
        }
        if let Some(policy) = &assessment.sensitive_information_policy {
            let entities = policy.pii_entities.iter().map(|entity| &entity.action);
            let expressions = policy.regexes.iter().map(|expression| &expression.action);
            for action in entities.chain(expressions) {
                let is_blocked = *action == GuardrailSensitiveInformationPolicyAction::Blocked;
                self.blocked(GuardrailPolicy::SensitiveInformation, is_blocked);
                if *action == GuardrailSensitiveInformationPolicyAction::Anonymized {
                    self.intervened.insert(GuardrailPolicy::SensitiveInformation);
                }
            }
        }
        for filter in assessment.contextual_grounding_policy.iter().flat_map(|policy| policy.filters()) {
            let is_blocked = filter.action == GuardrailContextualGroundingPolicyAction::Blocked;
            self.blocked(GuardrailPolicy::ContextualGrounding, is_blocked);
        }
    }

    fn blocked(&mut self, policy: GuardrailPolicy, is_blocked: bool) {
        if is_blocked {
            self.intervened.insert(policy);
            self.is_blocked = true;
        }
    }
}

/// The outcome of a tool as the model may get it. A guardrail in a request to a model does not assess the
/// results of tools (AWS, "Use a guardrail with the Converse API").
pub(super) async fn assess_outcome(client: &Client, guardrail: &Guardrail, outcome: ToolOutcome) -> ToolOutcome {
    let (ToolOutput::Json(text) | ToolOutput::Text(text)) = outcome.output.clone();
    let mut assessed = String::new();
    let mut has_changed = false;
    for part in parts(&text) {
        match assess(client, guardrail, part).await {
            Ok(Assessment::Passed) => assessed.push_str(part),
            Ok(Assessment::Masked(masked)) => {
                assessed.push_str(&masked);
                has_changed = true;
            }
            Ok(Assessment::Blocked) => return withheld(outcome, WITHHELD),
            Err(NotAssessed) => return withheld(outcome, NOT_ASSESSED),
        }
    }
    if !has_changed {
        return outcome;
    }
    let is_json = matches!(outcome.output, ToolOutput::Json(_)) && is_json(&assessed);
    let output = if is_json { ToolOutput::Json(assessed) } else { ToolOutput::Text(assessed) };
    ToolOutcome { output, ..outcome }
}

enum Assessment {
    Passed,
    Masked(String),
    Blocked,
}

/// The assessment has failed, and the failure is logged.
struct NotAssessed;

async fn assess(client: &Client, guardrail: &Guardrail, text: &str) -> Result<Assessment, NotAssessed> {
    let block = GuardrailTextBlock::builder().text(text).build().map_err(|_| NotAssessed)?;
    let call = client
        .apply_guardrail()
        .guardrail_identifier(&guardrail.id)
        .guardrail_version(&guardrail.version)
        .source(GuardrailContentSource::Input)
        .content(GuardrailContentBlock::Text(block));
    let output = call.send().await.map_err(|error| {
        tracing::warn!(code = error.code(), "the result of a tool was not assessed");
        NotAssessed
    })?;
    if output.action != GuardrailAction::GuardrailIntervened {
        return Ok(Assessment::Passed);
    }
    let is_blocked = Policies::of(output.assessments.iter()).is_blocked;
    let masked: String = output.outputs.into_iter().filter_map(|output| output.text).collect();
    Ok(if is_blocked || masked.is_empty() { Assessment::Blocked } else { Assessment::Masked(masked) })
}

fn withheld(outcome: ToolOutcome, text: &str) -> ToolOutcome {
    ToolOutcome { status: ToolStatus::Failed, output: ToolOutput::Text(text.to_owned()), ..outcome }
}

/// The text in parts that can be assessed.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let cut = rest.floor_char_boundary(MAX_ASSESSED_BYTES);
        let (part, later) = rest.split_at(cut);
        rest = later;
        (!part.is_empty()).then_some(part)
    })
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use aws_sdk_bedrockruntime::types::{
        GuardrailPiiEntityFilter, GuardrailPiiEntityType, GuardrailSensitiveInformationPolicyAssessment,
        GuardrailTopic, GuardrailTopicPolicyAssessment, GuardrailTopicType,
    };

    use super::*;

    fn blocked_topic() -> GuardrailAssessment {
        let topic = GuardrailTopic::builder()
            .name("recipes")
            .r#type(GuardrailTopicType::Deny)
            .action(GuardrailTopicPolicyAction::Blocked);
        let policy = GuardrailTopicPolicyAssessment::builder().topics(topic.build().unwrap()).build().unwrap();
        GuardrailAssessment::builder().topic_policy(policy).build()
    }

    fn masked_address() -> GuardrailAssessment {
        let entity = GuardrailPiiEntityFilter::builder()
            .r#match("ann@example.com")
            .r#type(GuardrailPiiEntityType::Email)
            .action(GuardrailSensitiveInformationPolicyAction::Anonymized);
        let policy = GuardrailSensitiveInformationPolicyAssessment::builder()
            .pii_entities(entity.build().unwrap())
            .set_regexes(Some(Vec::new()))
            .build()
            .unwrap();
        GuardrailAssessment::builder().sensitive_information_policy(policy).build()
    }

    #[test]
    fn trace_tells_the_side_and_the_policies_and_no_content() {
        let guardrail = || "gr1".to_owned();
        let of_input = GuardrailTraceAssessment::builder().input_assessment(guardrail(), blocked_topic()).build();
        let expected = GuardrailFindings {
            source: Some(GuardrailSource::Input),
            policies: vec![GuardrailPolicy::Topic],
            is_blocked: true,
            model_output: String::new(),
        };
        assert_eq!(findings(&of_input), Some(expected.clone()));
        let output = HashMap::from([(guardrail(), vec![masked_address(), blocked_topic()])]);
        let of_output = GuardrailTraceAssessment::builder()
            .set_output_assessments(Some(output))
            .model_output("The ")
            .model_output("recipe")
            .build();
        let policies = vec![GuardrailPolicy::Topic, GuardrailPolicy::SensitiveInformation];
        let source = Some(GuardrailSource::Output);
        let expected = GuardrailFindings { source, policies, model_output: "The recipe".into(), ..expected };
        assert_eq!(findings(&of_output), Some(expected));
        let masked = HashMap::from([(guardrail(), vec![masked_address()])]);
        let of_masked = GuardrailTraceAssessment::builder().set_output_assessments(Some(masked)).build();
        assert!(findings(&of_masked).is_some_and(|findings| !findings.is_blocked));
        assert_eq!(findings(&GuardrailTraceAssessment::builder().build()), None);
    }

    #[test]
    fn long_result_is_assessed_in_parts() {
        let text = "ä".repeat(15_000);
        let parts: Vec<_> = parts(&text).collect();
        assert_eq!((parts.len(), parts.concat()), (2, text.clone()));
        assert!(parts.iter().all(|part| part.len() <= MAX_ASSESSED_BYTES));
    }
}
