//! The API's GraphQL URL, and the realtime URL derived from it.
use reqwest::Url;

use crate::errors::Error;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    graphql: Url,
    realtime: Url,
}

impl Endpoint {
    /// Parses a GraphQL URL. An AppSync host has a second host for realtime; a custom domain and the local
    /// server serve realtime below the GraphQL path.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = || Error::InvalidEndpoint { url: text.to_owned() };
        let graphql = Url::parse(text).map_err(|_| invalid())?;
        let realtime = realtime_url(&graphql).ok_or_else(invalid)?;
        Ok(Self { graphql, realtime })
    }

    pub fn graphql(&self) -> &Url {
        &self.graphql
    }

    pub fn realtime(&self) -> &Url {
        &self.realtime
    }

    /// The `host` in the credentials of the realtime protocol: the GraphQL host and a port that is not the
    /// default.
    pub fn host(&self) -> String {
        let host = self.graphql.host_str().unwrap_or_default();
        self.graphql.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The URL that a WebSocket's credentials are signed for. Nothing is served there.
    pub fn connect_url(&self) -> Url {
        let mut url = self.graphql.clone();
        url.set_path(&format!("{}/connect", self.graphql.path().trim_end_matches('/')));
        url
    }
}

fn realtime_url(graphql: &Url) -> Option<Url> {
    let scheme = match graphql.scheme() {
        "http" => "ws",
        "https" => "wss",
        _ => return None,
    };
    let mut url = graphql.clone();
    url.set_scheme(scheme).ok()?;
    match realtime_host(graphql.host_str()?) {
        Some(host) => url.set_host(Some(&host)).ok()?,
        None => url.set_path(&format!("{}/realtime", graphql.path().trim_end_matches('/'))),
    }
    Some(url)
}

fn realtime_host(host: &str) -> Option<String> {
    let (api, rest) = host.split_once(".appsync-api.")?;
    let is_aws_domain = rest.ends_with(".amazonaws.com") || rest.ends_with(".amazonaws.com.cn");
    is_aws_domain.then(|| format!("{api}.appsync-realtime-api.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn realtime_url_is_derived_from_the_graphql_url() {
        let cases = [
            (
                "https://abcdefghijklmnopqrstuvwxyz.appsync-api.eu-west-1.amazonaws.com/graphql",
                "wss://abcdefghijklmnopqrstuvwxyz.appsync-realtime-api.eu-west-1.amazonaws.com/graphql",
            ),
            (
                "https://abcdefghijklmnopqrstuvwxyz.appsync-api.cn-north-1.amazonaws.com.cn/graphql",
                "wss://abcdefghijklmnopqrstuvwxyz.appsync-realtime-api.cn-north-1.amazonaws.com.cn/graphql",
            ),
            ("https://api.example.com/graphql", "wss://api.example.com/graphql/realtime"),
            ("http://localhost:4000/graphql", "ws://localhost:4000/graphql/realtime"),
            ("HTTP://localhost:4000/graphql", "ws://localhost:4000/graphql/realtime"),
            ("https://x.appsync-api.example.com/graphql", "wss://x.appsync-api.example.com/graphql/realtime"),
        ];
        for (graphql, realtime) in cases {
            assert_eq!(Endpoint::parse(graphql).unwrap().realtime().as_str(), realtime);
        }
    }

    #[test]
    fn host_includes_a_port_that_is_not_the_default() {
        assert_eq!(Endpoint::parse("http://localhost:4000/graphql").unwrap().host(), "localhost:4000");
        assert_eq!(Endpoint::parse("https://api.example.com:443/graphql").unwrap().host(), "api.example.com");
    }

    #[test]
    fn connect_url_is_below_the_graphql_path() {
        let endpoint = Endpoint::parse("https://api.example.com/graphql").unwrap();
        assert_eq!(endpoint.connect_url().as_str(), "https://api.example.com/graphql/connect");
    }

    #[test]
    fn error_names_the_text_that_is_not_an_http_url() {
        for text in ["", "graphql", "ftp://example.com/graphql", "/graphql"] {
            let error = Endpoint::parse(text).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{text} is not a GraphQL endpoint: it must be an absolute http or https URL")
            );
        }
    }
}
