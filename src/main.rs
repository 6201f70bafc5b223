//! `kubectl eksnet`.
fn main() {}
