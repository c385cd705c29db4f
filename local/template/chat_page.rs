//! The nested stack of the chat page. The local server runs nothing of it, because it serves the page itself;
//! it checks that every value in the template can be evaluated.
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ACCOUNT, REGION, StackContext, TemplateError, intrinsics::Scope};

/// What the template of the chat page says on who may read its files, and what its page may do.
#[derive(Clone, Debug)]
pub struct ChatPage {
    /// The ARN of the bucket.
    pub bucket: String,
    /// The ARN of the distribution.
    pub distribution: String,
    /// The statements of the bucket's policy.
    pub bucket_policy: Vec<Value>,
    pub content_security_policy: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BucketPolicyProperties {
    policy_document: PolicyDocument,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyDocument {
    statement: Vec<Value>,
}

/// The page of a template's resources.
pub fn chat_page(
    stack: &StackContext,
    scope: &Scope,
    resources: &Map<String, Value>,
) -> Result<ChatPage, TemplateError> {
    let (mut buckets, mut distributions, mut policies, mut headers) = (vec![], vec![], vec![], vec![]);
    for (name, resource) in resources {
        let properties = scope.evaluate(&resource["Properties"]).map_err(|error| error.at(name))?;
        match resource["Type"].as_str().unwrap_or_default() {
            "AWS::S3::Bucket" => buckets.push(bucket_arn(stack, name)),
            "AWS::S3::BucketPolicy" => policies.push(deserialize::<BucketPolicyProperties>(name, properties)?),
            "AWS::CloudFront::Distribution" => distributions.push(distribution_arn(stack, name)),
            "AWS::CloudFront::ResponseHeadersPolicy" => headers.push(content_security_policy(name, &properties)?),
            "AWS::CloudFront::OriginAccessControl" => {}
            kind => {
                let message = format!("the local server does not support {kind} in the stack of the chat page");
                return Err(TemplateError::new(message).at(name));
            }
        }
    }
    let counts = "the stack of the chat page has one bucket, one policy, one distribution and its headers";
    match (buckets.pop(), distributions.pop(), policies.pop(), headers.pop()) {
        (Some(bucket), Some(distribution), Some(policy), Some(content_security_policy))
            if [buckets.len(), distributions.len(), policies.len(), headers.len()] == [0; 4] =>
        {
            let bucket_policy = policy.policy_document.statement;
            Ok(ChatPage { bucket, distribution, bucket_policy, content_security_policy })
        }
        _ => Err(TemplateError::new(counts.into())),
    }
}

/// The value of `Ref` (without an attribute) or `GetAtt` of a resource of the page, given by its kind and an
/// attribute.
pub fn chat_page_reference(stack: &StackContext, reference: (&str, Option<&str>), name: &str) -> Option<Value> {
    let physical_name = stack.physical_name(name);
    let value = match reference {
        ("AWS::S3::Bucket", None) => physical_name.to_lowercase(),
        ("AWS::S3::Bucket", Some("Arn")) => bucket_arn(stack, name),
        ("AWS::S3::Bucket", Some("RegionalDomainName")) => {
            format!("{}.s3.{REGION}.amazonaws.com", physical_name.to_lowercase())
        }
        ("AWS::CloudFront::OriginAccessControl", Some("Id"))
        | ("AWS::CloudFront::ResponseHeadersPolicy" | "AWS::CloudFront::Distribution", None) => physical_name,
        ("AWS::CloudFront::Distribution", Some("DomainName")) => {
            format!("{}.cloudfront.net", physical_name.to_lowercase())
        }
        _ => return None,
    };
    Some(json!(value))
}

fn bucket_arn(stack: &StackContext, name: &str) -> String {
    format!("arn:aws:s3:::{}", stack.physical_name(name).to_lowercase())
}

fn distribution_arn(stack: &StackContext, name: &str) -> String {
    format!("arn:aws:cloudfront::{ACCOUNT}:distribution/{}", stack.physical_name(name))
}

fn content_security_policy(name: &str, properties: &Value) -> Result<String, TemplateError> {
    let pointer = "/ResponseHeadersPolicyConfig/SecurityHeadersConfig/ContentSecurityPolicy/ContentSecurityPolicy";
    let policy = properties.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    policy.ok_or_else(|| TemplateError::new("it has no ContentSecurityPolicy".into()).at(name))
}

fn deserialize<T: serde::de::DeserializeOwned>(name: &str, properties: Value) -> Result<T, TemplateError> {
    serde_json::from_value(properties).map_err(|error| TemplateError::new(error.to_string()).at(name))
}

#[cfg(test)]
mod tests {
    use super::super::{Deployment, NestedStackProperties, STACK_NAME, TemplateError};
    use super::*;

    fn load(text: &str) -> Result<ChatPage, TemplateError> {
        let deployment = Deployment::at("http://localhost:4000", Default::default());
        let read = |_: &str| Ok(text.to_owned());
        let stack = StackContext { name: STACK_NAME.into(), is_nested: true, deployment: &deployment, read: &read };
        let nested = NestedStackProperties::new("page.yaml", &[]);
        stack.load_chat_page(&nested, &nested.read(read)?)
    }

    const PAGE: &str = "Resources:
  Files: { Type: 'AWS::S3::Bucket' }
  FilesPolicy:
    Type: AWS::S3::BucketPolicy
    Properties: { PolicyDocument: { Statement: [{ Resource: !Sub '${Files.Arn}/*' }] } }
  Distribution: { Type: 'AWS::CloudFront::Distribution' }
  Headers:
    Type: AWS::CloudFront::ResponseHeadersPolicy
    Properties:
      ResponseHeadersPolicyConfig:
        SecurityHeadersConfig: { ContentSecurityPolicy: { ContentSecurityPolicy: default-src 'none' } }
";

    #[test]
    fn page_has_a_bucket_with_a_policy_and_a_distribution_with_headers() {
        let page = load(PAGE).unwrap();
        assert_eq!(page.bucket, "arn:aws:s3:::parlance-files");
        assert_eq!(page.distribution, "arn:aws:cloudfront::000000000000:distribution/parlance-Distribution");
        assert_eq!(page.bucket_policy, [json!({ "Resource": "arn:aws:s3:::parlance-files/*" })]);
        assert_eq!(page.content_security_policy, "default-src 'none'");
    }

    #[test]
    fn what_the_page_does_not_have_is_refused_by_name() {
        let error = |text: &str| load(text).unwrap_err().to_string();
        let counts =
            "page.yaml: the stack of the chat page has one bucket, one policy, one distribution and its headers";
        assert_eq!(error("Resources: { A: { Type: 'AWS::CloudFront::Distribution' } }"), counts);
        assert_eq!(error(&format!("{PAGE}  Second: {{ Type: 'AWS::S3::Bucket' }}\n")), counts);
        let function = error(&format!("{PAGE}  Edge: {{ Type: 'AWS::CloudFront::Function' }}\n"));
        let unsupported = "the local server does not support AWS::CloudFront::Function in the stack of the chat page";
        assert_eq!(function, format!("page.yaml: Edge: {unsupported}"));
        let unknown = error(&PAGE.replace("${Files.Arn}", "${Files.WebsiteURL}"));
        assert!(unknown.starts_with("page.yaml: FilesPolicy: Files.WebsiteURL of a AWS::S3::Bucket"), "{unknown}");
        let headers = error(&PAGE.replace("ContentSecurityPolicy: default", "ContentSecurityPolicies: default"));
        assert_eq!(headers, "page.yaml: Headers: it has no ContentSecurityPolicy");
    }
}
