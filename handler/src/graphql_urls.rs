//! The GraphQL APIs that tools may call with their callers' credentials.
use reqwest::Url;

use crate::safe_url::{UnsafeUrl, parse_safe_url, safe_items};

/// The API that the handler belongs to, and the others that the deployment allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GraphqlUrls {
    own: String,
    others: Vec<String>,
}

impl GraphqlUrls {
    /// Takes a list with commas. An empty list and `none` allow only the own API.
    pub fn from_list(own: &str, list: &str) -> Result<Self, UnsafeUrl> {
        let others = safe_items(list, |url| parse_safe_url(url).is_some())?;
        Ok(Self { own: own.to_owned(), others })
    }

    /// The URL that a tool with this URL calls, if it may.
    pub fn allowed_url<'a>(&'a self, url: Option<&'a str>) -> Option<&'a str> {
        match url {
            _ if self.is_own(url) => Some(&self.own),
            Some(url) if self.others.iter().any(|other| other == url) => Some(url),
            _ => None,
        }
    }

    /// Whether a tool with this URL calls the handler's own API.
    pub fn is_own(&self, url: Option<&str>) -> bool {
        url.is_none_or(|url| url == self.own)
    }

    /// Whether a tool with this URL calls a server that is known as the handler's own API, also by another
    /// spelling of the URL.
    pub fn is_of_own_api(&self, url: Option<&str>) -> bool {
        self.is_own(url) || url.and_then(server).is_some_and(|named| Some(named) == server(&self.own))
    }
}

/// The host and the port that a URL names.
fn server(url: &str) -> Option<(String, Option<u16>)> {
    let url = Url::parse(url).ok()?;
    let host = match url.host_str()?.trim_end_matches('.') {
        "127.0.0.1" => "localhost",
        host => host,
    };
    Some((host.to_owned(), url.port_or_known_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "http://api.example/graphql";

    #[test]
    fn own_api_and_listed_urls_are_allowed_exactly() {
        let urls = GraphqlUrls::from_list(OWN, "https://a.example/graphql, http://localhost:1/g,").unwrap();
        for (url, expected) in [
            (None, Some(OWN)),
            (Some(OWN), Some(OWN)),
            (Some("https://a.example/graphql"), Some("https://a.example/graphql")),
            (Some("http://localhost:1/g"), Some("http://localhost:1/g")),
            (Some("https://a.example/graphql/"), None),
            (Some("https://a.example/"), None),
            (Some("https://a.example/graphql?a=b"), None),
            (Some("https://A.example/graphql"), None),
            (Some("http://localhost:1/"), None),
            (Some(""), None),
            (Some("none"), None),
        ] {
            assert_eq!(urls.allowed_url(url), expected, "{url:?}");
        }
        assert!(urls.is_own(None) && urls.is_own(Some(OWN)) && !urls.is_own(Some("https://a.example/graphql")));
        for list in ["", "none", " ", ","] {
            let urls = GraphqlUrls::from_list(OWN, list).unwrap();
            assert_eq!(urls.allowed_url(Some("https://a.example/graphql")), None, "{list:?}");
        }
    }

    #[test]
    fn own_api_is_known_by_host_and_port() {
        let own_api = |own: &str, url: &str| GraphqlUrls::from_list(own, "").unwrap().is_of_own_api(Some(url));
        for url in ["https://A.example/graphql", "https://a.example:443/x?y", "https://a.example./graphql"] {
            assert!(own_api("https://a.example/graphql", url), "{url}");
        }
        for url in ["https://b.a.example/graphql", "https://a.example:8443/graphql", "", "none"] {
            assert!(!own_api("https://a.example/graphql", url), "{url}");
        }
        assert!(own_api("http://localhost:4000/graphql", "http://127.0.0.1:4000/graphql"));
        assert!(!own_api("http://localhost:4000/graphql", "http://localhost:4001/graphql"));
        assert!(GraphqlUrls::default().is_of_own_api(None));
    }

    #[test]
    fn urls_to_which_a_credential_would_be_sent_in_plain_text_are_refused() {
        for url in [
            "http://a.example/graphql",
            "http://localhost.a.example/",
            "http://127.0.0.1.a.example/",
            "ftp://a.example/",
            "a.example/graphql",
            "https://",
            "https://a.example/#b",
            "*",
        ] {
            let list = format!("https://b.example/,{url}");
            assert_eq!(GraphqlUrls::from_list(OWN, &list), Err(UnsafeUrl::Text(url.to_owned())), "{url}");
        }
        for url in ["https://user@a.example/", "https://user:password@a.example/"] {
            let list = format!("https://b.example/,{url}");
            assert_eq!(GraphqlUrls::from_list(OWN, &list), Err(UnsafeUrl::Number(2)), "{url}");
        }
    }
}
