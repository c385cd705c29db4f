//! The effects that an attempt asks its caller to perform.
use std::sync::Arc;

use crate::{
    direct_write::DirectWrite, knowledge::RetrievalRequest, model::ModelRequest, mutation::Mutation,
    replies::ReplyRequest, tool::ToolRun,
};

#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Searches documents. At most one search is in flight.
    Retrieve(Arc<RetrievalRequest>),
    /// Abandons the search. Its result no longer counts.
    StopRetrieval,
    /// Opens a stream of the model's answer, in place of an earlier one.
    CallModel(Arc<ModelRequest>),
    CloseModelStream,
    /// At most `MAX_CONCURRENT_RUNS` are in flight.
    RunTool(Box<ToolRun>),
    /// Stops all tools that run. Their results no longer count.
    StopTools,
    /// At most one is in flight: the next follows the result of this one.
    Publish(Arc<Mutation>),
    /// At most one is in flight, beside a publish.
    Write(DirectWrite),
    /// At most one is in flight, beside a publish and a write.
    SendReplies(Arc<ReplyRequest>),
    /// The attempt is over.
    End(AttemptEnd),
}

/// How an attempt is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The turn is closed, and its last event has been published.
    Published,
    /// The turn is closed, but its last event has not been published.
    Unannounced,
    /// The turn is WAITING: its tool calls wait for a person or a client.
    Waiting,
    /// Another attempt owns the turn, or another process has closed the turn.
    Superseded,
    /// No time is left to close the turn.
    OutOfTime,
}

impl AttemptEnd {
    /// Whether the attempt has done all its work: no other attempt repeats its last step.
    pub fn ends_work(self) -> bool {
        self.closed_turn() || self == Self::Waiting
    }

    /// Whether the attempt's last event closed the turn.
    pub fn closed_turn(self) -> bool {
        match self {
            Self::Published | Self::Unannounced => true,
            Self::Waiting | Self::Superseded | Self::OutOfTime => false,
        }
    }
}
