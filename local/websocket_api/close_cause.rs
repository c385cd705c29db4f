//! Why a connection ends: the server's Close frame and the members of the `$disconnect` event.
use axum::extract::ws::{CloseFrame, close_code};

const GOING_AWAY: &str = "Going away";
const CLOSED_NORMALLY: &str = "Connection Closed Normally";
const NO_STATUS: &str = "Client-side close frame status not set";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// The client has sent a Close frame with this code and reason.
    ByClient(u16, String),
    /// No message for ten minutes.
    Idle,
    /// The connection is two hours old.
    TooOld,
    /// Deleted by `@connections`.
    Deleted,
    /// The client has sent a binary message.
    BinaryMessage,
    /// The client has broken the WebSocket protocol or its limits; the code says how.
    ProtocolError(u16),
    /// The connection is lost, or the client accepts no message in time.
    Lost,
    ServerStops,
}

impl CloseCause {
    pub fn from_close_frame(frame: Option<CloseFrame>) -> Self {
        match frame {
            Some(CloseFrame { code, reason }) => Self::ByClient(code, reason.as_str().to_owned()),
            None => Self::ByClient(close_code::STATUS, NO_STATUS.to_owned()),
        }
    }

    /// The code and the reason of the server's Close frame. The code is `None` if the server sends none of
    /// its own.
    pub fn close_frame(&self) -> (Option<u16>, &'static str) {
        match self {
            Self::ByClient(..) | Self::Lost => (None, ""),
            Self::Idle | Self::TooOld | Self::ServerStops => (Some(close_code::AWAY), GOING_AWAY),
            Self::Deleted => (Some(close_code::NORMAL), CLOSED_NORMALLY),
            Self::BinaryMessage => (Some(close_code::UNSUPPORTED), ""),
            Self::ProtocolError(code) => (Some(*code), ""),
        }
    }

    /// `disconnectStatusCode` and `disconnectReason`. Reasons other than those of the client, of idle and of
    /// deleted connections are not known.
    pub fn disconnect_status(&self) -> (u16, &str) {
        match self {
            Self::ByClient(code, reason) => (*code, reason),
            Self::Lost => (close_code::ABNORMAL, ""),
            other => {
                let (code, reason) = other.close_frame();
                (code.unwrap_or(close_code::ABNORMAL), reason)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disconnect_events_have_the_codes_and_reasons_of_api_gateway() {
        let frame = CloseFrame { code: 3001, reason: "bye".into() };
        for (cause, expected) in [
            (CloseCause::from_close_frame(None), (1005, "Client-side close frame status not set")),
            (CloseCause::from_close_frame(Some(frame)), (3001, "bye")),
            (CloseCause::Idle, (1001, "Going away")),
            (CloseCause::TooOld, (1001, "Going away")),
            (CloseCause::Deleted, (1000, "Connection Closed Normally")),
            (CloseCause::BinaryMessage, (1003, "")),
            (CloseCause::ProtocolError(1009), (1009, "")),
            (CloseCause::Lost, (1006, "")),
        ] {
            assert_eq!(cause.disconnect_status(), expected, "{cause:?}");
        }
        assert_eq!(CloseCause::Lost.close_frame().0, None);
        assert_eq!(CloseCause::BinaryMessage.close_frame().0, Some(1003));
    }
}
