//! procMount_restricted: parts of /proc stay masked, whose users the pod has.

use super::{Check, Level, proc_mount_baseline};

pub(super) const CHECK: Check = Check {
    id: "procMount_restricted",
    level: Level::Restricted,
    revisions: &[(35, proc_mount_baseline::from_0)],
    overrides: &["procMount"],
};
