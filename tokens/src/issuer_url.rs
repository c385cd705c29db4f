//! Comparison of issuers' URLs.

/// Whether two URLs name the same issuer. A trailing slash is ignored, as by AppSync: users report APIs whose
/// issuer is configured with a slash and whose tokens name it without one, and the reverse
/// (aws-amplify/amplify-cli issues 5372, 6368 and 6463).
pub fn is_same(one: &str, other: &str) -> bool {
    without_slash(one) == without_slash(other)
}

fn without_slash(url: &str) -> &str {
    url.strip_suffix('/').unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailing_slash_is_ignored() {
        let url = "https://id.example.com";
        assert!(
            is_same(url, url) && is_same(url, "https://id.example.com/") && is_same("https://id.example.com/", url)
        );
        for other in ["https://id.example.com//", "https://id.example.co", "https://id.example.com/a", ""] {
            assert!(!is_same(url, other), "{other}");
        }
    }
}
