//! process-tree
