//! first order
