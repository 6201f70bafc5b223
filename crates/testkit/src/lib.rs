//! Fake API servers for the tests of kubectl-eksnet
