//! The names of sandboxes and containers: 64 lower-case hex digits, as every
//! runtime's are, so that tools which cut them to 12 go on working.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes an id that was given out before. Only hex digits are
            /// accepted, because ids become names of files and cgroups.
            pub fn parse(text: &str) -> Option<Self> {
                (text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
                    .then(|| Self(text.to_owned()))
            }

            /// A fresh id of 32 random bytes.
            pub fn random(random: &dyn edge::Random) -> Self {
                let mut text = String::with_capacity(64);
                for _ in 0..4 {
                    text.push_str(&format!("{:016x}", random.next_u64()));
                }
                Self(text)
            }

            /// The hex digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

id! {
    /// Names one sandbox (one attempt of one pod).
    SandboxId
}
id! {
    /// Names one container (one attempt of one container of a pod).
    ContainerId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hex_is_an_id() {
        assert!(SandboxId::parse(&"a1".repeat(32)).is_some());
        for bad in ["", "abc", &"A1".repeat(32), &"../x".repeat(16), &"g0".repeat(32)] {
            assert!(SandboxId::parse(bad).is_none(), "{bad}");
        }
    }
}
