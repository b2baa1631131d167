//! The world around neap's core: checking, simulation, replay.
//!
//! Nothing is here yet: this package holds the place (and the direction of its dependency, on the core alone) of
//! the exhaustive checker, the simulator and the replayer.
