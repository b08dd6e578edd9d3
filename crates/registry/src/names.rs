//! Names that fields of several groups hold: drivers, signers, paths behind a
//! domain.
//!
//! Pure functions that add to a list of errors.

use apimachinery::Value;
use apimachinery::field::{Error, Errors, Kind, Path, quote};
use apimachinery::validation::{
    DNS_LABEL_MAX, DNS_SUBDOMAIN_MAX, dns1123_label, dns1123_subdomain, path_segment_name,
};

/// The longest name of a driver, in bytes.
const DRIVER_MAX: usize = 63;

/// The name of a CSI or device driver: a DNS subdomain in any case.
pub fn driver(path: &Path<'_>, name: &str, errors: &mut Errors) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    if name.len() > DRIVER_MAX {
        errors.too_long(path, DRIVER_MAX);
    }
    errors.check(path, name, dns1123_subdomain(&name.to_lowercase()));
}

/// As [`driver`], where upstream's generated rules say it: in another order,
/// and they count characters.
pub fn declared_driver(path: &Path<'_>, name: &str, errors: &mut Errors) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    errors.check(path, name, long_name_caseless(name));
    if name.chars().count() > DRIVER_MAX {
        errors.push(Error {
            kind: Kind::TooLong,
            field: path.to_string(),
            body: format!("Too long: may not be more than {DRIVER_MAX} characters"),
        });
    }
}

/// A subdomain in letters of either case (the format `k8s-long-name-caseless`
/// of generated rules).
fn long_name_caseless(name: &str) -> Vec<String> {
    let wrong = dns1123_subdomain(&name.to_lowercase());
    let told = |text: String| {
        text.replacen(
            "a lowercase RFC 1123 subdomain must consist of lower case",
            "an RFC 1123 subdomain must consist of",
            1,
        )
        .replacen("'example.com'", "'Example.com'", 1)
    };
    wrong.into_iter().map(told).collect()
}

/// A signer: `example.com/signer-name` (core's ValidateSignerName).
pub fn signer(path: &Path<'_>, name: &str, errors: &mut Errors) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    let mut parts = name.split('/');
    let (Some(domain), Some(local), None) = (parts.next(), parts.next(), parts.next()) else {
        let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.invalid(path, name, why);
        return;
    };
    if domain.len() > DNS_SUBDOMAIN_MAX {
        errors.too_long(path, DNS_SUBDOMAIN_MAX);
    }
    let first_wrong = |text: &str, rule: fn(&str) -> Vec<String>, errors: &mut Errors| {
        let wrong = text.split('.').map(|label| (label, rule(label))).find(|(_, wrong)| !wrong.is_empty());
        for (label, why) in
            wrong.into_iter().flat_map(|(label, wrong)| wrong.into_iter().map(move |why| (label, why)))
        {
            errors.invalid(path, text, &format!("validating label {}: {why}", quote(label)));
        }
    };
    first_wrong(domain, dns1123_label, errors);
    if !domain.contains('.') {
        errors.invalid(path, domain, "should be a domain with at least two segments separated by dots");
    }
    first_wrong(local, dns1123_subdomain, errors);
    let longest = DNS_SUBDOMAIN_MAX + 1 + DNS_SUBDOMAIN_MAX + DNS_LABEL_MAX + 1;
    if name.len() > longest {
        errors.too_long(path, longest);
    }
}

/// Whether a signer is one of Kubernetes' own.
pub fn is_kubernetes_signer(name: &str) -> bool {
    let domain = name.split('/').next().unwrap_or("");
    domain == "kubernetes.io" || domain.ends_with(".kubernetes.io")
}

/// A path behind a domain: `acme.io/foo`.
pub fn domain_prefixed_path(path: &Path<'_>, text: &str, errors: &mut Errors) {
    if text.is_empty() {
        errors.required(path, "");
        return;
    }
    let (domain, rest) = match text.split_once('/') {
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => (domain, rest),
        _ => {
            errors.invalid(path, text, "must be a domain-prefixed path (such as \"acme.io/foo\")");
            return;
        }
    };
    errors.check(path, domain, dns1123_subdomain(domain));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    if !rest.bytes().all(allowed) {
        let why = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        errors.invalid(path, rest, why);
    }
}

/// A text that is there and can stand alone in a URL's path.
pub fn required_segment(path: &Path<'_>, value: &Value, errors: &mut Errors) {
    if crate::rules::required(path, value, errors) {
        errors.check(path, value.text(), path_segment_name(value.text()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(check: fn(&Path<'_>, &str, &mut Errors), name: &str) -> Vec<String> {
        let mut errors = Errors::new();
        check(&Path::Root.child("f"), name, &mut errors);
        errors.iter().map(|error| error.body.clone()).collect()
    }

    #[test]
    fn signers_are_a_domain_and_a_path() {
        for (name, expected) in [
            ("kubernetes.io/kube-apiserver-client", &[][..]),
            ("", &["Required value"]),
            (
                "no-slash",
                &["Invalid value: \"no-slash\": must be a fully qualified domain and path of the form \
                   'example.com/signer-name'"],
            ),
            (
                "short/a",
                &[
                    "Invalid value: \"short\": should be a domain with at least two segments separated by dots",
                ],
            ),
        ] {
            assert_eq!(told(signer, name), expected, "{name}");
        }
        let wrong = told(signer, "a.B_/x");
        assert_eq!(wrong.len(), 1);
        assert!(
            wrong[0].starts_with("Invalid value: \"a.B_\": validating label \"B_\": a lowercase"),
            "{wrong:?}"
        );
    }

    #[test]
    fn drivers_are_subdomains_in_any_case() {
        assert_eq!(told(driver, "Ex.com").len(), 0);
        assert_eq!(told(driver, ""), ["Required value"]);
        assert_eq!(told(driver, &"a".repeat(64)), ["Too long: may not be more than 63 bytes"]);
        assert_eq!(told(declared_driver, ""), ["Required value"]);
        let long = "a.".repeat(32) + "b";
        assert_eq!(told(declared_driver, &long), ["Too long: may not be more than 63 characters"]);
    }

    #[test]
    fn paths_need_a_domain() {
        for (text, wrong) in
            [("ex.com/a/b", 0), ("", 1), ("ex.com", 1), ("/a", 1), ("ex.com/ ", 1), ("B_/ ", 2)]
        {
            assert_eq!(told(domain_prefixed_path, text).len(), wrong, "{text}");
        }
    }
}
