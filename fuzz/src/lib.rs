//! neap's fuzz targets.
//!
//! Nothing is here yet. What runs on stable today are seeded random inputs to the machines, beside each of them, and
//! property tests of the codec, in `protocol/tests/it`.
