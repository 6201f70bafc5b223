//! Folders of files as people attach them to tickets, read as a whole.

mod logs;
mod packed;
mod support;
