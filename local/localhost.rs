//! Which requests and URLs name this machine.
use http::{HeaderMap, Uri, header::HOST, uri::Authority};
use reqwest::Url;

/// Whether a request names localhost and the port of a URL of this server. Rejects DNS rebinding: a web page
/// whose own name resolves to this machine could otherwise read the response.
pub fn is_addressed_to(server: &str, uri: &Uri, headers: &HeaderMap) -> bool {
    let port = |authority: &Authority| authority.port_u16().unwrap_or(80);
    let server_port = server.parse::<Uri>().ok().and_then(|server| server.authority().map(port));
    let is_server = |authority: Option<Authority>| {
        authority.is_some_and(|authority| is_name(authority.host()) && Some(port(&authority)) == server_port)
    };
    let of_uri = uri.authority().cloned().map(Some);
    let of_headers = headers.get_all(HOST).iter().map(|host| Authority::try_from(host.as_bytes()).ok());
    let mut authorities = of_uri.into_iter().chain(of_headers).peekable();
    authorities.peek().is_some() && authorities.all(is_server)
}

/// Whether a URL leads to an HTTP server of this machine, at any port.
pub fn is_local_url(url: &Url) -> bool {
    let has_user = !url.username().is_empty() || url.password().is_some();
    matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(is_name) && !has_user
}

fn is_name(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_host_names_are_rejected() {
        let is_accepted = |uri: &str, hosts: &[&str]| {
            let headers = hosts.iter().map(|host| (HOST, host.parse().unwrap())).collect();
            is_addressed_to("http://localhost:4000/pool", &uri.parse().unwrap(), &headers)
        };
        for host in ["localhost:4000", "127.0.0.1:4000"] {
            assert!(is_accepted("/token", &[host]) && is_accepted(&format!("http://{host}/token"), &[]), "{host}");
        }
        let others =
            ["", "localhost", "localhost:4001", "evil.example:4000", "localhost.evil.example:4000", "::1", "/"];
        for other in others {
            assert!(!is_accepted("/token", &[other]), "{other}");
            assert!(!is_accepted("http://localhost:4000/token", &[other]), "{other}");
        }
        assert!(!is_accepted("/token", &[]));
        assert!(!is_accepted("/token", &["localhost:4000", "evil.example:4000"]));
        assert!(!is_accepted("http://evil.example:4000/token", &["localhost:4000"]));
    }

    #[test]
    fn local_urls_have_any_port_and_path() {
        let is_local = |url: &str| is_local_url(&url.parse().unwrap());
        for url in ["http://localhost:5173/", "http://127.0.0.1/a?b=c", "https://LOCALHOST:4000/callback"] {
            assert!(is_local(url), "{url}");
        }
        for url in [
            "http://localhost.evil.example/",
            "http://localhost@evil.example/",
            "http://user@localhost/",
            "http://:secret@localhost/",
            "http://192.168.0.1/",
            "http://[::1]/",
            "ftp://localhost/",
            "com.example.app://localhost/",
            "javascript://localhost/%0aalert(1)",
            "data:text/html,x",
        ] {
            assert!(!is_local(url), "{url}");
        }
    }
}
