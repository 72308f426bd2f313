//! Whether a host name matches a listener's pattern.
