//! The WebSocket subprotocol with which browsers, which cannot set headers, send a credential: it is offered
//! beside the credential, and chosen.

pub const NAME: &str = "parlance";

/// Whether the subprotocol is among those that are offered.
pub fn is_offered(header_values: &[&str]) -> bool {
    offered(header_values).any(|protocol| protocol == NAME)
}

/// What is offered beside the subprotocol: credentials. Nothing without it.
pub fn credentials<'a>(header_values: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let is_used = is_offered(header_values);
    offered(header_values).filter(move |protocol| is_used && *protocol != NAME)
}

fn offered<'a>(header_values: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    header_values.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|protocol| !protocol.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_offered_beside_the_subprotocol() {
        for (values, is_offered_there, expected) in [
            (&["parlance, a.b.c"][..], true, &["a.b.c"][..]),
            (&["a.b.c,parlance"], true, &["a.b.c"]),
            (&["parlance", "da2-key"], true, &["da2-key"]),
            (&["parlance, a, b"], true, &["a", "b"]),
            (&["parlance"], true, &[]),
            (&["graphql-ws"], false, &[]),
            (&[" , "], false, &[]),
            (&[], false, &[]),
        ] {
            assert_eq!(is_offered(values), is_offered_there, "{values:?}");
            assert_eq!(credentials(values).collect::<Vec<_>>(), expected, "{values:?}");
        }
    }
}
