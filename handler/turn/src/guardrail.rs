//! The end of an answer that a guardrail has changed: which of its text is the guardrail's.
use api::types::{GuardrailIntervention, GuardrailSource};

use crate::model::GuardrailFindings;

/// Follows the text of a step, so that what the model has said can be told from what the guardrail says.
#[derive(Debug, Default)]
pub struct GuardedText {
    /// All of the step's. A model's largest answer bounds it.
    text: String,
    /// Where the deltas begin, ascending.
    delta_starts: Vec<usize>,
    findings: Option<GuardrailFindings>,
}

impl GuardedText {
    pub fn push(&mut self, delta: &str) {
        self.delta_starts.push(self.text.len());
        self.text.push_str(delta);
    }

    pub fn on_findings(&mut self, findings: GuardrailFindings) {
        self.findings = Some(findings);
    }

    /// What the event of the answer says about the guardrail.
    pub fn intervention(&self) -> GuardrailIntervention {
        match &self.findings {
            Some(findings) => GuardrailIntervention { source: findings.source, policies: findings.policies.clone() },
            None => GuardrailIntervention { source: None, policies: Vec::new() },
        }
    }

    /// The text of the guardrail, if the model had said something before it that is not to be kept. The
    /// guardrail's text comes last, in deltas of its own: it begins at the last delta up to which the text is
    /// that of the model. AWS does not document how the two are joined, so where Bedrock does not say what
    /// the model has said, the last delta counts as the guardrail's.
    pub fn replacement(&self) -> Option<&str> {
        let start = match &self.findings {
            Some(findings) if !findings.is_blocked || findings.source == Some(GuardrailSource::Input) => 0,
            Some(findings) if !findings.model_output.is_empty() => self.end_of_model_text(&findings.model_output),
            Some(_) | None => self.delta_starts.last().copied().unwrap_or(0),
        };
        (start > 0).then(|| &self.text[start..])
    }

    fn end_of_model_text(&self, model_output: &str) -> usize {
        let common = self.text.bytes().zip(model_output.bytes()).take_while(|(one, other)| one == other).count();
        self.delta_starts.iter().rev().find(|start| **start <= common).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replacement(deltas: &[&str], source: GuardrailSource, is_blocked: bool, model_output: &str) -> Option<String> {
        let mut text = GuardedText::default();
        deltas.iter().for_each(|delta| text.push(delta));
        let model_output = model_output.to_owned();
        text.on_findings(GuardrailFindings { source: Some(source), policies: Vec::new(), is_blocked, model_output });
        text.replacement().map(str::to_owned)
    }

    #[test]
    fn text_after_that_of_the_model_is_the_guardrails() {
        use GuardrailSource::{Input, Output};
        for (deltas, source, is_blocked, model_output, expected) in [
            (&["Blo", "cked."][..], Input, true, "", None),
            (&["The ", "recipe ", "Blocked."], Output, true, "The recipe is", Some("Blocked.")),
            (&["The ", "recipe ", "Blo", "cked."], Output, true, "The recipe is", Some("Blocked.")),
            (&["Blocked."], Output, true, "The recipe is", None),
            (&["The ", "Th", "at is blocked."], Output, true, "The They", Some("at is blocked.")),
            (&["Write to ", "{EMAIL}", "."], Output, false, "Write to a@b.c.", None),
            (&["The recipe ", "Blocked."], Output, true, "", Some("Blocked.")),
            (&[], Output, true, "The recipe", None),
        ] {
            assert_eq!(replacement(deltas, source, is_blocked, model_output).as_deref(), expected, "{deltas:?}");
        }
    }

    #[test]
    fn last_delta_is_the_guardrails_where_nothing_was_found() {
        let mut text = GuardedText::default();
        ["The recipe ", "Blocked."].iter().for_each(|delta| text.push(delta));
        assert_eq!(text.replacement(), Some("Blocked."));
        assert_eq!(text.intervention(), GuardrailIntervention { source: None, policies: Vec::new() });
    }
}
