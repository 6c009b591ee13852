//! Where a request's keys stand.
