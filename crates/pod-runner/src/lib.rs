//! Runs one pod: plans, carries out actions, records.
