//! The checks of kubectl-eksnet: pure functions from a snapshot to findings
