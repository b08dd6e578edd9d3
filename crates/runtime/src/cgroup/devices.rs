//! Which device nodes a control group may use: `devices.allow` on v1, a small
//! BPF program on v2, where the kernel has no file for it.
//!
//! Source: kernel documents admin-guide/cgroup-v1/devices and
//! admin-guide/cgroup-v2 "Device controller"; uapi/linux/bpf.h.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// One kind of device that is allowed. Everything else is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceRule {
    /// `b`, `c` or `a` (both).
    pub(crate) kind: char,
    /// None: any.
    pub(crate) major: Option<u32>,
    /// None: any.
    pub(crate) minor: Option<u32>,
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) make: bool,
}

impl DeviceRule {
    /// Everything, as privileged containers may.
    pub(crate) const ALL: Self =
        Self { kind: 'a', major: None, minor: None, read: true, write: true, make: true };

    /// As in `devices.allow`: `c 1:3 rwm`.
    fn line(&self) -> String {
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        let access: String = [(self.read, 'r'), (self.write, 'w'), (self.make, 'm')]
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, c)| *c)
            .collect();
        format!("{} {}:{} {access}", self.kind, number(self.major), number(self.minor))
    }
}

pub(super) fn write_v1(directory: &Path, rules: &[DeviceRule]) -> io::Result<()> {
    if rules.contains(&DeviceRule::ALL) {
        return super::write_file(&directory.join("devices.allow"), "a");
    }
    super::write_file(&directory.join("devices.deny"), "a")?;
    rules.iter().try_for_each(|rule| super::write_file(&directory.join("devices.allow"), &rule.line()))
}

/// One instruction of the kernel's BPF machine.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const MOVE: u8 = 0xbf; // BPF_ALU64 | BPF_MOV | BPF_X
const MOVE_IMMEDIATE: u8 = 0xb7; // BPF_ALU64 | BPF_MOV | BPF_K
const AND_IMMEDIATE: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const SHIFT_RIGHT: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const JUMP_NOT_EQUAL: u8 = 0x55; // BPF_JMP | BPF_JNE | BPF_K
const EXIT: u8 = 0x95;

/// Registers: r2 type, r3 access, r4 major, r5 minor.
fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let op = |code, destination: u8, source: u8, offset, immediate| Instruction {
        code,
        registers: destination | (source << 4),
        offset,
        immediate,
    };
    // struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }:
    // the type is in the low half of access_type, the access in the high one.
    let mut out = vec![
        op(LOAD_WORD, 2, 1, 0, 0),
        op(MOVE, 3, 2, 0, 0),
        op(AND_IMMEDIATE, 2, 0, 0, 0xffff),
        op(SHIFT_RIGHT, 3, 0, 0, 16),
        op(LOAD_WORD, 4, 1, 4, 0),
        op(LOAD_WORD, 5, 1, 8, 0),
    ];
    for rule in rules {
        let mut block = Vec::new();
        match rule.kind {
            'b' => block.push((JUMP_NOT_EQUAL, 2, 1)),
            'c' => block.push((JUMP_NOT_EQUAL, 2, 2)),
            _ => {}
        }
        let forbidden = [(rule.make, 1), (rule.read, 2), (rule.write, 4)]
            .iter()
            .filter(|(on, _)| !on)
            .map(|(_, bit)| bit)
            .sum::<i32>();
        if forbidden != 0 {
            block.push((MOVE, 1, 3));
            block.push((AND_IMMEDIATE, 1, forbidden));
            block.push((JUMP_NOT_EQUAL, 1, 0));
        }
        if let Some(major) = rule.major {
            block.push((JUMP_NOT_EQUAL, 4, major as i32));
        }
        if let Some(minor) = rule.minor {
            block.push((JUMP_NOT_EQUAL, 5, minor as i32));
        }
        let length = block.len();
        for (at, (code, register, value)) in block.into_iter().enumerate() {
            out.push(match code {
                MOVE => op(MOVE, register, value as u8, 0, 0),
                // A mismatch goes to the next rule: past the rest and "return 1".
                JUMP_NOT_EQUAL => op(code, register, 0, (length - at - 1 + 2) as i16, value),
                _ => op(code, register, 0, 0, value),
            });
        }
        out.push(op(MOVE_IMMEDIATE, 0, 0, 0, 1));
        out.push(op(EXIT, 0, 0, 0, 0));
    }
    out.push(op(MOVE_IMMEDIATE, 0, 0, 0, 0));
    out.push(op(EXIT, 0, 0, 0, 0));
    out
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// Loads the program and attaches it to the v2 group at `directory`. The
/// kernel frees it with the group.
pub(super) fn attach(directory: &Path, rules: &[DeviceRule]) -> io::Result<()> {
    if rules.contains(&DeviceRule::ALL) {
        return Ok(());
    }
    let program = program(rules);
    #[repr(C)]
    #[derive(Default)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
    }
    let load = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache".as_ptr() as u64,
        ..Load::default()
    };
    // SAFETY: the attribute lives through the call and its pointers are to
    // memory of the lengths given.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &load, size_of::<Load>()) };
    if fd < 0 {
        return Err(io::Error::other(format!("load the device filter: {}", io::Error::last_os_error())));
    }
    // SAFETY: the kernel just made this descriptor for us.
    let loaded = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let group = File::open(directory)?;
    #[repr(C)]
    struct Attach {
        target: u32,
        program: u32,
        kind: u32,
        flags: u32,
    }
    let attach = Attach {
        target: group.as_raw_fd() as u32,
        program: loaded.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: as above.
    let done = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &attach, size_of::<Attach>()) };
    if done < 0 {
        return Err(io::Error::other(format!(
            "attach the device filter to {}: {}",
            directory.display(),
            io::Error::last_os_error()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the few instructions that the program uses.
    fn allowed(program: &[Instruction], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let context = [kind | (access << 16), major, minor];
        let mut registers = [0u32; 11];
        let mut at = 0usize;
        loop {
            let i = program[at];
            let (to, from) = ((i.registers & 15) as usize, (i.registers >> 4) as usize);
            at += 1;
            match i.code {
                LOAD_WORD => registers[to] = context[i.offset as usize / 4],
                MOVE => registers[to] = registers[from],
                MOVE_IMMEDIATE => registers[to] = i.immediate as u32,
                AND_IMMEDIATE => registers[to] &= i.immediate as u32,
                SHIFT_RIGHT => registers[to] >>= i.immediate,
                JUMP_NOT_EQUAL => {
                    if registers[to] != i.immediate as u32 {
                        at += i.offset as usize;
                    }
                }
                EXIT => return registers[0] == 1,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn the_program_follows_the_rules() {
        let null =
            DeviceRule { kind: 'c', major: Some(1), minor: Some(3), read: true, write: true, make: true };
        let any_make =
            DeviceRule { kind: 'b', major: None, minor: None, read: false, write: false, make: true };
        let pts =
            DeviceRule { kind: 'c', major: Some(136), minor: None, read: true, write: false, make: false };
        let program = program(&[null, any_make, pts]);
        let (block, character, make, read, write) = (1, 2, 1, 2, 4);
        for (kind, access, major, minor, expected) in [
            (character, read | write, 1, 3, true),
            (character, read, 1, 5, false),
            (block, read, 1, 3, false),
            (block, make, 8, 0, true),
            (block, make | read, 8, 0, false),
            (character, read, 136, 7, true),
            (character, write, 136, 7, false),
        ] {
            assert_eq!(
                allowed(&program, kind, access, major, minor),
                expected,
                "{kind} {access} {major}:{minor}"
            );
        }
    }

    #[test]
    fn v1_lines() {
        assert_eq!(
            DeviceRule { kind: 'c', major: Some(5), minor: None, read: true, write: true, make: false }
                .line(),
            "c 5:* rw"
        );
    }
}
