//! What the user of `--bedrock` can do about a refusal of AWS.
use http::StatusCode;
use serde_json::Value;

/// The codes with which AWS refuses credentials.
const CREDENTIAL_CODES: [&str; 7] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Whether AWS refuses the credentials themselves.
pub(super) fn refuses_credentials(code: &str) -> bool {
    CREDENTIAL_CODES.contains(&code)
}

/// One sentence, for the refusals that have a usual cause. `error_type` is the header `x-amzn-errortype`.
/// `model_id` is of the request; knowledge bases and guardrails have none.
pub(super) fn advice(status: StatusCode, error_type: &str, body: &[u8], model_id: Option<&str>) -> Option<String> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = json["message"].as_str().or(json["Message"].as_str()).unwrap_or_default();
    let code = error_type.split(':').next().unwrap_or_default();
    if refuses_credentials(code) {
        return Some(format!("AWS refuses your credentials ({code}): {RENEW}"));
    }
    if let (StatusCode::FORBIDDEN, Some(action)) = (status, denied_action(message)) {
        return Some(match model_id.filter(|_| action.starts_with("bedrock:InvokeModel")) {
            Some(id) => format!("your AWS identity may not call {id}: let a policy of it allow {action} on the model"),
            None => format!("your AWS identity may not call {action}: let a policy of it allow that"),
        });
    }
    let model_id = model_id?;
    if message.contains("on-demand throughput") {
        return Some(needs_profile(model_id));
    }
    if message.contains("end of its life") {
        return Some(format!("{model_id} is retired: choose another model; `parlance models --bedrock` lists them"));
    }
    match status {
        StatusCode::FORBIDDEN => Some(format!(
            "your AWS account has no access to {model_id}: open the model in the Bedrock console of this region, \
             fill in its use case form if it has one, and try again after some minutes"
        )),
        StatusCode::NOT_FOUND => {
            Some(format!("this region has no model {model_id}: `parlance models --bedrock` lists what it has"))
        }
        _ if message.contains("model identifier is invalid") => {
            Some(format!("this region has no model {model_id}: `parlance models --bedrock` lists what it has"))
        }
        _ => None,
    }
}

/// The action that IAM denies: "User: … is not authorized to perform: bedrock:Retrieve on resource: …".
fn denied_action(message: &str) -> Option<&str> {
    message.split_once("is not authorized to perform: ")?.1.split_whitespace().next()
}

/// What to do about credentials that are missing or refused.
pub(super) const RENEW: &str = "sign in with `aws sso login` or `aws configure`, or set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and \
     AWS_SESSION_TOKEN";

/// Of a model that is called through an inference profile alone.
pub(super) fn needs_profile(model_id: &str) -> String {
    format!(
        "{model_id} is called through an inference profile alone: put global., us., eu. or another prefix of your \
         region before the id, for example --parameter ModelId=global.{model_id}; `parlance models --bedrock` lists \
         the profiles"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sentence(status: u16, error_type: &str, message: &str) -> Option<String> {
        sentence_for(Some("a.b-1:0"), status, error_type, message)
    }

    fn sentence_for(model_id: Option<&str>, status: u16, error_type: &str, message: &str) -> Option<String> {
        let body = json!({ "message": message }).to_string();
        advice(StatusCode::from_u16(status).unwrap(), error_type, body.as_bytes(), model_id)
    }

    #[test]
    fn refusals_of_other_actions_say_nothing_of_a_model() {
        let denied = |action: &str| format!("User: arn:aws:iam::1:user/a is not authorized to perform: {action} on x");
        for (model_id, action) in [
            (None, "bedrock:Retrieve"),
            (None, "bedrock:RetrieveAndGenerate"),
            (Some("a.b-1:0"), "bedrock:ApplyGuardrail"),
        ] {
            let sentence = sentence_for(model_id, 403, "AccessDeniedException", &denied(action)).unwrap();
            assert_eq!(sentence, format!("your AWS identity may not call {action}: let a policy of it allow that"));
        }
        assert_eq!(sentence_for(None, 404, "ResourceNotFoundException", "Knowledge base KB1 does not exist"), None);
        assert_eq!(sentence_for(None, 403, "AccessDeniedException", "no"), None);
    }

    /// The messages are Bedrock's.
    #[test]
    fn usual_refusals_have_advice() {
        let denied = "AccessDeniedException:http://internal.amazon.com/coral/com.amazon.bedrock/";
        let by_policy = "User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: \
                         bedrock:InvokeModelWithResponseStream on resource: arn:aws:bedrock:us-east-1::foundation-model/a.b";
        let on_demand = "Invocation of model ID a.b-1:0 with on-demand throughput isn’t supported. Retry your request \
                         with the ID or ARN of an inference profile that contains this model.";
        for (status, error_type, message, expected) in [
            (
                403,
                denied,
                "You don't have access to the model with the specified model ID.",
                "has no access to a.b-1:0",
            ),
            (403, denied, by_policy, "allow bedrock:InvokeModelWithResponseStream"),
            (403, "UnrecognizedClientException", "The security token is invalid.", "refuses your credentials"),
            (403, "ExpiredTokenException", "The security token is expired", "aws sso login"),
            (400, "ValidationException", on_demand, "ModelId=global.a.b-1:0"),
            (400, "ValidationException", "The provided model identifier is invalid.", "has no model a.b-1:0"),
            (404, "ResourceNotFoundException", "This model version has reached the end of its life.", "is retired"),
        ] {
            let sentence = sentence(status, error_type, message).unwrap_or_default();
            assert!(sentence.contains(expected), "{message}: {sentence}");
        }
        assert_eq!(sentence(429, "ThrottlingException", "Too many requests"), None);
        assert_eq!(sentence(400, "ValidationException", "messages: too long"), None);
    }
}
