//! Requests to the logout endpoint: Cognito's, and those of OpenID Connect RP-Initiated Logout.
use reqwest::Url;

use super::Parameters;
use crate::{identity::LOCAL_CLIENT_ID, localhost::is_local_url};

/// Where the browser goes afterwards. `None` if the request names no address. The error is for the user.
pub fn parse(query: &str) -> Result<Option<Url>, &'static str> {
    let parameters = Parameters::parse(query.as_bytes());
    let get = |name| parameters.get(name).map_err(|_| "The request has a parameter twice.");
    if get("client_id")?.is_some_and(|client| client != LOCAL_CLIENT_ID) {
        return Err("The client is not known: its client_id must be “local”.");
    }
    let Some(uri) = get("logout_uri")?.or(get("post_logout_redirect_uri")?) else { return Ok(None) };
    let Some(mut url) = Url::parse(uri).ok().filter(is_local_url) else {
        return Err("The address after the sign-out must be an http or https address at localhost or 127.0.0.1.");
    };
    if let Some(state) = get("state")? {
        url.query_pairs_mut().append_pair("state", state);
    }
    Ok(Some(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_cognitos_or_that_of_open_id_connect() {
        let parse = |query: &str| parse(query).unwrap().map(String::from);
        assert_eq!(
            parse("client_id=local&logout_uri=http://localhost:4000/").as_deref(),
            Some("http://localhost:4000/")
        );
        let query = "id_token_hint=x&post_logout_redirect_uri=http://127.0.0.1:5173/&state=s";
        assert_eq!(parse(query).as_deref(), Some("http://127.0.0.1:5173/?state=s"));
        assert_eq!((parse(""), parse("client_id=local")), (None, None));
    }

    #[test]
    fn other_clients_and_addresses_are_refused() {
        for query in [
            "client_id=other&logout_uri=http://localhost:4000/",
            "logout_uri=https://evil.example/",
            "post_logout_redirect_uri=javascript:alert(1)",
            "logout_uri=http://localhost/&logout_uri=http://localhost/",
        ] {
            assert!(parse(query).is_err(), "{query}");
        }
    }
}
