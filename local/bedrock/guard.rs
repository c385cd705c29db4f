//! Whether the policies of whoever asks allow the model.
use axum::{
    Router,
    extract::{Path, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};

use super::refusal::Refusal;
use crate::{
    identity::{AccessDenied, AccessRequest, AssumedRole, Authenticator},
    template::{ACCOUNT, REGION},
};

const ACTION: &str = "bedrock:InvokeModelWithResponseStream";
/// How the ids of Bedrock's own inference profiles begin.
const PROFILES: [&str; 10] = ["global.", "us.", "us-gov.", "eu.", "apac.", "au.", "ca.", "jp.", "sa.", "me."];

/// The same routes, for functions' processes that may ask the model they name: a web page that finds this port must not
/// spend the money of whoever runs it. The key ids are drawn for each process and told to nobody else.
pub fn guarded(models: Router, authenticator: Authenticator) -> Router {
    models.route_layer(middleware::from_fn_with_state(authenticator, admit))
}

async fn admit(
    State(authenticator): State<Authenticator>,
    Path(model_id): Path<String>,
    request: Request,
    next: Next,
) -> Response {
    let Some(role) = authenticator.assumed_role(request.headers()) else {
        return Refusal::unknown_credentials().into_response();
    };
    match may_ask(&role, &model_id) {
        Ok(()) => next.run(request).await,
        Err(denied) => Refusal::denied(&denied).into_response(),
    }
}

fn may_ask(role: &AssumedRole, model_id: &str) -> Result<(), AccessDenied> {
    let ask = |resource: &String| role.authorize(&AccessRequest { action: ACTION, resource, leading_keys: &[] });
    resources(model_id).iter().try_for_each(ask)
}

/// All that must be allowed. A profile's model must be so wherever the profile may send to. That is its own region here,
/// and for a global profile the model of no region too; AWS asks for every region of a geographic profile. Which model is
/// behind an application's own profile is known to AWS alone.
fn resources(model_id: &str) -> Vec<String> {
    let (arn, region, name) = match named_by_arn(model_id) {
        Some((region, name)) => (model_id.to_owned(), region, name),
        None => (format!("arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/{model_id}"), REGION, model_id),
    };
    let model = |region: &str, id: &str| format!("arn:aws:bedrock:{region}::foundation-model/{id}");
    let profile = PROFILES.iter().find_map(|scope| Some((*scope, name.strip_prefix(scope)?)));
    match profile {
        Some((scope, id)) => {
            let everywhere = (scope == "global.").then(|| model("", id));
            [arn, model(region, id)].into_iter().chain(everywhere).collect()
        }
        None if model_id.starts_with("arn:") => vec![model_id.to_owned()],
        None => vec![model(REGION, model_id)],
    }
}

/// The region and id of an inference profile.
fn named_by_arn(model_id: &str) -> Option<(&str, &str)> {
    let (owner, name) = model_id.split_once(":inference-profile/")?;
    Some((owner.strip_prefix("arn:aws:bedrock:")?.split(':').next()?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_needs_its_models_however_it_is_named() {
        let own = "arn:aws:bedrock:us-east-1:000000000000:inference-profile";
        let model = "arn:aws:bedrock:us-east-1::foundation-model/a.b";
        let everywhere = "arn:aws:bedrock:::foundation-model/a.b";
        let elsewhere = "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.a.b";
        let application = "arn:aws:bedrock:us-east-1:1:application-inference-profile/x";
        let cases: [(&str, &[&str]); 8] = [
            ("a.b", &[model]),
            (model, &[model]),
            ("us.a.b", &[&format!("{own}/us.a.b"), model]),
            (&format!("{own}/us.a.b"), &[&format!("{own}/us.a.b"), model]),
            ("global.a.b", &[&format!("{own}/global.a.b"), model, everywhere]),
            (&format!("{own}/global.a.b"), &[&format!("{own}/global.a.b"), model, everywhere]),
            (elsewhere, &[elsewhere, "arn:aws:bedrock:eu-west-1::foundation-model/a.b"]),
            (application, &[application]),
        ];
        for (model_id, expected) in cases {
            assert_eq!(resources(model_id), expected, "{model_id}");
        }
    }
}
