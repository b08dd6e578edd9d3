//! The kinds of `admissionregistration.k8s.io`.

mod matching;
mod parameters;
pub mod policies;
pub mod webhooks;

use apimachinery::field::{Errors, Path, quote};
use apimachinery::{Value, meta};

const GROUP: &str = "admissionregistration.k8s.io";

/// What names of configurations end with that come from files and not from the API.
const STATIC: &str = ".static.k8s.io";

/// A new object has no name that is kept for files (KEP-5793).
fn not_reserved(object: &Value, errors: &mut Errors) {
    let name = meta::name(object);
    if name.ends_with(STATIC) {
        let path = Path::Root.child("metadata");
        let why = format!(
            "names ending with {} are reserved for static manifest-based configurations and cannot be managed via the \
             API",
            quote(STATIC)
        );
        errors.invalid(&path.child("name"), name, &why);
    }
}
