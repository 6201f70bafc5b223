//! Collects evidence from Kubernetes, AWS and probe pods
