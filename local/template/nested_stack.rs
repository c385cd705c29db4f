//! Reads the templates of nested stacks.
//!
//! The local server runs an entry point as if its resources were in template.yaml (`resources`). Of a
//! knowledge base it runs nothing: it takes the settings. Nor of a chat page (`chat_page`).
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    ACCOUNT, REGION, STACK_NAME, TemplateError,
    intrinsics::{EvaluationCost, Scope},
    parameters,
    properties::{Roles, to_text},
    pseudo_parameter, yaml,
};
use crate::stack::{Chunking, KnowledgeBase, Role, VectorStore};

/// The ids that the local server's knowledge base and its data source have.
pub const KNOWLEDGE_BASE_ID: &str = "LOCALKB001";
pub const DATA_SOURCE_ID: &str = "LOCALDS001";

/// The ARN of the local server's knowledge base.
pub fn knowledge_base_arn() -> String {
    format!("arn:aws:bedrock:{REGION}:{ACCOUNT}:knowledge-base/{KNOWLEDGE_BASE_ID}")
}

/// What the template of a nested stack describes.
#[derive(Clone, Debug)]
pub struct NestedStack {
    pub knowledge_base: KnowledgeBase,
    /// By role name.
    pub roles: BTreeMap<String, Role>,
}

/// The properties of the resource in template.yaml.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct NestedStackProperties {
    #[serde(rename = "TemplateURL")]
    template_url: String,
    parameters: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KnowledgeBaseProperties {
    storage_configuration: StorageConfiguration,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StorageConfiguration {
    r#type: VectorStore,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DataSourceProperties {
    vector_ingestion_configuration: VectorIngestionConfiguration,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VectorIngestionConfiguration {
    chunking_configuration: ChunkingConfiguration,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChunkingConfiguration {
    chunking_strategy: String,
    fixed_size_chunking_configuration: Option<FixedSizeChunking>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FixedSizeChunking {
    max_tokens: u32,
    overlap_percentage: u32,
}

impl NestedStackProperties {
    pub fn new(template_url: &str, parameters: &[(&str, &str)]) -> Self {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        Self { template_url: template_url.into(), parameters }
    }

    /// `read` returns the content of a file.
    pub fn read(&self, read: impl Fn(&str) -> Result<String, TemplateError>) -> Result<Value, TemplateError> {
        parse(&self.template_url, &read(&self.template_url)?)
    }

    /// The path of the template.
    pub fn path(&self) -> &str {
        &self.template_url
    }

    /// The folder of the template; paths in the template are relative to it.
    pub fn folder(&self) -> &str {
        self.template_url.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The values of the parameters that a template declares.
    pub fn resolve_parameters(&self, template: &Value) -> Result<BTreeMap<String, Value>, TemplateError> {
        let empty = Map::new();
        let given = self.parameters.iter().map(|(name, value)| (name.clone(), to_text(value))).collect();
        parameters::resolve(template["Parameters"].as_object().unwrap_or(&empty), &given)
    }

    /// The settings of a knowledge base.
    pub fn load_knowledge_base(&self, template: &Value) -> Result<NestedStack, TemplateError> {
        nested_stack(template, self).map_err(|error| error.at(&self.template_url))
    }
}

/// What a nested stack is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NestedKind {
    /// The local server runs it.
    EntryPoint,
    ChatPage,
    /// Or any other template.
    KnowledgeBase,
}

pub fn kind(template: &Value) -> NestedKind {
    let resources = template["Resources"].as_object();
    let has = |kind: &str| resources.into_iter().flatten().any(|(_, resource)| resource["Type"] == kind);
    if has("AWS::AppSync::Api") || has("AWS::ApiGatewayV2::Api") {
        NestedKind::EntryPoint
    } else if has("AWS::CloudFront::Distribution") {
        NestedKind::ChatPage
    } else {
        NestedKind::KnowledgeBase
    }
}

fn parse(path: &str, text: &str) -> Result<Value, TemplateError> {
    yaml::parse(text).map_err(|error| TemplateError::new(format!("it is not YAML: {error}")).at(path))
}

fn nested_stack(template: &Value, nested: &NestedStackProperties) -> Result<NestedStack, TemplateError> {
    let empty = Map::new();
    let section = |name: &str| template[name].as_object().unwrap_or(&empty);
    let resources = section("Resources");
    let scope = Scope {
        parameters: nested.resolve_parameters(template)?,
        conditions: section("Conditions"),
        resolve_resource: &|_, name, attribute| resolve_reference(resources, name, attribute),
        cost: EvaluationCost::default(),
    };
    let mut roles = Roles::default();
    let (mut stores, mut chunkings) = (Vec::new(), Vec::new());
    for (name, resource) in resources {
        if let Some(condition) = resource["Condition"].as_str()
            && !scope.named_condition(condition)?
        {
            continue;
        }
        let properties = || scope.evaluate(&resource["Properties"]).map_err(|error| error.at(name));
        match resource["Type"].as_str().unwrap_or_default() {
            "AWS::IAM::Role" => roles.add(physical_name(name), role_arn(name), deserialize(name, properties()?)?)?,
            "AWS::Bedrock::KnowledgeBase" => stores.push(deserialize::<KnowledgeBaseProperties>(name, properties()?)?),
            "AWS::Bedrock::DataSource" => {
                chunkings.push(deserialize::<DataSourceProperties>(name, properties()?)?.chunking()?)
            }
            _ => {}
        }
    }
    let (&[KnowledgeBaseProperties { storage_configuration: StorageConfiguration { r#type: store } }], &[chunking]) =
        (stores.as_slice(), chunkings.as_slice())
    else {
        return Err(TemplateError::new("a nested stack has one knowledge base with one data source".into()));
    };
    let knowledge_base =
        KnowledgeBase { id: KNOWLEDGE_BASE_ID.into(), data_source_id: DATA_SOURCE_ID.into(), store, chunking };
    Ok(NestedStack { knowledge_base, roles: roles.into_map() })
}

impl DataSourceProperties {
    fn chunking(self) -> Result<Chunking, TemplateError> {
        let ChunkingConfiguration { chunking_strategy, fixed_size_chunking_configuration } =
            self.vector_ingestion_configuration.chunking_configuration;
        match (chunking_strategy.as_str(), fixed_size_chunking_configuration) {
            ("FIXED_SIZE", Some(FixedSizeChunking { max_tokens, overlap_percentage })) => {
                Ok(Chunking::FixedSize { max_tokens, overlap_percentage })
            }
            ("NONE", None) => Ok(Chunking::None),
            (strategy, _) => {
                Err(TemplateError::new(format!("the local server cannot cut documents by {strategy} as configured")))
            }
        }
    }
}

/// The value of `Ref` (without an attribute) or `GetAtt`, as far as roles and the knowledge base need it.
fn resolve_reference(
    resources: &Map<String, Value>,
    name: &str,
    attribute: Option<&str>,
) -> Result<Value, TemplateError> {
    if attribute.is_none() {
        match pseudo_parameter(name) {
            Some(STACK_NAME) => return Ok(json!(format!("{STACK_NAME}-knowledge"))),
            Some(value) => return Ok(json!(value)),
            None => {}
        }
    }
    let kind = resources.get(name).and_then(|resource| resource["Type"].as_str()).unwrap_or_default();
    let physical = physical_name(name);
    let arn = |service: &str, rest: String| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}");
    let value = match (kind, attribute) {
        ("AWS::IAM::Role", Some("Arn")) => role_arn(name),
        ("AWS::S3::Bucket", Some("Arn")) => format!("arn:aws:s3:::{}", physical.to_lowercase()),
        ("AWS::RDS::DBCluster", Some("DBClusterArn")) => arn("rds", format!("cluster:{}", physical.to_lowercase())),
        ("AWS::SecretsManager::Secret", None) => arn("secretsmanager", format!("secret:{physical}-AbC123")),
        ("AWS::SQS::Queue", Some("Arn")) => arn("sqs", physical),
        ("AWS::Logs::LogGroup", Some("Arn")) => arn("logs", format!("log-group:{physical}:*")),
        ("AWS::S3Vectors::Index", Some("IndexArn")) => arn("s3vectors", format!("bucket/vectors/index/{physical}")),
        ("AWS::Bedrock::KnowledgeBase", Some("KnowledgeBaseId")) => KNOWLEDGE_BASE_ID.into(),
        ("AWS::Bedrock::KnowledgeBase", Some("KnowledgeBaseArn")) => knowledge_base_arn(),
        ("Custom::Database", Some("TableName")) => "bedrock_integration.bedrock_kb".into(),
        _ => {
            let attribute = attribute.map(|attribute| format!(".{attribute}")).unwrap_or_default();
            return Err(TemplateError::new(format!("{name}{attribute} has no value on the local server")));
        }
    };
    Ok(json!(value))
}

fn physical_name(logical: &str) -> String {
    format!("{STACK_NAME}-knowledge-{logical}")
}

fn role_arn(logical: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{}", physical_name(logical))
}

fn deserialize<T: serde::de::DeserializeOwned>(name: &str, properties: Value) -> Result<T, TemplateError> {
    serde_json::from_value(properties).map_err(|error| TemplateError::new(error.to_string()).at(name))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::template::{Deployment, load};

    fn load_with(parameters: &[(&str, &str)]) -> Result<crate::stack::Stack, TemplateError> {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(Path::new(env!("CARGO_MANIFEST_DIR")), &Deployment::at("http://localhost:4000", parameters))
    }

    #[test]
    fn settings_of_the_knowledge_base_are_read() {
        let stack = load_with(&[("Knowledge", "create")]).unwrap();
        let expected = KnowledgeBase {
            id: "LOCALKB001".into(),
            data_source_id: "LOCALDS001".into(),
            store: VectorStore::Rds,
            chunking: Chunking::FixedSize { max_tokens: 300, overlap_percentage: 20 },
        };
        assert_eq!(stack.knowledge_base, Some(expected.clone()));
        assert_eq!(stack.api.environment["KNOWLEDGE_BASE_ID"], "LOCALKB001");

        let parameters = [("KnowledgeStore", "S3_VECTORS"), ("KnowledgeChunkTokens", "500"), ("Knowledge", "create")];
        let chunking = Chunking::FixedSize { max_tokens: 500, overlap_percentage: 20 };
        let changed = KnowledgeBase { store: VectorStore::S3Vectors, chunking, ..expected.clone() };
        assert_eq!(load_with(&parameters).unwrap().knowledge_base, Some(changed));

        let whole_documents = KnowledgeBase { chunking: Chunking::None, ..expected };
        let parameters = [("Knowledge", "create"), ("KnowledgeChunking", "NONE")];
        assert_eq!(load_with(&parameters).unwrap().knowledge_base, Some(whole_documents));
    }

    #[test]
    fn stack_without_its_own_knowledge_base_has_none() {
        let stack = load_with(&[]).unwrap();
        assert_eq!((stack.knowledge_base, stack.api.environment["KNOWLEDGE_BASE_ID"].as_str()), (None, "none"));
        let stack = load_with(&[("Knowledge", "KB12345678")]).unwrap();
        assert_eq!((stack.knowledge_base, stack.api.environment["KNOWLEDGE_BASE_ID"].as_str()), (None, "KB12345678"));
        assert!(load_with(&[("Knowledge", "kb")]).is_err());
    }

    #[test]
    fn errors_name_the_file_and_the_resource() {
        let error = |text: &str, parameters: &[(&str, &str)]| {
            let properties = NestedStackProperties::new("nested.yaml", parameters);
            let template = properties.read(|_| Ok(text.to_owned())).unwrap();
            properties.load_knowledge_base(&template).unwrap_err().to_string()
        };
        let none = "nested.yaml: a nested stack has one knowledge base with one data source";
        assert_eq!(error("Resources: {}", &[]), none);
        let unknown = error("Resources: {}", &[("Store", "AURORA")]);
        assert!(unknown.starts_with("nested.yaml: there is no parameter Store"), "{unknown}");
        let semantic = "Resources: {D: {Type: 'AWS::Bedrock::DataSource', Properties: {VectorIngestionConfiguration: \
                        {ChunkingConfiguration: {ChunkingStrategy: SEMANTIC}}}}}";
        let message = "nested.yaml: the local server cannot cut documents by SEMANTIC as configured";
        assert_eq!(error(semantic, &[]), message);
    }
}
