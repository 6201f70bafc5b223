//! Runs a plan of network probes inside a pod
