//! Forwarding: ways to carry a connection from a client to an endpoint.
//!
//! [`proxy`] carries it in user space. This room does not probe and does not
//! know why an endpoint is ready; it is told through [`proxy::Pool::publish`].

pub mod proxy;
