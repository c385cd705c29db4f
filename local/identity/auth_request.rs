//! A request to authenticate.
use std::{net::IpAddr, time::SystemTime};

use http::{HeaderMap, Uri};

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

impl AuthRequest<'_> {
    /// The addresses of `x-forwarded-for`, then the address of the peer.
    pub fn source_addresses(&self) -> Vec<String> {
        let forwarded = self.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let forwarded = forwarded.flat_map(|value| value.split(',')).map(|address| address.trim().to_owned());
        forwarded.chain(self.peer.map(|peer| peer.to_string())).collect()
    }
}
