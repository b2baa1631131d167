//! What nodes say to each other: one closed enum for each directed edge.
//!
//! | from ＼ to | master | slave | framework | executor | operator |
//! |---|---|---|---|---|---|
//! | **master** | | [`MasterToSlave`] | [`MasterToFramework`] | | [`MasterToOperator`] |
//! | **slave** | [`SlaveToMaster`] | | | [`SlaveToExecutor`] | |
//! | **framework** | [`FrameworkToMaster`] | | | | |
//! | **executor** | | [`ExecutorToSlave`] | | | |
//! | **operator** | [`OperatorToMaster`] | | | | |
//!
//! The roles meet here and nowhere else.

mod executor;
mod framework;
mod operator;
mod slave;

pub use executor::{ExecutorToSlave, SlaveToExecutor};
pub use framework::{
    FrameworkToMaster, InverseAnswer, InverseAsk, InverseOutcome, MasterToFramework, Offered,
};
pub use operator::{
    Answer, Command, DrainEnd, DrainPlan, DrainView, DrainWait, Event, FrameworkView, HoldView,
    InverseOfferView, MasterToOperator, OfferView, OperatorToMaster, Page, PastEvent, PlannedTask, Query,
    ReceiptId, ReceiptLine, Refusal, SlaveRef, SlaveStatus, SlaveView, Status, TaskView, Then,
};
pub use slave::{Final, MasterToSlave, Refused, SlaveToMaster};
