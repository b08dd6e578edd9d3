//! Table tests of the plan.
