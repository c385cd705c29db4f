//! Tests of the table's methods against an embedded DynamoDB.
mod claim;
mod close_write;
mod connections;
mod direct_write;
mod participant_lists;
mod purge;
mod reads;
mod tool_claims;
mod usage;
