//! What a client publishes: the members of a request or a frame.
use serde_json::json;

use super::channel::Channel;
use crate::json_input::{InputObject, JsonDocument, JsonInput};

/// AppSync's limit on the events of one publish.
pub const MAX_EVENTS: usize = 5;
/// AppSync's limit on one event, in bytes.
pub const MAX_EVENT_BYTES: usize = 240 * 1024;
/// AppSync's limit on all events of one publish, in bytes.
pub const MAX_PUBLISH_BYTES: usize = MAX_EVENTS * MAX_EVENT_BYTES;

/// The channel and the events as the client sent them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishInput {
    pub channel: String,
    /// JSON texts. AppSync accepts each on its own.
    pub events: Vec<String>,
}

/// A publish whose channel and number of events AppSync accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishRequest {
    pub channel: Channel,
    pub events: Vec<String>,
}

/// Why a request is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputError {
    Unparsable,
    EventsNotAList,
    ChannelMissing,
    EventsMissing,
    ChannelInvalid,
    TooManyEvents,
    PayloadTooLarge,
}

impl PublishInput {
    /// Parses the body of an HTTP request.
    pub fn parse(body: &[u8]) -> Result<Self, InputError> {
        let value = std::str::from_utf8(body).ok().and_then(JsonDocument::parse_lossy);
        Self::from_members(value.as_ref().and_then(JsonInput::as_object).ok_or(InputError::Unparsable)?)
    }

    /// Reads `channel` and `events`. Other members are ignored.
    pub fn from_members(members: &InputObject) -> Result<Self, InputError> {
        let channel = match members.get("channel") {
            Some(JsonInput::Text(channel)) => channel.clone(),
            None | Some(JsonInput::Null) => return Err(InputError::ChannelMissing),
            Some(_) => return Err(InputError::Unparsable),
        };
        let events = match members.get("events") {
            Some(JsonInput::List(events)) => events,
            None | Some(JsonInput::Null) => return Err(InputError::EventsMissing),
            Some(_) => return Err(InputError::EventsNotAList),
        };
        let events = events.iter().map(|event| event.as_text().map(str::to_owned).ok_or(InputError::Unparsable));
        Ok(Self { channel, events: events.collect::<Result<_, _>>()? })
    }

    /// The body that clients sign when they publish on a WebSocket. AWS escapes `<` and `>` before it
    /// verifies the signature, so that a signed event with one of them is refused (aws-appsync-community
    /// issue 400).
    pub fn signed_body(&self) -> String {
        let body = json!({ "channel": self.channel, "events": self.events }).to_string();
        body.replace('<', "\\u003c").replace('>', "\\u003e")
    }

    pub fn validate(self) -> Result<PublishRequest, InputError> {
        let channel = Channel::parse(&self.channel).ok_or(InputError::ChannelInvalid)?;
        match self.events.len() {
            0 => return Err(InputError::EventsMissing),
            1..=MAX_EVENTS => {}
            _ => return Err(InputError::TooManyEvents),
        }
        let bytes: usize = self.events.iter().map(String::len).sum();
        if bytes > MAX_PUBLISH_BYTES {
            return Err(InputError::PayloadTooLarge);
        }
        Ok(PublishRequest { channel, events: self.events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate(body: &str) -> Result<PublishRequest, InputError> {
        PublishInput::parse(body.as_bytes())?.validate()
    }

    #[test]
    fn every_character_of_an_event_is_kept() {
        let events = |body: &str| validate(body).unwrap().events;
        assert_eq!(events("{\"channel\":\"a\",\"events\":[\"a\u{10ffff}b\u{10d800}\"]}"), ["a\u{10ffff}b\u{10d800}"]);
        let with_lone_surrogate = "{\"channel\":\"a\",\"events\":[\"\\ud800\u{10ffff}\"]}";
        assert_eq!(events(with_lone_surrogate), ["?\u{10ffff}"]);
    }

    #[test]
    fn publish_has_a_channel_and_up_to_five_events() {
        let accepted = validate(r#"{"channel":"a/b/","events":["{}","7"],"other":[]}"#).unwrap();
        assert_eq!(accepted.channel.path(), "/a/b");
        assert_eq!(accepted.events, ["{}", "7"]);
        for (body, error) in [
            ("", InputError::Unparsable),
            ("{", InputError::Unparsable),
            ("[]", InputError::Unparsable),
            ("{}", InputError::ChannelMissing),
            (r#"{"channel":null,"events":[]}"#, InputError::ChannelMissing),
            (r#"{"channel":7,"events":[]}"#, InputError::Unparsable),
            (r#"{"channel":"a"}"#, InputError::EventsMissing),
            (r#"{"channel":"a","events":[]}"#, InputError::EventsMissing),
            (r#"{"channel":"a","events":"{}"}"#, InputError::EventsNotAList),
            (r#"{"channel":"a","events":[{}]}"#, InputError::Unparsable),
            (r#"{"channel":"a","events":[null]}"#, InputError::Unparsable),
            (r#"{"channel":"a/*","events":["1"]}"#, InputError::ChannelInvalid),
            (r#"{"channel":"a","events":["1","2","3","4","5","6"]}"#, InputError::TooManyEvents),
        ] {
            assert_eq!(validate(body), Err(error), "{body}");
        }
        assert_eq!(PublishInput::parse(b"\xff"), Err(InputError::Unparsable));
    }

    #[test]
    fn events_of_a_publish_have_at_most_five_times_240_kilobytes() {
        let publish = |bytes: usize| {
            let events = vec!["x".repeat(bytes / 2), "x".repeat(bytes - bytes / 2)];
            PublishInput { channel: "a".into(), events }.validate().map(|request| request.events.len())
        };
        assert_eq!(publish(MAX_PUBLISH_BYTES), Ok(2));
        assert_eq!(publish(MAX_PUBLISH_BYTES + 1), Err(InputError::PayloadTooLarge));
    }

    #[test]
    fn signed_body_is_the_text_of_javascript_unless_it_has_angle_brackets() {
        let body = |event: &str| PublishInput { channel: "/a/b".into(), events: vec![event.into()] }.signed_body();
        assert_eq!(body(r#"{"a":"é"}"#), r#"{"channel":"/a/b","events":["{\"a\":\"é\"}"]}"#);
        assert_eq!(body("\"<b>\""), r#"{"channel":"/a/b","events":["\"\u003cb\u003e\""]}"#);
    }
}
