//! The local stack's contract, tested from outside: the real process, its ports, and what it says on standard output.

mod books;
mod process;
mod refusals;
mod survival;
