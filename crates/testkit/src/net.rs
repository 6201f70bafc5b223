//! One HTTP server on loopback: connections, TLS, faults and the audit log. What is answered is
//! the business of whoever implements [`server::Serve`].

pub(crate) mod audit;
pub(crate) mod faults;
pub(crate) mod matching;
pub(crate) mod reply;
pub(crate) mod server;
pub(crate) mod tls;
