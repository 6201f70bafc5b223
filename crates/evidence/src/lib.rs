//! Reads saved evidence into a snapshot
