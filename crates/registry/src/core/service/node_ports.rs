//! Which node ports are taken: the bitmap that kube-apiserver keeps in one
//! RangeAllocation for the whole cluster, and the order in which ports are tried.
//!
//! Pure: the bitmap is read and written by the strategy, in the transaction of
//! the Service and only at the revision at which it was read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// kube-apiserver's default `--service-node-port-range`.
pub const FIRST: u16 = 30_000;
pub const LAST: u16 = 32_767;
const COUNT: usize = (LAST - FIRST) as usize + 1;
/// Ports at the start that are given without being asked for only when the
/// rest is used up (KEP-3668).
const RESERVED: usize = 86;

/// The ports that are taken.
#[derive(Clone, Debug, PartialEq)]
pub struct NodePorts {
    /// A bit for each port, the first port's being the lowest of the last byte
    /// (Go's big.Int, big endian).
    bits: Vec<u8>,
}

impl Default for NodePorts {
    fn default() -> Self {
        Self { bits: vec![0; COUNT.div_ceil(8)] }
    }
}

impl NodePorts {
    /// Reads `data` of a RangeAllocation; "" is an empty one.
    pub fn read(data: &str) -> Result<Self, String> {
        let bytes = STANDARD.decode(data).map_err(|why| why.to_string())?;
        let mut ports = Self::default();
        let size = ports.bits.len();
        if bytes.len() > size {
            return Err(format!("the bitmap has {} bytes, which is more than {size}", bytes.len()));
        }
        ports.bits[size - bytes.len()..].copy_from_slice(&bytes);
        Ok(ports)
    }

    /// `data` of the RangeAllocation.
    pub fn write(&self) -> String {
        let from = self.bits.iter().position(|&byte| byte != 0).unwrap_or(self.bits.len());
        STANDARD.encode(&self.bits[from..])
    }

    /// The `range` of the RangeAllocation.
    pub fn range() -> String {
        format!("{FIRST}-{LAST}")
    }

    fn place(&self, at: usize) -> (usize, u8) {
        (self.bits.len() - 1 - at / 8, 1 << (at % 8))
    }

    fn offset(port: u16) -> Option<usize> {
        (FIRST..=LAST).contains(&port).then(|| usize::from(port - FIRST))
    }

    pub fn is_taken(&self, port: u16) -> bool {
        Self::offset(port).is_some_and(|at| {
            let (byte, bit) = self.place(at);
            self.bits[byte] & bit != 0
        })
    }

    /// Takes `port`; false where it is taken already.
    pub fn take(&mut self, port: u16) -> bool {
        let Some(at) = Self::offset(port) else { return false };
        let (byte, bit) = self.place(at);
        let free = self.bits[byte] & bit == 0;
        self.bits[byte] |= bit;
        free
    }

    pub fn release(&mut self, port: u16) {
        if let Some(at) = Self::offset(port) {
            let (byte, bit) = self.place(at);
            self.bits[byte] &= !bit;
        }
    }

    /// Takes a free port, searching from a random one; nothing when all are taken.
    pub fn take_any(&mut self, random: u64) -> Option<u16> {
        let dynamic = COUNT - RESERVED;
        let start = (random % dynamic as u64) as usize;
        let port = (0..dynamic)
            .map(|step| RESERVED + (start + step) % dynamic)
            .chain(0..RESERVED)
            .map(|at| FIRST + at as u16)
            .find(|&port| !self.is_taken(port))?;
        self.take(port);
        Some(port)
    }
}

/// Whether a client may ask for `port`.
pub fn in_range(port: i64) -> bool {
    (i64::from(FIRST)..=i64::from(LAST)).contains(&port)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_ports_are_given_once_and_then_none() {
        let mut ports = NodePorts::default();
        let mut given = BTreeSet::new();
        for round in 0..COUNT as u64 {
            let port = ports.take_any(round.wrapping_mul(7919)).expect("a free port");
            assert!(given.insert(port), "{port} twice");
        }
        assert_eq!(ports.take_any(1), None);
        ports.release(31_000);
        assert_eq!(ports.take_any(1), Some(31_000));
    }

    #[test]
    fn the_bitmap_is_that_of_upstream() {
        let mut ports = NodePorts::default();
        assert_eq!(ports.write(), "");
        ports.take(30_000);
        ports.take(30_009);
        // 2^0 + 2^9 as a big-endian number.
        assert_eq!(ports.write(), STANDARD.encode([2, 1]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(taken in proptest::collection::btree_set(FIRST..=LAST, 0..40)) {
            let mut ports = NodePorts::default();
            for &port in &taken {
                prop_assert!(ports.take(port));
                prop_assert!(!ports.take(port));
            }
            let read = NodePorts::read(&ports.write()).expect("a bitmap");
            prop_assert_eq!(&read, &ports);
            for port in FIRST..=LAST {
                prop_assert_eq!(read.is_taken(port), taken.contains(&port));
            }
        }
    }
}
