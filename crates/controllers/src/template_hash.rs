//! The hash of a pod template, by which ReplicaSets and revisions are named.

use k8s_openapi::api::core::v1::PodTemplateSpec;

/// FNV-1a, 32 bits, of the template's JSON and the number of collisions so
/// far, in the letters of generated names (`rand.SafeEncodeString`).
pub fn template_hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let text = serde_json::to_vec(template).expect("a typed view is always JSON");
    let mut hash = fnv1a(0x811c_9dc5, &text);
    if let Some(collisions) = collisions {
        hash = fnv1a(hash, &collisions.to_le_bytes());
    }
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    hash.to_string().bytes().map(|digit| char::from(LETTERS[usize::from(digit) % LETTERS.len()])).collect()
}

fn fnv1a(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_tell_templates_and_collisions_apart() {
        assert_eq!(fnv1a(0x811c_9dc5, b"foobar"), 0xbf9c_f968);
        let template = PodTemplateSpec::default();
        let plain = template_hash(&template, None);
        assert_eq!(plain, template_hash(&template, None));
        assert_ne!(plain, template_hash(&template, Some(1)));
        assert!(plain.bytes().all(|letter| b"bcdfghjklmnpqrstvwxz2456789".contains(&letter)));
    }
}
