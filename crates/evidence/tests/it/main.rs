//! Folders of files as people attach them to tickets, read as a whole.

mod aws;
mod hand;
mod hostile;
mod iam;
mod logs;
mod network;
mod objects;
mod packed;
mod support;
