//! The MCP servers whose tools agents may use, and the secrets that the handler sends to them.
use crate::safe_url::{UnsafeUrl, list_items, parse_safe_url, safe_items};

/// The servers that the deployment allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McpUrls {
    /// URLs. A `*` at the end stands for any path below.
    patterns: Vec<String>,
}

impl McpUrls {
    /// Takes a list with commas. An empty list and `none` allow nothing.
    pub fn from_list(list: &str) -> Result<Self, UnsafeUrl> {
        let patterns = safe_items(list, is_safe_pattern)?;
        patterns.iter().try_for_each(|pattern| check_spelling(pattern))?;
        Ok(Self { patterns })
    }

    pub fn allows(&self, url: &str) -> bool {
        // The text is compared as the HTTP client writes it, so that no `..` leads out of an allowed path.
        let is_as_sent = parse_safe_url(url).is_some_and(|parsed| parsed.as_str() == url);
        self.patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => is_as_sent && url.strip_prefix(start).is_some_and(is_path_below),
            None => url == pattern,
        })
    }
}

/// The secrets that the deployment allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedSecrets {
    arns: Vec<String>,
}

impl AllowedSecrets {
    /// Takes a list with commas. An empty list and `none` allow nothing.
    pub fn from_list(list: &str) -> Self {
        Self { arns: list_items(list).collect() }
    }

    pub fn allows(&self, arn: &str) -> bool {
        self.arns.iter().any(|allowed| allowed == arn)
    }
}

/// A server may take an encoded slash for a slash, and then follow a `..` that the HTTP client has left as it
/// is.
fn is_path_below(rest: &str) -> bool {
    let path = rest.split('?').next().unwrap_or_default().to_ascii_lowercase();
    !path.contains("%2f") && !path.contains("%5c")
}

/// A pattern with another spelling than that of sent URLs would allow none of those that it seems to allow.
fn check_spelling(pattern: &str) -> Result<(), UnsafeUrl> {
    match pattern.strip_suffix('*').and_then(|start| Some((start, parse_safe_url(start)?))) {
        Some((start, parsed)) if parsed.as_str() != start => {
            Err(UnsafeUrl::Spelling { given: pattern.to_owned(), parsed: format!("{parsed}*") })
        }
        _ => Ok(()),
    }
}

/// A pattern ends below a host: `https://a.example/*`.
fn is_safe_pattern(pattern: &str) -> bool {
    let start = match pattern.strip_suffix('*') {
        Some(start) if !start.ends_with('/') => return false,
        Some(start) => start,
        None => pattern,
    };
    !start.contains('*') && parse_safe_url(start).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_urls_and_paths_below_a_pattern_are_allowed() {
        let list = "https://a.example/mcp, https://b.example/*,https://c.example/tools/*,http://localhost:3001/mcp,";
        let urls = McpUrls::from_list(list).unwrap();
        for (url, expected) in [
            ("https://a.example/mcp", true),
            ("http://localhost:3001/mcp", true),
            ("https://b.example/any/path?a=b", true),
            ("https://c.example/tools/", true),
            ("https://c.example/tools/one", true),
            ("https://a.example/mcp/", false),
            ("https://a.example/mcp?a=b", false),
            ("https://A.example/mcp", false),
            ("https://b.example", false),
            ("https://b.example:444/", false),
            ("https://b.example.evil.example/", false),
            ("https://b.example/#a", false),
            ("https://c.example/tools", false),
            ("https://c.example/tools/../other", false),
            ("https://c.example/tools/%2e%2e/other", false),
            ("https://c.example/tools/..\\other", false),
            ("https://c.example/tools/..%2Fother", false),
            ("https://c.example/tools/..%2fother", false),
            ("https://c.example/tools/..%5Cother", false),
            ("https://c.example/tools/a?path=%2F", true),
            ("https://c.example/toolsmith", false),
            ("http://b.example/", false),
            ("none", false),
            ("", false),
        ] {
            assert_eq!(urls.allows(url), expected, "{url:?}");
        }
        for list in ["", "none", " ", ","] {
            assert!(!McpUrls::from_list(list).unwrap().allows("https://a.example/mcp"), "{list:?}");
        }
    }

    #[test]
    fn urls_that_would_send_a_secret_to_anybody_are_refused() {
        for url in [
            "*",
            "https://*",
            "https://a.example*",
            "https://a.example/mcp*",
            "https://a.example/*/mcp",
            "https://*.example/mcp",
            "http://a.example/mcp",
            "http://localhost.a.example/",
            "ftp://a.example/",
            "a.example/mcp",
            "https://",
            "https://a.example/#b",
        ] {
            let list = format!("https://b.example/,{url}");
            assert_eq!(McpUrls::from_list(&list), Err(UnsafeUrl::Text(url.to_owned())), "{url}");
        }
    }

    #[test]
    fn refusal_shows_no_user_and_no_password() {
        for url in ["https://user@a.example/", "https://user:password@a.example/*", "https://user:pass,word@a.example/"]
        {
            let list = format!("https://b.example/,{url}");
            assert_eq!(McpUrls::from_list(&list), Err(UnsafeUrl::Number(2)), "{url}");
        }
        let message = "must be https URLs with commas between them; entry 2 is not one.";
        assert_eq!(UnsafeUrl::Number(2).to_string(), message);
    }

    #[test]
    fn pattern_that_no_sent_url_has_is_refused_with_the_right_one() {
        for (given, parsed) in [
            ("https://A.example/*", "https://a.example/*"),
            ("https://a.example:443/*", "https://a.example/*"),
            ("https://a.example/b/../c/*", "https://a.example/c/*"),
            ("https://a.example/%2e%2e/*", "https://a.example/*"),
            ("https://a.example/ü/*", "https://a.example/%C3%BC/*"),
        ] {
            let error = McpUrls::from_list(&format!("https://b.example/*,{given}")).unwrap_err();
            let expected = format!("must have {parsed:?} instead of {given:?}: URLs are compared as they are sent.");
            assert_eq!(error.to_string(), expected);
        }
        assert!(McpUrls::from_list("https://A.example/mcp").unwrap().allows("https://A.example/mcp"));
    }

    #[test]
    fn secrets_are_allowed_by_their_whole_arns() {
        let arn = |name: &str| format!("arn:aws:secretsmanager:eu-west-1:123456789012:secret:{name}");
        let secrets = AllowedSecrets::from_list(&format!("{}, {}", arn("a-AbC123"), arn("b/c-AbC123")));
        for (name, expected) in
            [("a-AbC123", true), ("b/c-AbC123", true), ("a-AbC124", false), ("a", false), ("*", false)]
        {
            assert_eq!(secrets.allows(&arn(name)), expected, "{name}");
        }
        for list in ["", "none", " ", ","] {
            assert!(!AllowedSecrets::from_list(list).allows(&arn("a-AbC123")), "{list:?}");
        }
    }
}
