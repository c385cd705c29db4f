//! Pages that the server itself writes: plain HTML without scripts.
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::response::{IntoResponse, Response};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};

const STYLE: &str = include_str!("html_page.css");

/// A page without forms.
pub const NO_FORMS: &str = "'none'";

/// The style's source in a Content-Security-Policy.
static STYLE_SOURCE: LazyLock<String> =
    LazyLock::new(|| format!("'sha256-{}'", BASE64_STANDARD.encode(digest(&SHA256, STYLE.as_bytes()))));

/// A page that is not cached. No other page may frame it.
pub struct HtmlPage<'a> {
    pub status: StatusCode,
    pub title: &'a str,
    /// HTML below the title.
    pub content: String,
    /// Where forms may lead, in the words of a Content-Security-Policy.
    pub form_action: &'a str,
}

impl HtmlPage<'_> {
    fn policy(&self) -> String {
        let (style, form_action) = (STYLE_SOURCE.as_str(), self.form_action);
        format!(
            "default-src 'none'; style-src {style}; form-action {form_action}; frame-ancestors 'none'; base-uri 'none'"
        )
    }
}

impl IntoResponse for HtmlPage<'_> {
    fn into_response(self) -> Response {
        let title = escape(self.title);
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\
             \n<body>\n<main>\n<h1>{title}</h1>\n{}\n</main>\n</body>\n</html>\n",
            self.content
        );
        let mut response = (self.status, html).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if let Ok(policy) = HeaderValue::try_from(self.policy()) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

/// A text as HTML, within an element or an attribute in double quotes.
pub fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            // HTML has no notation for these.
            control if control.is_control() && !control.is_whitespace() => html.push('\u{fffd}'),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    #[test]
    fn text_cannot_leave_its_element_or_attribute() {
        assert_eq!(
            escape("<a href=\"x\" title='y'>&amp;\0"),
            "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;amp;\u{fffd}"
        );
        assert_eq!(escape("Zoë\n\t"), "Zoë\n\t");
    }

    #[tokio::test]
    async fn policy_allows_the_style_of_the_page_and_nothing_else() {
        let page =
            HtmlPage { status: StatusCode::OK, title: "A & B", content: "<p>C</p>".into(), form_action: NO_FORMS };
        let response = page.into_response();
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let html = String::from_utf8(to_bytes(response.into_body(), 1 << 16).await.unwrap().to_vec()).unwrap();
        let (_, rest) = html.split_once("<style>").unwrap();
        let style = rest.split("</style>").next().unwrap();
        let hash = BASE64_STANDARD.encode(digest(&SHA256, style.as_bytes()));
        assert_eq!(
            policy,
            format!(
                "default-src 'none'; style-src 'sha256-{hash}'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
            )
        );
        assert!(html.contains("<title>A &amp; B</title>") && html.contains("<h1>A &amp; B</h1>\n<p>C</p>"), "{html}");
    }
}
