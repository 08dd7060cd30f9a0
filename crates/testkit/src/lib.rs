//! Conformance suites, one per port of the domain, and helpers for tests that need real processes.
