//! Checks that the caller's policies allow the model and the guardrail.
use axum::{
    Router,
    body::to_bytes,
    extract::{RawPathParams, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{REQUEST_BYTES, bedrock_error::BedrockError, request::GuardrailConfig};
use crate::{
    identity::{AccessDenied, AccessRequest, AssumedRole, Authenticator},
    template::{ACCOUNT, REGION},
};

/// The prefixes of the ids of Bedrock's own inference profiles.
const PROFILE_PREFIXES: [&str; 10] = ["global.", "us.", "us-gov.", "eu.", "apac.", "au.", "ca.", "jp.", "sa.", "me."];

/// The same routes, for functions' processes whose role allows the model. Each process has a random access
/// key id that nobody else knows, so a web page that reaches this port cannot spend the user's money.
pub fn with_iam_guard(models: Router, authenticator: Authenticator) -> Router {
    models.route_layer(middleware::from_fn_with_state(authenticator, check_permission))
}

async fn check_permission(
    State(authenticator): State<Authenticator>,
    parameters: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let Some(role) = authenticator.assumed_role(request.headers()) else {
        return BedrockError::unknown_credentials().into_response();
    };
    let Some((kind, id)) = parameters.iter().next() else { return BedrockError::malformed_request().into_response() };
    let authorized = match kind {
        "guardrail_id" => authorize_guardrail(&role, id).map(|()| request),
        _ => match authorize(&role, action(request.uri().path()), id) {
            Ok(()) => check_guardrail(&role, request).await,
            Err(denied) => Err(BedrockError::access_denied(&denied)),
        },
    };
    match authorized {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// The action of a path: Converse needs another permission than ConverseStream.
fn action(path: &str) -> &'static str {
    if path.ends_with("/converse") { "bedrock:InvokeModel" } else { "bedrock:InvokeModelWithResponseStream" }
}

/// Whether the role may stream answers of the model.
pub fn may_invoke(role: &AssumedRole, model_id: &str) -> bool {
    authorize(role, "bedrock:InvokeModelWithResponseStream", model_id).is_ok()
}

/// A request with a guardrail needs a permission for it, too. What is no JSON has none.
async fn check_guardrail(role: &AssumedRole, request: Request) -> Result<Request, BedrockError> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Guarded {
        guardrail_config: Option<GuardrailConfig>,
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, REQUEST_BYTES).await.map_err(|_| BedrockError::malformed_request())?;
    let guarded: Guarded = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(config) = guarded.guardrail_config {
        authorize_guardrail(role, &config.guardrail_identifier)?;
    }
    Ok(Request::from_parts(parts, body.into()))
}

fn authorize_guardrail(role: &AssumedRole, identifier: &str) -> Result<(), BedrockError> {
    let resource = match identifier.starts_with("arn:") {
        true => identifier.to_owned(),
        false => format!("arn:aws:bedrock:{REGION}:{ACCOUNT}:guardrail/{identifier}"),
    };
    let request = AccessRequest { action: "bedrock:ApplyGuardrail", resource: &resource, leading_keys: &[] };
    role.authorize(&request).map_err(|denied| BedrockError::access_denied(&denied))
}

/// Fails unless the role may do this with the model.
pub(crate) fn authorize_model(role: &AssumedRole, action: &str, model_id: &str) -> Result<(), BedrockError> {
    authorize(role, action, model_id).map_err(|denied| BedrockError::access_denied(&denied))
}

fn authorize(role: &AssumedRole, action: &str, model_id: &str) -> Result<(), AccessDenied> {
    let authorize_resource = |resource: &String| role.authorize(&AccessRequest { action, resource, leading_keys: &[] });
    resources(model_id).iter().try_for_each(authorize_resource)
}

/// The resources that the policies must allow: the model, or the inference profile and its model. For a
/// profile of the stack's region that is the model of the region; for a global profile also the model without
/// a region. AWS requires the model in every region of a geographic profile. The model of an application
/// profile is known to AWS alone.
fn resources(model_id: &str) -> Vec<String> {
    let (arn, region, name) = match parse_profile_arn(model_id) {
        Some((region, name)) => (model_id.to_owned(), region, name),
        None => (format!("arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/{model_id}"), REGION, model_id),
    };
    let model = |region: &str, id: &str| format!("arn:aws:bedrock:{region}::foundation-model/{id}");
    let profile = PROFILE_PREFIXES.iter().find_map(|scope| Some((*scope, name.strip_prefix(scope)?)));
    match profile {
        Some((scope, id)) => {
            let global_model = (scope == "global.").then(|| model("", id));
            [arn, model(region, id)].into_iter().chain(global_model).collect()
        }
        None if model_id.starts_with("arn:") => vec![model_id.to_owned()],
        None => vec![model(REGION, model_id)],
    }
}

/// The region and id in the ARN of an inference profile.
fn parse_profile_arn(model_id: &str) -> Option<(&str, &str)> {
    let (owner, name) = model_id.split_once(":inference-profile/")?;
    Some((owner.strip_prefix("arn:aws:bedrock:")?.split(':').next()?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inference_profile_requires_its_models() {
        let profiles = "arn:aws:bedrock:us-east-1:000000000000:inference-profile";
        let model = "arn:aws:bedrock:us-east-1::foundation-model/a.b";
        let global_model = "arn:aws:bedrock:::foundation-model/a.b";
        let other_region = "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.a.b";
        let application = "arn:aws:bedrock:us-east-1:1:application-inference-profile/x";
        let cases: [(&str, &[&str]); 8] = [
            ("a.b", &[model]),
            (model, &[model]),
            ("us.a.b", &[&format!("{profiles}/us.a.b"), model]),
            (&format!("{profiles}/us.a.b"), &[&format!("{profiles}/us.a.b"), model]),
            ("global.a.b", &[&format!("{profiles}/global.a.b"), model, global_model]),
            (&format!("{profiles}/global.a.b"), &[&format!("{profiles}/global.a.b"), model, global_model]),
            (other_region, &[other_region, "arn:aws:bedrock:eu-west-1::foundation-model/a.b"]),
            (application, &[application]),
        ];
        for (model_id, expected) in cases {
            assert_eq!(resources(model_id), expected, "{model_id}");
        }
    }
}
