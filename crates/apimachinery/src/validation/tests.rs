//! Rules by table: what passes, and the first words of what does not.

use super::*;
use crate::value;

#[test]
fn rules_say_upstreams_words() {
    type Rule = fn(&str) -> Vec<String>;
    let long = "x".repeat(64);
    let cases: [(Rule, &str, &[&str]); 38] = [
        (dns1123_label, "my-name", &[]),
        (dns1123_label, "a.b", &["must not contain dots"]),
        (dns1123_label, "", &["a lowercase RFC 1123 label must consist"]),
        (dns1123_label, &long, &["must be no more than 63 characters"]),
        (dns1123_label, "-a", &["a lowercase RFC 1123 label must consist"]),
        (dns1123_subdomain, "a-1.example.com", &[]),
        (dns1123_subdomain, "a..b", &["a lowercase RFC 1123 subdomain must consist"]),
        (dns1123_subdomain, "Upper", &["a lowercase RFC 1123 subdomain must consist"]),
        (dns1123_subdomain_with_underscore, "_tcp.example.com", &[]),
        (
            dns1123_subdomain_with_underscore,
            "__tcp",
            &["a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_'"],
        ),
        (dns1035_label, "a1", &[]),
        (dns1035_label, "1a", &["a DNS-1035 label must consist"]),
        (dns1035_label, "", &["a DNS-1035 label must consist"]),
        (wildcard_dns1123_subdomain, "*.a.b", &[]),
        (wildcard_dns1123_subdomain, "a.b", &["a wildcard DNS-1123 subdomain must start with '*.'"]),
        (label_key, "example.com/My_Name", &[]),
        (label_key, "/x", &["prefix part must be non-empty"]),
        (label_key, "Example.com/a", &["prefix part a lowercase RFC 1123 subdomain"]),
        (label_key, "a/b/c", &["a valid label key must consist of alphanumeric characters"]),
        (label_key, &long, &["name part must be no more than 63 bytes"]),
        (label_key, "", &["name part must be non-empty", "name part must consist"]),
        (label_value, "", &[]),
        (label_value, "a_b", &[]),
        (label_value, "bad value!", &["a valid label must be an empty string or consist of alphanumeric"]),
        (label_value, &long, &["must be no more than 63 bytes"]),
        (fully_qualified_name, "a.b.c", &[]),
        (fully_qualified_name, "short", &["should be a domain with at least three segments"]),
        (config_map_key, "a.b", &[]),
        (config_map_key, "..", &["must not be '..'"]),
        (config_map_key, "..a", &["must not start with '..'"]),
        (config_map_key, "a/b", &["a valid config key must consist"]),
        (path_segment_name, "system:node", &[]),
        (path_segment_name, "a/b%", &["may not contain '/'", "may not contain '%'"]),
        (port_name, "UPPER", &["must contain only alpha-numeric", "must contain at least one letter"]),
        (port_name, "a--b-", &["must not contain consecutive hyphens", "must not begin or end"]),
        (percent, "10%", &[]),
        (percent, "%", &["a valid percent string"]),
        (env_var_name, "a=b", &["a valid environment variable name"]),
    ];
    for (rule, value, expected) in cases {
        let found = rule(value);
        assert_eq!(found.len(), expected.len(), "{value:?}: {found:?}");
        for (text, start) in found.iter().zip(expected) {
            assert!(text.starts_with(start), "{value:?}: {text}");
        }
    }
    assert_eq!(
        dns1123_label("_")[0],
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
         end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    );
}

#[test]
fn addresses_are_read_sloppily() {
    let text = |value: &str| parse_ip_sloppy(value).map(|address| address.to_string());
    assert_eq!(text("010.001.0.08").as_deref(), Some("10.1.0.8"));
    assert_eq!(text("2001:db8::1").as_deref(), Some("2001:db8::1"));
    assert_eq!(text("::ffff:010.0.0.1").as_deref(), Some("::ffff:10.0.0.1"));
    for bad in
        ["", "1.2.3", "1.2.3.4.5", "256.0.0.1", "1.2.3.x", "fe80::1%eth0", "1.2.3.-4", "+1.2.3.4", "a::b::c"]
    {
        assert_eq!(text(bad), None, "{bad}");
    }
    assert!(parse_cidr_sloppy("10.0.0.1/8").is_some());
    for bad in ["10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8"] {
        assert_eq!(parse_cidr_sloppy(bad), None, "{bad}");
    }
}

fn meta_errors(metadata: Value) -> Vec<String> {
    let mut errors = Errors::new();
    meta::validate(&metadata, &meta::Rules::default(), &Path::Root.child("metadata"), &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn metadata_on_creation() {
    assert!(
        meta_errors(value!({"name": "a", "namespace": "n", "generateName": "a-", "labels": {"x": "y"}}))
            .is_empty()
    );
    assert_eq!(
        meta_errors(value!({"namespace": "n"})),
        ["metadata.name: Required value: name or generateName is required"]
    );
    let errors = meta_errors(value!({"name": "a", "namespace": "n", "finalizers": ["noslash", "ex.com/ok"]}));
    assert_eq!(
        errors,
        [
            "metadata.finalizers[0]: Invalid value: \"noslash\": name is neither a standard finalizer name nor is it \
          fully qualified"
        ]
    );
    let errors = meta_errors(value!({"name": "a", "namespace": "n", "ownerReferences": [
        {"apiVersion": "v1", "kind": "Pod", "name": "e", "uid": "u1", "controller": true},
        {"apiVersion": "v1", "kind": "Pod", "name": "f", "uid": "u2", "controller": true}]}));
    assert_eq!(
        errors,
        ["metadata.ownerReferences: Invalid value: [{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"e\",\
          \"uid\":\"u1\",\"controller\":true},{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"f\",\"uid\":\"u2\",\
          \"controller\":true}]: Only one reference can have Controller set to true. Found \"true\" in references \
          for Pod/e and Pod/f"]
    );
    let errors =
        meta_errors(value!({"name": "a", "namespace": "n", "annotations": {"k": "x".repeat(256 << 10)}}));
    assert_eq!(errors, ["metadata.annotations: Too long: may not be more than 262144 bytes"]);
}

#[test]
fn metadata_on_update() {
    let old = value!({"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1",
        "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["ex.com/hold"]});
    let mut new = old.clone();
    new.set("uid", "other");
    new.set("finalizers", vec![Value::from("ex.com/hold"), Value::from("ex.com/more")]);
    let mut errors = Errors::new();
    let path = Path::Root.child("metadata");
    meta::validate_update(&new, &old, &meta::Rules::default(), &path, &mut errors);
    let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found \
             new finalizers []string{\"ex.com/more\"}",
            "metadata.uid: Invalid value: \"other\": field is immutable",
        ]
    );
    let mut errors = Errors::new();
    meta::validate_update(&old, &old, &meta::Rules::default(), &path, &mut errors);
    assert!(errors.is_empty());
}

#[test]
fn manager_names_are_printable() {
    let mut errors = Errors::new();
    meta::field_manager("a\u{7}b", &Path::Root.child("fieldManager"), &mut errors);
    assert_eq!(
        errors.to_string(),
        "fieldManager: Invalid value: \"a\\ab\": invalid character U+0007 (at position 1)"
    );
}

#[test]
fn what_a_type_declares_counts_in_bytes() {
    let long = "x".repeat(64);
    assert_eq!(in_bytes(dns1123_label(&long)), ["must be no more than 63 bytes"]);
    let prefix = format!("{}/a", "x".repeat(254));
    assert_eq!(label_key(&prefix), ["prefix part must be no more than 253 bytes"]);
}

#[test]
fn changed_metadata_is_checked_as_new_metadata_is() {
    use crate::field::{Errors, Path};
    let told = |change: Value| {
        let old = value!({"name": "a", "namespace": "n", "resourceVersion": "1"});
        let mut new = old.clone();
        for (name, value) in change.members() {
            new.set(name.to_owned(), value.clone());
        }
        let mut errors = Errors::new();
        meta::validate_update(
            &new,
            &old,
            &meta::Rules::default(),
            &Path::Root.child("metadata"),
            &mut errors,
        );
        errors.iter().map(|error| error.field.clone()).collect::<Vec<_>>().join(" ")
    };
    for (change, expected) in [
        (value!({"labels": {"a": "b"}}), ""),
        (value!({"labels": {"bad key": "b"}}), "metadata.labels"),
        (value!({"finalizers": ["bad one"]}), "metadata.finalizers metadata.finalizers[0]"),
        (value!({"finalizers": ["a.b/c"]}), ""),
        (value!({"deletionTimestamp": "2020-01-01T00:00:00Z"}), "metadata.deletionTimestamp"),
        (value!({"deletionGracePeriodSeconds": 5}), "metadata.deletionGracePeriodSeconds"),
        (
            value!({"ownerReferences": [{"apiVersion": "a/b/c", "kind": "K", "name": "n", "uid": "u"}]}),
            "metadata.ownerReferences[0].apiVersion",
        ),
    ] {
        assert_eq!(told(change.clone()), expected, "{change:?}");
    }
}
