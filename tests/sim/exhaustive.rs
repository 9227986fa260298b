//! Small worlds, in which every crash point is tried with every fault.
