//! transport-unix
