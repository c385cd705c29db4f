//! Validates tools, tool calls and tool results as Bedrock does, with Bedrock's messages. The messages were
//! recorded, but for the order of the checks and the messages about missing members.
use std::collections::BTreeSet;

use super::{
    bedrock_error::BedrockError,
    request::{ContentBlock, Message, ToolResult, ToolSpec, Transcript},
    search_results,
    transcript_validation::violation,
};

const MAX_LENGTH: usize = 64;
const NOT_EMPTY: &str = "have length greater than or equal to 1";

/// The two kinds of text whose characters Bedrock limits.
#[derive(Clone, Copy)]
enum Identifier {
    ToolName,
    ToolUseId,
}

impl Identifier {
    /// The constraints that the text does not satisfy.
    fn violated_constraints(self, text: &str) -> Vec<String> {
        let too_long = text.chars().count() > MAX_LENGTH;
        let too_long = too_long.then(|| format!("have length less than or equal to {MAX_LENGTH}"));
        let has_pattern = !text.is_empty() && text.chars().all(|character| self.allows(character));
        let pattern = (!has_pattern).then(|| format!("satisfy regular expression pattern: {}", self.pattern()));
        let empty = text.is_empty().then(|| NOT_EMPTY.to_owned());
        too_long.into_iter().chain(pattern).chain(empty).collect()
    }

    fn allows(self, character: char) -> bool {
        let is_name_character = character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
        match self {
            Self::ToolName => is_name_character,
            Self::ToolUseId => is_name_character || matches!(character, '.' | ':'),
        }
    }

    fn pattern(self) -> &'static str {
        match self {
            Self::ToolName => "[a-zA-Z0-9_-]+",
            Self::ToolUseId => "[a-zA-Z0-9_.:-]+",
        }
    }
}

/// The constraints that the request violates. Bedrock reports them together with those of other members.
pub(super) fn violations(transcript: &Transcript) -> Vec<String> {
    let messages = transcript.messages.iter().enumerate();
    let blocks = messages.flat_map(|(index, message)| message_violations(index, message));
    let has_no_tools = transcript.tool_config.as_ref().is_some_and(|config| config.tools.is_empty());
    let no_tools = has_no_tools.then(|| hidden_violation("toolConfig.tools", NOT_EMPTY));
    let specs = transcript.tool_specs().flat_map(|(index, spec)| spec_violations(index, spec));
    blocks.chain(no_tools).chain(specs).collect()
}

fn message_violations(index: usize, message: &Message) -> Vec<String> {
    let path = |block: usize| format!("messages.{}.member.content.{}.member", index + 1, block + 1);
    let blocks = message.content.iter().enumerate();
    let violations = blocks.flat_map(|(block_index, block)| block_violations(&path(block_index), block));
    violations.chain(search_results::violations(index, message)).collect()
}

fn block_violations(path: &str, block: &ContentBlock) -> Vec<String> {
    let mut violations = Vec::new();
    if let Some(tool_use) = &block.tool_use {
        let path = format!("{path}.toolUse");
        violations.extend(hidden_violations(
            &path,
            "toolUseId",
            tool_use.tool_use_id.as_deref(),
            Identifier::ToolUseId,
        ));
        violations.extend(hidden_violations(&path, "name", tool_use.name.as_deref(), Identifier::ToolName));
        violations.extend(tool_use.input.is_null().then(|| null_violation(&format!("{path}.input"))));
    }
    if let Some(result) = &block.tool_result {
        let path = format!("{path}.toolResult");
        violations.extend(hidden_violations(&path, "toolUseId", result.tool_use_id.as_deref(), Identifier::ToolUseId));
        let is_unknown = result.status.as_deref().is_some_and(|status| !["success", "error"].contains(&status));
        let rule = "satisfy enum value set: [success, error]";
        violations.extend(is_unknown.then(|| hidden_violation(&format!("{path}.status"), rule)));
    }
    violations
}

fn spec_violations(index: usize, spec: &ToolSpec) -> Vec<String> {
    let path = format!("toolConfig.tools.{}.member.toolSpec", index + 1);
    let (name_path, description_path) = (format!("{path}.name"), format!("{path}.description"));
    let mut violations = Vec::new();
    match &spec.name {
        None => violations.push(null_violation(&name_path)),
        Some(name) => {
            let constraints = Identifier::ToolName.violated_constraints(name);
            violations.extend(constraints.iter().map(|constraint| violation(name, &name_path, constraint)));
        }
    }
    let is_empty = spec.description.as_deref() == Some("");
    violations.extend(is_empty.then(|| violation(&"", &description_path, NOT_EMPTY)));
    violations.extend(spec.input_schema.is_none().then(|| null_violation(&format!("{path}.inputSchema"))));
    violations
}

/// Bedrock does not repeat values of messages.
fn hidden_violations(path: &str, member: &str, value: Option<&str>, identifier: Identifier) -> Vec<String> {
    let path = format!("{path}.{member}");
    match value {
        None => vec![null_violation(&path)],
        Some(text) => {
            let constraints = identifier.violated_constraints(text);
            constraints.iter().map(|constraint| hidden_violation(&path, constraint)).collect()
        }
    }
}

fn hidden_violation(path: &str, constraint: &str) -> String {
    format!("Value at '{path}' failed to satisfy constraint: Member must {constraint}")
}

fn null_violation(path: &str) -> String {
    format!("Value null at '{path}' failed to satisfy constraint: Member must not be null")
}

/// Fails with the first violated rule of tools, tool calls and tool results.
pub(super) fn check(transcript: &Transcript) -> Result<(), BedrockError> {
    let messages = || transcript.messages.iter().enumerate();
    messages().try_for_each(|(index, message)| check_formats(index, message))?;
    let uses_tools = messages().any(|(_, message)| message.tool_uses().count() + message.tool_results().count() > 0);
    if uses_tools && transcript.tool_config.is_none() {
        return Err(BedrockError::validation(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ));
    }
    transcript.tool_specs().try_for_each(|(index, spec)| check_schema(index, spec))?;
    messages().try_for_each(|(index, message)| {
        let previous = index.checked_sub(1).map(|previous| &transcript.messages[previous]);
        check_results(index, previous, message)
    })
}

fn check_formats(index: usize, message: &Message) -> Result<(), BedrockError> {
    for (block_index, block) in message.content.iter().enumerate() {
        let path = format!("messages.{index}.content.{block_index}");
        if block.tool_use.as_ref().is_some_and(|tool_use| !tool_use.input.is_object()) {
            return Err(not_an_object(&format!("{path}.toolUse.input")));
        }
        if let Some(result) = &block.tool_result {
            check_result_format(&format!("{path}.toolResult"), result)?;
        }
    }
    Ok(())
}

fn check_result_format(path: &str, result: &ToolResult) -> Result<(), BedrockError> {
    if result.content.is_empty() && result.is_error() {
        return Err(BedrockError::validation(format!(
            "The content field at {path} cannot be empty when status value is error."
        )));
    }
    let mut documents =
        result.content.iter().enumerate().filter_map(|(index, content)| Some((index, content.json.as_ref()?)));
    match documents.find(|(_, document)| !document.is_object()) {
        None => Ok(()),
        Some((index, _)) => Err(not_an_object(&format!("{path}.content.{index}.json"))),
    }
}

fn check_schema(index: usize, spec: &ToolSpec) -> Result<(), BedrockError> {
    let Some(schema) = &spec.input_schema else { return Ok(()) };
    let path = format!("toolConfig.tools.{index}.toolSpec.inputSchema.json");
    if !schema.json.is_object() {
        return Err(not_an_object(&path));
    }
    if schema.json["type"] != "object" {
        return Err(BedrockError::validation(format!(
            "The value at {path}.type must be one of the following: object."
        )));
    }
    Ok(())
}

fn not_an_object(path: &str) -> BedrockError {
    BedrockError::validation(format!(
        "The format of the value at {path} is invalid. Provide a json object for the field and try again."
    ))
}

/// Every tool use of the previous message needs exactly one tool result in this one.
fn check_results(index: usize, previous: Option<&Message>, message: &Message) -> Result<(), BedrockError> {
    let use_ids: Vec<&str> = previous.into_iter().flat_map(Message::tool_uses).map(|tool_use| tool_use.id()).collect();
    let result_ids: Vec<&str> = message.tool_results().map(|result| result.id()).collect();
    check_unique(index, "toolUse", message.tool_uses().map(|tool_use| tool_use.id()))?;
    check_unique(index, "toolResult", result_ids.iter().copied())?;
    let missing: Vec<&str> = use_ids.iter().filter(|id| !result_ids.contains(id)).copied().collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let text = format!("Expected toolResult blocks at messages.{index}.content for the following Ids: {missing}");
        return Err(BedrockError::validation(text));
    }
    if result_ids.len() > use_ids.len() {
        return Err(BedrockError::validation(format!(
            "The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of previous \
             turn."
        )));
    }
    Ok(())
}

fn check_unique<'a>(index: usize, block: &str, ids: impl Iterator<Item = &'a str>) -> Result<(), BedrockError> {
    let mut seen = BTreeSet::new();
    let duplicates: BTreeSet<&str> = ids.filter(|id| !seen.insert(*id)).collect();
    if duplicates.is_empty() {
        return Ok(());
    }
    let duplicates = Vec::from_iter(duplicates).join(", ");
    let text = format!("The {block} blocks at messages.{index}.content contain duplicate Ids: {duplicates}");
    Err(BedrockError::validation(text))
}
