//! What nodes say to each other: one closed enum for each directed edge.
//!
//! | from ＼ to | master | slave | framework | executor | operator |
//! |---|---|---|---|---|---|
//! | **master** | | [`MasterToSlave`] | [`MasterToFramework`] | | [`MasterToOperator`] |
//! | **slave** | [`SlaveToMaster`] | | | [`SlaveToExecutor`] | [`SlaveToOperator`] |
//! | **framework** | [`FrameworkToMaster`] | | | | |
//! | **executor** | | [`ExecutorToSlave`] | | | |
//! | **operator** | [`OperatorToMaster`] | [`OperatorToSlave`] | | | |
//!
//! The roles meet here and nowhere else.

mod executor;
mod framework;
mod logs;
mod operator;
mod slave;

pub use executor::{ExecutorToSlave, SlaveToExecutor};
pub use framework::{
    FrameworkToMaster, InverseAnswer, InverseAsk, InverseOutcome, MasterToFramework, Offered, Pending, Want,
};
pub use logs::{LOG_CHUNK_MAX, LogEnd, LogRefusal, LogStream, OperatorToSlave, SlaveToOperator};
pub use operator::{
    Answer, Command, DrainDifference, DrainEnd, DrainPlan, DrainStep, DrainView, DrainWait, Event,
    FrameworkView, HeldNameView, HoldView, InverseOfferView, MasterToOperator, OfferView, OperatorToMaster,
    Pace, Page, PastEvent, PendingView, PlannedTask, Query, ReceiptId, ReceiptLine, Refusal, SlaveRef,
    SlaveStatus, SlaveView, SlaveWait, Status, TaskView, Then, Uncounted,
};
pub use slave::{Final, MasterToSlave, Refused, SlaveToMaster};
