//! The HTTP routes of the page.
use std::{io::Read, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, REFRESH, RETRY_AFTER},
};
use retrieval::Folder;
use tokio::task::spawn_blocking;

use super::{BuildProgress, BuildStep, Shared, page_config::PageConfig, security_headers::add_security_headers};
use crate::{
    html_page::{HtmlPage, NO_FORMS, escape},
    localhost::is_addressed_to,
};

/// No file of the page is larger.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// The name of a file in this folder changes with its content.
const HASHED_FOLDER: &str = "assets";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// When a browser loads the waiting page again, in seconds.
const REFRESH_SECONDS: &str = "2";

/// Files are sent as they are: on this machine, compressing takes longer than sending.
pub fn router(page: Arc<Shared>) -> Router {
    let missing = async || StatusCode::NOT_FOUND;
    let routes = Router::new()
        .route("/", get(index))
        .route("/config.json", get(config))
        .route(&format!("/{HASHED_FOLDER}/{{*path}}"), get(hashed_file).fallback(missing))
        .route("/{file}", get(file).fallback(missing));
    routes.route_layer(middleware::from_fn_with_state(page.clone(), check_host)).with_state(page)
}

/// Rejects requests that do not name localhost, and adds the security headers to responses.
async fn check_host(State(page): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response = if is_addressed_to(&page.config.graphql_url, request.uri(), request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "The chat page is at localhost only.\n").into_response()
    };
    add_security_headers(response.headers_mut(), &page.policy);
    response
}

async fn index(State(page): State<Arc<Shared>>) -> Response {
    match read_file(&page.files, "index.html".into()).await {
        Some(html) => file_response("index.html", html, "no-cache"),
        None => progress_response(&page.progress.borrow()),
    }
}

async fn config(State(page): State<Arc<Shared>>) -> ([(http::HeaderName, &'static str); 1], Json<PageConfig>) {
    ([(CACHE_CONTROL, "no-store")], Json(page.config.clone()))
}

async fn hashed_file(State(page): State<Arc<Shared>>, Path(path): Path<String>) -> Response {
    send_file(&page, format!("{HASHED_FOLDER}/{path}"), IMMUTABLE).await
}

async fn file(State(page): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    send_file(&page, name, "no-cache").await
}

async fn send_file(page: &Shared, path: String, cache_control: &'static str) -> Response {
    match read_file(&page.files, path.clone()).await {
        Some(content) => file_response(&path, content, cache_control),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A file of the build. No path and no link leads out of its folder.
async fn read_file(folder: &Folder, path: String) -> Option<Vec<u8>> {
    let folder = folder.clone();
    let read = spawn_blocking(move || {
        let file = folder.open(&path).ok()??;
        let mut content = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content).ok()?;
        (content.len() as u64 <= MAX_FILE_BYTES).then_some(content)
    });
    read.await.ok().flatten()
}

fn file_response(path: &str, content: Vec<u8>, cache_control: &'static str) -> Response {
    ([(CONTENT_TYPE, content_type(path)), (CACHE_CONTROL, cache_control)], content).into_response()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// The page while there is no build.
fn progress_response(progress: &BuildProgress) -> Response {
    match progress.steps.last() {
        None => waiting_response("It is looked for."),
        Some(BuildStep::Waiting) => waiting_response("Another server builds it."),
        Some(BuildStep::Installing) => waiting_response("Its packages are being installed."),
        Some(BuildStep::Building) => waiting_response("It is being built."),
        Some(BuildStep::Built(_)) => missing_response("The build is no longer there; start the server again.", &[]),
        Some(BuildStep::Failed(error)) => missing_response(&format!("It was not built: {error}."), error.last_lines()),
    }
}

/// Loads itself again until the page is there.
fn waiting_response(sentence: &str) -> Response {
    let content =
        format!("<p role=\"status\">{}</p>\n<p>It opens here by itself. The API works already.</p>", escape(sentence));
    let title = "The chat page is not ready yet";
    let page = HtmlPage { status: StatusCode::SERVICE_UNAVAILABLE, title, content, form_action: NO_FORMS };
    let mut response = page.into_response();
    for name in [REFRESH, RETRY_AFTER] {
        response.headers_mut().insert(name, HeaderValue::from_static(REFRESH_SECONDS));
    }
    response
}

fn missing_response(sentence: &str, lines: &[String]) -> Response {
    let lines = if lines.is_empty() { String::new() } else { format!("\n<pre>{}</pre>", escape(&lines.join("\n"))) };
    let content = format!("<p>{}</p>{lines}\n<p>The API works without it.</p>", escape(sentence));
    let title = "The chat page is not there";
    HtmlPage { status: StatusCode::SERVICE_UNAVAILABLE, title, content, form_action: NO_FORMS }.into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::to_bytes;

    use super::*;
    use crate::chat_page::build_error::{BuildError, FailureReason};

    async fn page_of(steps: Vec<BuildStep>) -> (bool, String) {
        let response = progress_response(&BuildProgress { steps, ..BuildProgress::default() });
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let reloads = response.headers().get(REFRESH).is_some_and(|seconds| seconds == REFRESH_SECONDS);
        let html = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (reloads, String::from_utf8(html.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn waiting_page_loads_itself_again() {
        for (step, sentence) in [
            (None, "It is looked for."),
            (Some(BuildStep::Waiting), "Another server builds it."),
            (Some(BuildStep::Installing), "Its packages are being installed."),
            (Some(BuildStep::Building), "It is being built."),
        ] {
            let (reloads, html) = page_of(step.into_iter().collect()).await;
            assert!(reloads && html.contains(sentence) && !html.contains("<script"), "{html}");
        }
    }

    #[tokio::test]
    async fn page_says_what_has_failed() {
        let error = BuildError::Command {
            command: "npm run build".into(),
            reason: FailureReason::TimeLimit(Duration::from_secs(300)),
            last_lines: vec!["<img src=x>".into(), "the end".into()],
        };
        let (reloads, html) = page_of(vec![BuildStep::Building, BuildStep::Failed(error)]).await;
        assert!(!reloads && html.contains("It was not built: npm run build did not end within 5 minutes."), "{html}");
        assert!(html.contains("<pre>&lt;img src=x&gt;\nthe end</pre>"), "{html}");
        let (reloads, html) = page_of(vec![BuildStep::Built(Duration::ZERO)]).await;
        assert!(!reloads && html.contains("start the server again"), "{html}");
    }
}
