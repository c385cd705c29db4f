//! Whether the policies of whoever asks allow the model.
use axum::{
    Router,
    extract::{Path, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};

use super::refusal::Refusal;
use crate::{
    identity::{Access, AccessDenied, Directory, Session},
    template::{ACCOUNT, REGION},
};

const ACTION: &str = "bedrock:InvokeModelWithResponseStream";
/// How the ids of Bedrock's own inference profiles begin.
const PROFILES: [&str; 10] = ["global.", "us.", "us-gov.", "eu.", "apac.", "au.", "ca.", "jp.", "sa.", "me."];

/// The same routes, for functions' processes that may ask the model they name.
pub fn guarded(models: Router, directory: Directory) -> Router {
    models.route_layer(middleware::from_fn_with_state(directory, admit))
}

async fn admit(
    State(directory): State<Directory>,
    Path(model_id): Path<String>,
    request: Request,
    next: Next,
) -> Response {
    let Some(session) = directory.session(request.headers()) else {
        return Refusal::unknown_credentials().into_response();
    };
    match may_ask(&session, &model_id) {
        Ok(()) => next.run(request).await,
        Err(denied) => Refusal::denied(&denied).into_response(),
    }
}

fn may_ask(session: &Session, model_id: &str) -> Result<(), AccessDenied> {
    let ask = |resource: &String| session.request(&Access { action: ACTION, resource, leading_keys: &[] });
    resources(model_id).iter().try_for_each(ask)
}

/// All that must be allowed. A profile's model must be so wherever the profile may send to; that is its own region here,
/// and for a global profile the model of no region too.
fn resources(model_id: &str) -> Vec<String> {
    let model = |region: &str, id: &str| format!("arn:aws:bedrock:{region}::foundation-model/{id}");
    let profile = PROFILES.iter().find_map(|prefix| Some((*prefix, model_id.strip_prefix(prefix)?)));
    match profile {
        _ if model_id.starts_with("arn:") => vec![model_id.to_owned()],
        None => vec![model(REGION, model_id)],
        Some((scope, id)) => {
            let own = format!("arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/{model_id}");
            let everywhere = (scope == "global.").then(|| model("", id));
            [own, model(REGION, id)].into_iter().chain(everywhere).collect()
        }
    }
}
