//! Against a fake API server: connecting, listing, probing, and what stays behind.

mod cloud;
mod connecting;
mod lab;
mod leftovers;
mod lists;
mod observed;
mod pods;
