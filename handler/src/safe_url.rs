//! URLs to which a credential or a secret may be sent.
use reqwest::Url;

/// An entry of a list to whose URLs no credential may be sent, or a pattern that allows other URLs than it
/// seems to. The texts follow the name of the list.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsafeUrl {
    #[error("must be https URLs with commas between them, not {0:?}.")]
    Text(String),
    /// The number of the entry, in a list that may have a user name or a password.
    #[error("must be https URLs with commas between them; entry {0} is not one.")]
    Number(usize),
    #[error("must have {parsed:?} instead of {given:?}: URLs are compared as they are sent.")]
    Spelling { given: String, parsed: String },
}

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
    let mut items: Vec<_> = list_items(list).collect();
    match items.iter().position(|item| !is_safe(item)) {
        // A password may have commas, so one that is followed by an `@` may be in several entries.
        Some(index) if list.contains('@') => Err(UnsafeUrl::Number(index + 1)),
        Some(index) => Err(UnsafeUrl::Text(items.swap_remove(index))),
        None => Ok(items),
    }
}
