//! Channels, and the patterns of channels that subscriptions name.

/// AppSync's limit on the segments of a channel.
const MAX_SEGMENTS: usize = 5;
/// AppSync's limit on the characters of a segment.
const MAX_SEGMENT_LENGTH: usize = 50;
/// The last segment of a pattern that matches every channel below the others.
const WILDCARD: &str = "*";

/// A channel that events are published to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel(String);

/// The channels of a subscription: one channel, or all channels below one, at any depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPattern(String);

impl Channel {
    /// Parses `/default/sports`; the slashes at the beginning and the end are optional.
    pub fn parse(text: &str) -> Option<Self> {
        let segments = split(text)?;
        segments.iter().all(|segment| is_segment(segment)).then(|| Self(join(&segments)))
    }

    /// With a slash at the beginning and none at the end.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// The namespace is the first segment.
    pub fn namespace(&self) -> &str {
        first_segment(&self.0)
    }

    /// The paths of the patterns that match the channel: its own, and one for each channel above it.
    pub fn matching_patterns(&self) -> impl Iterator<Item = String> {
        let above = self.0.match_indices('/').skip(1).map(|(end, _)| format!("{}/{WILDCARD}", &self.0[..end]));
        std::iter::once(self.0.clone()).chain(above)
    }
}

impl ChannelPattern {
    /// Parses a channel whose last segment may be `*`, unless it is the only one.
    pub fn parse(text: &str) -> Option<Self> {
        let segments = split(text)?;
        let named = match segments.as_slice() {
            [named @ .., last] if *last == WILDCARD => named,
            all => all,
        };
        let is_valid = !named.is_empty() && named.iter().all(|segment| is_segment(segment));
        is_valid.then(|| Self(join(&segments)))
    }

    /// With a slash at the beginning and none at the end.
    pub fn path(&self) -> &str {
        &self.0
    }

    pub fn namespace(&self) -> &str {
        first_segment(&self.0)
    }
}

/// The segments of a path of a channel or a pattern.
pub fn segments(path: &str) -> Vec<&str> {
    path.split('/').skip(1).collect()
}

/// Whether a text can be a segment of a channel, and so the name of a namespace.
pub fn is_segment(text: &str) -> bool {
    (1..=MAX_SEGMENT_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn split(text: &str) -> Option<Vec<&str>> {
    let text = text.strip_prefix('/').unwrap_or(text);
    let text = text.strip_suffix('/').unwrap_or(text);
    let segments: Vec<&str> = text.splitn(MAX_SEGMENTS + 1, '/').collect();
    (segments.len() <= MAX_SEGMENTS).then_some(segments)
}

fn join(segments: &[&str]) -> String {
    format!("/{}", segments.join("/"))
}

fn first_segment(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_has_up_to_five_segments_of_50_characters() {
        let longest = "a".repeat(50);
        let too_long = "a".repeat(51);
        for (text, path) in [
            ("default", Some("/default")),
            ("/default/Sports-1/", Some("/default/Sports-1")),
            ("default/a/b/c/d", Some("/default/a/b/c/d")),
            ("a/5f7dfbd1-b8ff-4c20-924e-23b42db467a0", Some("/a/5f7dfbd1-b8ff-4c20-924e-23b42db467a0")),
            (&longest, Some(format!("/{longest}").as_str())),
            (&too_long, None),
            ("a/b/c/d/e/f", None),
            ("", None),
            ("/", None),
            ("//", None),
            ("//a", None),
            ("a//", None),
            ("a//b", None),
            ("-a", None),
            ("a-", None),
            ("a/-", None),
            ("a_b", None),
            ("a.b", None),
            ("us-east-1:a", None),
            ("é", None),
            ("a b", None),
            ("default/*", None),
            ("*", None),
        ] {
            let channel = Channel::parse(text);
            assert_eq!(channel.as_ref().map(Channel::path), path, "{text}");
        }
        assert_eq!(Channel::parse("chat/request").unwrap().namespace(), "chat");
    }

    #[test]
    fn pattern_may_end_with_a_wildcard() {
        for (text, path) in [
            ("/default/*", Some("/default/*")),
            ("default/a/b/c/*/", Some("/default/a/b/c/*")),
            ("default/a", Some("/default/a")),
            ("default/a/b/c/d/*", None),
            ("*", None),
            ("/*", None),
            ("/**", None),
            ("default/**", None),
            ("default/a*", None),
            ("default/*/a", None),
            ("*/a", None),
            ("default/*/*", None),
        ] {
            let pattern = ChannelPattern::parse(text);
            assert_eq!(pattern.as_ref().map(ChannelPattern::path), path, "{text}");
        }
        assert_eq!(ChannelPattern::parse("/chat/*").unwrap().namespace(), "chat");
    }

    #[test]
    fn wildcard_matches_channels_at_any_depth_below() {
        let patterns = |text: &str| Channel::parse(text).unwrap().matching_patterns().collect::<Vec<_>>();
        assert_eq!(patterns("a"), ["/a"]);
        assert_eq!(patterns("a/b/c"), ["/a/b/c", "/a/*", "/a/b/*"]);
        assert_eq!(segments("/a/b/*"), ["a", "b", "*"]);
    }
}
