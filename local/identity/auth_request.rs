//! A request to authenticate.
use std::{
    net::{IpAddr, SocketAddr},
    time::SystemTime,
};

use axum::extract::ConnectInfo;
use http::{HeaderMap, Uri, request::Parts};

/// A request as the client signed it. On a WebSocket, clients sign a request that is not sent.
#[derive(Clone, Copy)]
pub struct AuthRequest<'a> {
    pub method: &'a str,
    pub uri: &'a Uri,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
    pub peer: Option<IpAddr>,
    pub now: SystemTime,
}

/// The address of the client, which the server's listener tells.
pub fn peer_address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
}

impl<'a> AuthRequest<'a> {
    /// An HTTP request that has just arrived.
    pub fn from_parts(parts: &'a Parts, body: &'a [u8]) -> Self {
        Self {
            method: parts.method.as_str(),
            uri: &parts.uri,
            headers: &parts.headers,
            body,
            peer: peer_address(parts),
            now: SystemTime::now(),
        }
    }

    /// A POST that a client signs for a WebSocket. The request itself is not sent.
    pub fn unsent_post(uri: &'a Uri, headers: &'a HeaderMap, body: &'a [u8], peer: Option<IpAddr>) -> Self {
        Self { method: "POST", uri, headers, body, peer, now: SystemTime::now() }
    }

    /// The addresses of `x-forwarded-for`, then the address of the peer.
    pub fn source_addresses(&self) -> Vec<String> {
        let forwarded = self.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let forwarded = forwarded.flat_map(|value| value.split(',')).map(|address| address.trim().to_owned());
        forwarded.chain(self.peer.map(|peer| peer.to_string())).collect()
    }
}
