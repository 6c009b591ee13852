//! Subscriptions without a network: what clients are told and counted.
