//! AppSync client.
