//! Which objects belong to an owner: adoption of orphans that its selector
//! matches, release of those it matches no more
//! (`controller.BaseControllerRefManager`). Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// What to do about one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the owner's already.
    Owned,
    /// An orphan that matches: add the owner reference.
    Adopt,
    /// The owner's, but it matches no more: remove the owner reference.
    Release,
    /// Another's, or of no concern.
    Ignore,
}

/// How an owner stands to an object.
///
/// `matches`: the owner's selector matches its labels; `terminating`: the
/// object is being deleted; `owner_terminating`: so is the owner.
pub fn claim(
    owner_uid: &str,
    owner_terminating: bool,
    controller: Option<&OwnerReference>,
    matches: bool,
    terminating: bool,
) -> Claim {
    match controller {
        Some(reference) if reference.uid != owner_uid => Claim::Ignore,
        Some(_) if matches => Claim::Owned,
        // A dying owner lets the garbage collector decide.
        Some(_) if owner_terminating => Claim::Ignore,
        Some(_) => Claim::Release,
        None if owner_terminating || terminating || !matches => Claim::Ignore,
        None => Claim::Adopt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims() {
        let mine = OwnerReference { uid: "me".into(), controller: Some(true), ..OwnerReference::default() };
        let theirs = OwnerReference { uid: "other".into(), ..mine.clone() };
        for (controller, owner_terminating, matches, terminating, expected) in [
            (Some(&mine), false, true, false, Claim::Owned),
            (Some(&mine), true, true, false, Claim::Owned),
            (Some(&mine), false, false, false, Claim::Release),
            (Some(&mine), true, false, false, Claim::Ignore),
            (Some(&theirs), false, true, false, Claim::Ignore),
            (None, false, true, false, Claim::Adopt),
            (None, false, true, true, Claim::Ignore),
            (None, true, true, false, Claim::Ignore),
            (None, false, false, false, Claim::Ignore),
        ] {
            let got = claim("me", owner_terminating, controller, matches, terminating);
            assert_eq!(got, expected, "{controller:?} {owner_terminating} {matches} {terminating}");
        }
    }
}
