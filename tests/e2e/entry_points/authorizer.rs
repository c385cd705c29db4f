//! Which credentials open a connection of the WebSocket API.
use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use local::identity::{LocalIssuer, SigningKey, TokenUse};
use serde_json::{Value, json};

use super::{entry_clients::Connection, fixture::EntryPoints};
use crate::backend::with_timeout;

async fn open(
    entry_points: &EntryPoints,
    query: &str,
    headers: &[(&str, &str)],
) -> Result<(Connection, Option<String>), u16> {
    Connection::open(&format!("{}{query}", entry_points.websocket_url()), headers).await
}

#[tokio::test]
async fn credential_may_be_in_the_query_string_in_a_subprotocol_or_in_a_header() {
    let entry_points = EntryPoints::start().await;
    let (pool, oidc, key) = (entry_points.pool_token("ada"), entry_points.oidc_token("ada"), entry_points.api_key());
    let bearer = format!("Bearer {pool}");
    let protocols = [format!("parlance, {pool}"), format!("{key}, parlance")];
    let queries = [format!("?token={pool}"), format!("?token={oidc}"), format!("?apiKey={key}")];
    let headers = [
        ("authorization", pool.as_str()),
        ("authorization", &bearer),
        ("x-api-key", key),
        ("sec-websocket-protocol", &protocols[0]),
        ("sec-websocket-protocol", &protocols[1]),
    ];
    let by_query = queries.iter().map(|query| (query.as_str(), None));
    for (query, header) in by_query.chain(headers.map(|header| ("", Some(header)))) {
        let opened = open(&entry_points, query, header.as_slice()).await;
        let (mut connection, chosen) =
            opened.unwrap_or_else(|status| panic!("{query} {header:?} is refused with {status}"));
        let is_by_protocol = header.is_some_and(|(name, _)| name == "sec-websocket-protocol");
        assert_eq!(chosen.as_deref(), is_by_protocol.then_some("parlance"));
        connection.send(&json!({ "action": "ping", "id": "p" }).to_string()).await;
        let pong = with_timeout(connection.next()).await;
        assert_eq!(pong, Some(json!({ "type": "pong", "id": "p" })));
    }
}

#[tokio::test]
async fn broken_credentials_are_refused() {
    let entry_points = EntryPoints::start().await;
    let pool = entry_points.backend.server.issuers.pool.as_ref().unwrap();
    let now = SystemTime::now();
    let claims = |changed: Value| {
        let mut claims = pool.claims(&"ada".parse().unwrap(), TokenUse::Access, now);
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let sign = |key: &SigningKey, changed: Value| key.sign(&claims(changed)).unwrap();
    let forged_key = SigningKey::generate().unwrap().with_key_id(pool.key().key_id());
    let stranger = LocalIssuer::open_id("https://id.example.com".into(), SigningKey::generate().unwrap());
    let valid = sign(pool.key(), json!({}));
    let [header, payload, signature] = valid.split('.').collect::<Vec<_>>().try_into().unwrap();
    let unsigned_header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let in_an_hour = (now + Duration::from_secs(3600)).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let tokens = [
        sign(&forged_key, json!({})),
        sign(&SigningKey::generate().unwrap(), json!({})),
        sign(pool.key(), json!({ "exp": 1 })),
        sign(pool.key(), json!({ "nbf": in_an_hour })),
        sign(pool.key(), json!({ "client_id": "another" })),
        sign(pool.key(), json!({ "iss": "https://id.example.com" })),
        sign(pool.key(), json!({ "token_use": "refresh" })),
        stranger.issue_tokens("ada", now).unwrap().access_token,
        format!("{unsigned_header}.{payload}."),
        format!("{unsigned_header}.{payload}.{signature}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{valid}x"),
        "no-token".to_owned(),
        "a.b.c".to_owned(),
    ];
    for token in &tokens {
        assert_eq!(open(&entry_points, &format!("?token={token}"), &[]).await.err(), Some(403), "{token}");
        let refused = open(&entry_points, "", &[("authorization", token)]).await;
        assert_eq!(refused.err(), Some(403), "{token}");
    }
    let both = format!("?token={valid}&apiKey={}", entry_points.api_key());
    let queries = ["", "?token=", "?apiKey=da2-wrong", "?apiKey=", &both, &format!("?token={valid}&token={valid}")];
    for query in queries {
        assert_eq!(open(&entry_points, query, &[]).await.err(), Some(403), "{query}");
    }
    for headers in [("x-api-key", "da2-wrong"), ("sec-websocket-protocol", "parlance"), ("authorization", "Bearer ")] {
        assert_eq!(open(&entry_points, "", &[headers]).await.err(), Some(403), "{headers:?}");
    }
    assert!(open(&entry_points, &format!("?token={valid}"), &[]).await.is_ok());
}
