//! The built plugin against a fake API server, EKS fixtures and moto: nothing but a context and
//! endpoints is given.

mod cluster;
mod credentials;
mod identity;
mod outage;
mod past;
mod world;
