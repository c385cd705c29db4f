//! URLs to which a credential or a secret may be sent.
use reqwest::Url;

/// A URL to which no credential may be sent, or a pattern that would allow more than the paths of one host.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be https URLs with commas between them, not {0:?}.")]
pub struct UnsafeUrl(pub String);

/// A credential is sent over TLS, or stays on the computer. A URL with a user name would replace the
/// credential.
pub fn parse_safe_url(url: &str) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    let is_private = match url.scheme() {
        "https" => true,
        "http" => matches!(url.host_str(), Some("localhost" | "127.0.0.1")),
        _ => false,
    };
    let is_safe = is_private && url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    is_safe.then_some(url)
}

/// The items of a parameter of the template: a list with commas. An empty list and `none` have none.
pub fn list_items(list: &str) -> impl Iterator<Item = String> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty() && *item != "none").map(str::to_owned)
}

/// The items of a list, if all of them are safe.
pub fn safe_items(list: &str, is_safe: impl Fn(&str) -> bool) -> Result<Vec<String>, UnsafeUrl> {
    let items: Vec<_> = list_items(list).collect();
    match items.iter().find(|item| !is_safe(item)) {
        Some(item) => Err(UnsafeUrl(item.clone())),
        None => Ok(items),
    }
}
