//! System call filters: the default list as data, profiles of others read, both
//! turned into what libseccomp is given.
//!
//! The default profile allows what Docker's and containerd's allow; rules that
//! hang on a capability or an architecture are resolved here. Source of the
//! format: Docker's seccomp profile JSON and the OCI runtime specification.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::capabilities;
use crate::{Error, Result};

const DEFAULT: &str = include_str!("default.json");

/// A profile in Docker's JSON, of which OCI's is a part.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<ArchMap>>,
    flags: Option<Vec<String>>,
    #[serde(default)]
    syscalls: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    #[serde(default)]
    sub_architectures: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    name: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Condition,
    #[serde(default)]
    excludes: Condition,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: usize,
    value: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_two: Option<u64>,
    op: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Condition {
    caps: Vec<String>,
    arches: Vec<String>,
    min_kernel: Option<String>,
}

/// What a profile's conditions are about.
pub(crate) struct Surroundings {
    /// The container's capabilities.
    pub(crate) capabilities: capabilities::Set,
    /// In Docker's words: `amd64`, `arm64`.
    pub(crate) architecture: &'static str,
    /// Major and minor of the kernel.
    pub(crate) kernel: (u32, u32),
}

impl Surroundings {
    /// This machine, for a container with these capabilities.
    pub(crate) fn here(capabilities: capabilities::Set) -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let kernel =
            parse_kernel(rustix::system::uname().release().to_str().unwrap_or_default()).unwrap_or((5, 15));
        Self { capabilities, architecture, kernel }
    }
}

fn parse_kernel(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// `linux.seccomp` of the default profile.
pub(crate) fn runtime_default(surroundings: &Surroundings) -> Result<Value> {
    translate(DEFAULT, surroundings)
}

/// `linux.seccomp` of the OCI runtime specification for a profile's text.
pub(crate) fn translate(profile: &str, surroundings: &Surroundings) -> Result<Value> {
    let profile: Profile =
        serde_json::from_str(profile).map_err(|e| Error::Invalid(format!("seccomp profile: {e}")))?;
    let mut architectures = profile.architectures.unwrap_or_default();
    if let Some(map) = profile.arch_map {
        let native = match surroundings.architecture {
            "amd64" => "SCMP_ARCH_X86_64",
            "arm64" => "SCMP_ARCH_AARCH64",
            _ => "SCMP_ARCH_NATIVE",
        };
        for entry in map.into_iter().filter(|entry| entry.architecture == native) {
            architectures.push(entry.architecture);
            architectures.extend(entry.sub_architectures);
        }
    }
    let rules: Vec<Value> = profile
        .syscalls
        .unwrap_or_default()
        .into_iter()
        .filter(|rule| applies(rule, surroundings))
        .map(|rule| {
            let mut names = rule.names;
            names.extend(rule.name);
            let mut out = json!({ "names": names, "action": rule.action });
            if let Some(errno) = rule.errno_ret {
                out["errnoRet"] = errno.into();
            }
            if let Some(args) = rule.args.filter(|args| !args.is_empty()) {
                out["args"] = json!(args);
            }
            out
        })
        .collect();
    let mut out = json!({ "defaultAction": profile.default_action, "syscalls": rules });
    if let Some(errno) = profile.default_errno_ret {
        out["defaultErrnoRet"] = errno.into();
    }
    if !architectures.is_empty() {
        out["architectures"] = json!(architectures);
    }
    if let Some(flags) = profile.flags.filter(|flags| !flags.is_empty()) {
        out["flags"] = json!(flags);
    }
    // What cannot be understood is refused now and not when a container starts.
    serde_json::from_value::<oci_spec::runtime::LinuxSeccomp>(out.clone())
        .map_err(|e| Error::Invalid(format!("seccomp profile: {e}")))?;
    Ok(out)
}

fn applies(rule: &Rule, surroundings: &Surroundings) -> bool {
    let names = capabilities::names(surroundings.capabilities);
    let has = |cap: &String| names.contains(cap);
    let here = |arch: &String| arch == surroundings.architecture;
    let new_enough = |version: &Option<String>| {
        version.as_deref().and_then(parse_kernel).is_none_or(|least| surroundings.kernel >= least)
    };
    let included = rule.includes.caps.iter().all(has)
        && (rule.includes.arches.is_empty() || rule.includes.arches.iter().any(here))
        && new_enough(&rule.includes.min_kernel);
    let excluded = rule.excludes.caps.iter().any(has) || rule.excludes.arches.iter().any(here);
    included && !excluded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(capabilities: &[&str]) -> Vec<String> {
        let set = capabilities::NAMES
            .iter()
            .enumerate()
            .filter(|(_, n)| capabilities.contains(n))
            .fold(0, |s, (i, _)| s | (1 << i));
        let value =
            runtime_default(&Surroundings { capabilities: set, architecture: "amd64", kernel: (6, 1) })
                .unwrap();
        assert_eq!(value["defaultAction"], "SCMP_ACT_ERRNO");
        assert_eq!(value["architectures"], json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]));
        let rules = value["syscalls"].as_array().unwrap();
        rules
            .iter()
            .filter(|r| r["action"] == "SCMP_ACT_ALLOW" && r.get("args").is_none())
            .flat_map(|r| r["names"].as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_owned()))
            .collect()
    }

    #[test]
    fn dangerous_calls_hang_on_capabilities() {
        let plain = allowed(&[]);
        for name in [
            "read",
            "openat",
            "clone3",
            "futex",
            "io_uring_setup",
            "mount",
            "bpf",
            "kexec_load",
            "reboot",
            "init_module",
            "ptrace",
            "unshare",
            "setns",
        ] {
            let expected = ["read", "openat", "futex", "ptrace"].contains(&name);
            assert_eq!(plain.contains(&name.to_owned()), expected, "{name}");
        }
        assert!(allowed(&["SYS_ADMIN"]).contains(&"mount".to_owned()));
        assert!(allowed(&["SYS_BOOT"]).contains(&"reboot".to_owned()));
        assert!(!allowed(&["SYS_BOOT"]).contains(&"mount".to_owned()));
    }

    #[test]
    fn profiles_of_others_are_read_or_refused() {
        let here = Surroundings { capabilities: 0, architecture: "amd64", kernel: (6, 1) };
        let value = translate(r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]}"#, &here).unwrap();
        assert_eq!(value["syscalls"][0]["names"][0], "mkdir");
        assert!(translate("{}", &here).is_err());
        assert!(translate(r#"{"defaultAction":"SCMP_ACT_SING"}"#, &here).is_err());
    }
}
