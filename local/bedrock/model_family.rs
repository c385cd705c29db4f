//! What the id of a model says about it.

/// The beginnings of the names of Nova's models, after the region of an inference profile.
const NOVA: [&str; 1] = ["amazon.nova-"];
/// Providers of models that Bedrock knows, but for Anthropic and Nova.
const OTHER_PROVIDERS: [&str; 15] = [
    "ai21.",
    "amazon.titan",
    "cohere.",
    "deepseek.",
    "google.",
    "meta.",
    "minimax.",
    "mistral.",
    "moonshot",
    "nvidia.",
    "openai.",
    "qwen.",
    "writer.",
    "xai.",
    "zai.",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModelFamily<'a> {
    Claude(Claude<'a>),
    Nova {
        generation: u32,
    },
    /// The name from the provider on, such as `openai.gpt-oss-20b-1:0`.
    Other(&'a str),
    /// No model of Bedrock.
    Scripted,
}

/// Such as line `opus` and version 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claude<'a> {
    pub line: &'a str,
    pub version: (u32, u32),
}

/// The model id may be an ARN.
pub(super) fn model_family(model_id: &str) -> ModelFamily<'_> {
    if let Some((_, name)) = model_id.split_once("anthropic.claude-") {
        return Claude::parse(name).map_or(ModelFamily::Scripted, ModelFamily::Claude);
    }
    if let Some(name) = name_of_family(model_id, &NOVA) {
        let generation = name["amazon.nova-".len()..].split('-').next().and_then(|part| part.parse().ok());
        return ModelFamily::Nova { generation: generation.unwrap_or(1) };
    }
    name_of_family(model_id, &OTHER_PROVIDERS).map_or(ModelFamily::Scripted, ModelFamily::Other)
}

/// Whether the model's name begins with one of these, after the region of an inference profile. The model id
/// may be an ARN.
pub(super) fn is_of_family(model_id: &str, families: &[&str]) -> bool {
    name_of_family(model_id, families).is_some()
}

fn name_of_family<'a>(model_id: &'a str, families: &[&str]) -> Option<&'a str> {
    let name = name(model_id);
    let without_region = name.split_once('.').map(|(_, rest)| rest);
    let mut names = [Some(name), without_region].into_iter().flatten();
    names.find(|name| families.iter().any(|start| name.starts_with(start)))
}

/// The last part of an ARN.
pub(super) fn name(model_id: &str) -> &str {
    model_id.rsplit('/').next().unwrap_or(model_id)
}

impl<'a> Claude<'a> {
    /// Parses a name such as `opus-4-1-20250805-v1:0`. Names before Claude 4 begin with the version, such as
    /// `3-5-sonnet-20240620-v1:0`, and the oldest have only one: `v2:1`. None for other names.
    fn parse(name: &'a str) -> Option<Self> {
        let parts: Vec<&str> = name.split(['-', ':']).collect();
        let is_line = |part: &&str| ["opus", "sonnet", "haiku", "fable", "mythos", "instant", "v2"].contains(part);
        let index = parts.iter().position(is_line)?;
        let number = |part: &&str| part.parse().ok().filter(|_| part.len() < 3);
        let is_version_first = parts.first().is_some_and(|part| number(part).is_some());
        let version = if is_version_first { &parts[..index] } else { &parts[index + 1..] };
        let mut numbers = version.iter().map_while(number);
        Some(Self { line: parts[index], version: (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claude_names_have_a_line_and_a_version() {
        let cases = [
            ("us.anthropic.claude-opus-4-1-20250805-v1:0", "opus", (4, 1)),
            ("anthropic.claude-sonnet-4-20250514-v1:0", "sonnet", (4, 0)),
            ("anthropic.claude-3-5-sonnet-20240620-v1:0", "sonnet", (3, 5)),
            ("anthropic.claude-3-haiku-20240307-v1:0", "haiku", (3, 0)),
            ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-5-v1", "opus", (5, 0)),
            ("us.anthropic.claude-opus-4-10", "opus", (4, 10)),
            ("anthropic.claude-v2:1", "v2", (1, 0)),
            ("global.anthropic.claude-sonnet-5-5", "sonnet", (5, 5)),
        ];
        for (model_id, line, version) in cases {
            assert_eq!(model_family(model_id), ModelFamily::Claude(Claude { line, version }), "{model_id}");
        }
        assert_eq!(model_family("parlance.anthropic.claude-no-search-results"), ModelFamily::Scripted);
    }

    #[test]
    fn other_families_have_a_provider() {
        assert_eq!(model_family("us.amazon.nova-2-lite-v1:0"), ModelFamily::Nova { generation: 2 });
        assert_eq!(model_family("amazon.nova-pro-v1:0"), ModelFamily::Nova { generation: 1 });
        assert_eq!(model_family("us.meta.llama4-scout-v1:0"), ModelFamily::Other("meta.llama4-scout-v1:0"));
        assert_eq!(model_family("openai.gpt-oss-20b-1:0"), ModelFamily::Other("openai.gpt-oss-20b-1:0"));
        assert_eq!(model_family("parlance.reasoning"), ModelFamily::Scripted);
    }
}
