//! Requests of RetrieveAndGenerate and RetrieveAndGenerateStream.
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json};

use super::{
    generation_prompt::PromptTemplate,
    retrieve::{RetrievalConfiguration, Search, check_text},
    service_error::{constraint, not_supported},
};
use crate::{bedrock::BedrockError, json_service::parse_request, object_only};

const KNOWLEDGE_BASE: &str = "retrieveAndGenerateConfiguration.knowledgeBaseConfiguration";
const MAX_TOKENS: u64 = 65_536;
/// Bedrock's default.
const DEFAULT_MAX_TOKENS: u64 = 2_048;
const MAX_STOP_SEQUENCES: usize = 4;
const MAX_MODEL_ARN_BYTES: usize = 2_048;

/// A valid request.
pub struct Generation {
    pub knowledge_base_id: String,
    /// An id or an ARN.
    pub model_id: String,
    pub question: String,
    pub session_id: Option<String>,
    /// For the question alone.
    pub search: Search,
    pub prompt: PromptTemplate,
    /// Members of the model's request beside its messages.
    pub model_settings: Map<String, Value>,
}

/// What a caller needs permission for.
#[derive(Debug, PartialEq, Eq)]
pub struct UsedResources {
    pub knowledge_base_id: String,
    pub model_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GenerateRequest {
    #[serde(deserialize_with = "object_only::deserialize")]
    input: Input,
    #[serde(default, deserialize_with = "object_only::deserialize_option")]
    retrieve_and_generate_configuration: Option<Configuration>,
    session_configuration: Option<IgnoredAny>,
    session_id: Option<String>,
    user_context: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Configuration {
    r#type: String,
    external_sources_configuration: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "object_only::deserialize_option")]
    knowledge_base_configuration: Option<KnowledgeBaseConfiguration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KnowledgeBaseConfiguration {
    knowledge_base_id: String,
    model_arn: String,
    #[serde(default, deserialize_with = "object_only::deserialize")]
    retrieval_configuration: RetrievalConfiguration,
    #[serde(default, deserialize_with = "object_only::deserialize")]
    generation_configuration: GenerationConfiguration,
    orchestration_configuration: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GenerationConfiguration {
    additional_model_request_fields: Option<Map<String, Value>>,
    guardrail_configuration: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "object_only::deserialize")]
    inference_config: InferenceConfig,
    performance_config: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "object_only::deserialize")]
    prompt_template: GivenPromptTemplate,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InferenceConfig {
    #[serde(default, deserialize_with = "object_only::deserialize")]
    text_inference_config: TextInferenceConfig,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TextInferenceConfig {
    max_tokens: Option<u64>,
    stop_sequences: Option<Vec<String>>,
    temperature: Option<f64>,
    top_p: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenPromptTemplate {
    text_prompt_template: Option<String>,
}

impl Generation {
    pub fn parse(body: &[u8]) -> Result<Self, BedrockError> {
        let request: GenerateRequest = parse_request(body).map_err(BedrockError::validation)?;
        refuse("sessionConfiguration", request.session_configuration)?;
        refuse("userContext", request.user_context)?;
        check_text("input.text", &request.input.text)?;
        let configuration = request.retrieve_and_generate_configuration;
        let configuration = configuration.ok_or_else(|| required("retrieveAndGenerateConfiguration"))?;
        let configuration = configuration.knowledge_base()?;
        refuse(&format!("{KNOWLEDGE_BASE}.orchestrationConfiguration"), configuration.orchestration_configuration)?;
        let model_id = configuration.model_arn;
        if !(1..=MAX_MODEL_ARN_BYTES).contains(&model_id.len()) {
            let rule = format!("have length between 1 and {MAX_MODEL_ARN_BYTES}");
            return Err(constraint(&format!("{KNOWLEDGE_BASE}.modelArn"), &rule));
        }
        let (prompt, model_settings) = configuration.generation_configuration.parse()?;
        let question = request.input.text;
        let retrieval_member = format!("{KNOWLEDGE_BASE}.retrievalConfiguration");
        let search = Search::new(question.clone(), configuration.retrieval_configuration, &retrieval_member)?;
        Ok(Self {
            knowledge_base_id: configuration.knowledge_base_id,
            model_id,
            question,
            session_id: request.session_id,
            search,
            prompt,
            model_settings,
        })
    }
}

impl UsedResources {
    /// Of a request that Amazon Bedrock itself answers. It validates the rest.
    pub fn parse(body: &[u8]) -> Result<Self, BedrockError> {
        let request: Value = serde_json::from_slice(body).map_err(|_| BedrockError::malformed_request())?;
        let configuration = &request["retrieveAndGenerateConfiguration"];
        if configuration["type"] != "KNOWLEDGE_BASE" {
            return Err(not_supported("retrieveAndGenerateConfiguration.externalSourcesConfiguration"));
        }
        let text = |name: &str| {
            let member = &configuration["knowledgeBaseConfiguration"][name];
            member.as_str().map(str::to_owned).ok_or_else(|| required(&format!("{KNOWLEDGE_BASE}.{name}")))
        };
        Ok(Self { knowledge_base_id: text("knowledgeBaseId")?, model_id: text("modelArn")? })
    }
}

impl Configuration {
    fn knowledge_base(self) -> Result<KnowledgeBaseConfiguration, BedrockError> {
        refuse("retrieveAndGenerateConfiguration.externalSourcesConfiguration", self.external_sources_configuration)?;
        match self.r#type.as_str() {
            "KNOWLEDGE_BASE" => self.knowledge_base_configuration.ok_or_else(|| required(KNOWLEDGE_BASE)),
            "EXTERNAL_SOURCES" => Err(not_supported("the type EXTERNAL_SOURCES")),
            _ => Err(constraint(
                "retrieveAndGenerateConfiguration.type",
                "satisfy enum value set: [KNOWLEDGE_BASE, EXTERNAL_SOURCES]",
            )),
        }
    }
}

impl GenerationConfiguration {
    fn parse(self) -> Result<(PromptTemplate, Map<String, Value>), BedrockError> {
        let member = format!("{KNOWLEDGE_BASE}.generationConfiguration");
        refuse(&format!("{member}.guardrailConfiguration"), self.guardrail_configuration)?;
        refuse(&format!("{member}.performanceConfig"), self.performance_config)?;
        let template = self.prompt_template.text_prompt_template;
        let template_member = format!("{member}.promptTemplate.textPromptTemplate");
        let prompt = template.map(|template| PromptTemplate::parse(template, &template_member)).transpose()?;
        let inference = self.inference_config.text_inference_config;
        let inference = inference.parse(&format!("{member}.inferenceConfig.textInferenceConfig"))?;
        let mut settings = Map::from_iter([("inferenceConfig".to_owned(), inference)]);
        if let Some(fields) = self.additional_model_request_fields {
            settings.insert("additionalModelRequestFields".to_owned(), json!(fields));
        }
        Ok((prompt.unwrap_or_default(), settings))
    }
}

impl TextInferenceConfig {
    /// The `inferenceConfig` of ConverseStream.
    fn parse(self, member: &str) -> Result<Value, BedrockError> {
        let max_tokens = self.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
        if max_tokens > MAX_TOKENS {
            let rule = format!("have value less than or equal to {MAX_TOKENS}");
            return Err(constraint(&format!("{member}.maxTokens"), &rule));
        }
        let mut settings = json!({ "maxTokens": max_tokens });
        for (name, value) in [("temperature", self.temperature), ("topP", self.top_p)] {
            let Some(value) = value else { continue };
            if !(0.0..=1.0).contains(&value) {
                return Err(constraint(&format!("{member}.{name}"), "have value between 0 and 1"));
            }
            settings[name] = json!(value);
        }
        if let Some(sequences) = self.stop_sequences {
            if sequences.len() > MAX_STOP_SEQUENCES {
                let rule = format!("have length less than or equal to {MAX_STOP_SEQUENCES}");
                return Err(constraint(&format!("{member}.stopSequences"), &rule));
            }
            settings["stopSequences"] = json!(sequences);
        }
        Ok(settings)
    }
}

fn refuse(member: &str, value: Option<IgnoredAny>) -> Result<(), BedrockError> {
    if value.is_some() { Err(not_supported(member)) } else { Ok(()) }
}

fn required(member: &str) -> BedrockError {
    constraint(member, "not be null")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(configuration: Value) -> Value {
        json!({
            "input": { "text": "Why?" },
            "retrieveAndGenerateConfiguration": {
                "type": "KNOWLEDGE_BASE",
                "knowledgeBaseConfiguration": configuration,
            },
        })
    }

    fn configuration() -> Value {
        json!({ "knowledgeBaseId": "LOCALKB001", "modelArn": "parlance.any" })
    }

    fn parse(request: &Value) -> Result<Generation, String> {
        Generation::parse(request.to_string().as_bytes()).map_err(BedrockError::into_message)
    }

    fn error_with(path: &str, value: Value) -> String {
        let mut request = request(configuration());
        *request.pointer_mut(path.rsplit_once('/').unwrap().0).unwrap() = {
            let mut parent = request.pointer(path.rsplit_once('/').unwrap().0).unwrap().clone();
            parent[path.rsplit_once('/').unwrap().1] = value;
            parent
        };
        parse(&request).err().unwrap_or_else(|| panic!("{path} is taken"))
    }

    #[test]
    fn settings_become_those_of_the_model() {
        let mut configuration = configuration();
        configuration["generationConfiguration"] = json!({
            "inferenceConfig": { "textInferenceConfig": { "temperature": 0.5, "stopSequences": ["x"] } },
            "additionalModelRequestFields": { "top_k": 5 },
            "promptTemplate": { "textPromptTemplate": "$search_results$" },
        });
        let generation = parse(&request(configuration)).unwrap();
        let expected = json!({
            "inferenceConfig": { "maxTokens": 2_048, "temperature": 0.5, "stopSequences": ["x"] },
            "additionalModelRequestFields": { "top_k": 5 },
        });
        assert_eq!(json!(generation.model_settings), expected);
        assert!(!generation.prompt.asks_for_citations());
        assert!(parse(&request(self::configuration())).unwrap().prompt.asks_for_citations());
    }

    #[test]
    fn unsupported_members_are_named() {
        let knowledge_base = "/retrieveAndGenerateConfiguration/knowledgeBaseConfiguration";
        let mut given = configuration();
        given["generationConfiguration"] = json!({});
        for (path, member) in [
            ("/sessionConfiguration".to_owned(), "sessionConfiguration"),
            ("/userContext".to_owned(), "userContext"),
            (
                "/retrieveAndGenerateConfiguration/externalSourcesConfiguration".to_owned(),
                "retrieveAndGenerateConfiguration.externalSourcesConfiguration",
            ),
            (
                format!("{knowledge_base}/orchestrationConfiguration"),
                "retrieveAndGenerateConfiguration.knowledgeBaseConfiguration.orchestrationConfiguration",
            ),
        ] {
            assert_eq!(error_with(&path, json!({})), format!("The local server does not support {member}."));
        }
        for name in ["guardrailConfiguration", "performanceConfig"] {
            let mut configuration = configuration();
            configuration["generationConfiguration"] = json!({ name: {} });
            let message = parse(&request(configuration)).err().unwrap();
            let member = format!("{KNOWLEDGE_BASE}.generationConfiguration.{name}");
            assert_eq!(message, format!("The local server does not support {member}."));
        }
        let message = error_with("/retrieveAndGenerateConfiguration/type", json!("EXTERNAL_SOURCES"));
        assert_eq!(message, "The local server does not support the type EXTERNAL_SOURCES.");
        let message = error_with(&format!("{knowledge_base}/retrievalConfiguration"), json!({ "other": 1 }));
        assert!(message.starts_with("unknown field `other`"), "{message}");
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        for (settings, member, rule) in [
            (json!({ "maxTokens": 65_537 }), "maxTokens", "have value less than or equal to 65536"),
            (json!({ "temperature": 1.1 }), "temperature", "have value between 0 and 1"),
            (json!({ "topP": -0.1 }), "topP", "have value between 0 and 1"),
            (
                json!({ "stopSequences": ["a", "b", "c", "d", "e"] }),
                "stopSequences",
                "have length less than or equal to 4",
            ),
        ] {
            let mut configuration = configuration();
            let inference = json!({ "textInferenceConfig": settings });
            configuration["generationConfiguration"] = json!({ "inferenceConfig": inference });
            let path = format!("{KNOWLEDGE_BASE}.generationConfiguration.inferenceConfig.textInferenceConfig.{member}");
            let expected = constraint(&path, rule).into_message();
            assert_eq!(parse(&request(configuration)).err(), Some(expected));
        }
        let message = error_with("/input/text", json!(" "));
        assert_eq!(message, constraint("input.text", "have length greater than or equal to 1").into_message());
        let missing = parse(&json!({ "input": { "text": "Why?" } })).err();
        assert_eq!(missing, Some(required("retrieveAndGenerateConfiguration").into_message()));
    }

    #[test]
    fn resources_of_a_forwarded_request_are_read() {
        let resources = |request: &Value| UsedResources::parse(request.to_string().as_bytes());
        let expected = UsedResources { knowledge_base_id: "LOCALKB001".into(), model_id: "parlance.any".into() };
        assert_eq!(resources(&request(configuration())), Ok(expected));
        assert!(resources(&request(json!({ "knowledgeBaseId": "A" }))).is_err());
        assert!(resources(&json!([])).is_err() && UsedResources::parse(b"{").is_err());
    }
}
