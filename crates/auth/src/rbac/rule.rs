//! One rule of a role: what it grants, and whether rules cover one another.
//!
//! Pure: the rules of RBAC's evaluation and escalation check (rbac/v1
//! PolicyRule), on strings.

use std::collections::BTreeSet;
use std::fmt;

use apimachinery::Value;

/// The verb, group, resource or URL that stands for all.
const ALL: &str = "*";

/// rbac/v1 PolicyRule.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    pub verbs: Vec<String>,
    pub api_groups: Vec<String>,
    pub resources: Vec<String>,
    pub resource_names: Vec<String>,
    pub non_resource_urls: Vec<String>,
}

fn strings(list: &Value) -> Vec<String> {
    list.items().iter().map(|item| item.text().to_owned()).collect()
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == wanted)
}

fn has_or_all(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == ALL || item == wanted)
}

/// Whether `pattern` is `path` or, ending in `*`, a prefix of it.
fn url_covers(pattern: &str, path: &str) -> bool {
    pattern == path || (pattern.ends_with(ALL) && path.starts_with(pattern.trim_end_matches('*')))
}

impl Rule {
    /// Reads an item of a role's `rules`.
    pub fn read(rule: &Value) -> Self {
        Self {
            verbs: strings(&rule["verbs"]),
            api_groups: strings(&rule["apiGroups"]),
            resources: strings(&rule["resources"]),
            resource_names: strings(&rule["resourceNames"]),
            non_resource_urls: strings(&rule["nonResourceURLs"]),
        }
    }

    /// Reads a role's `rules`.
    pub fn read_all(rules: &Value) -> Vec<Rule> {
        rules.items().iter().map(Rule::read).collect()
    }

    /// Whether the rule grants `verb` on a resource; `subresource` and `name`
    /// are "" where there is none.
    pub fn allows_resource(
        &self,
        verb: &str,
        group: &str,
        resource: &str,
        subresource: &str,
        name: &str,
    ) -> bool {
        has_or_all(&self.verbs, verb)
            && has_or_all(&self.api_groups, group)
            && self.resources.iter().any(|pattern| resource_matches(pattern, resource, subresource))
            && (self.resource_names.is_empty() || has(&self.resource_names, name))
    }

    /// Whether the rule grants `verb` on a path such as `/metrics`.
    pub fn allows_path(&self, verb: &str, path: &str) -> bool {
        has_or_all(&self.verbs, verb)
            && self.non_resource_urls.iter().any(|pattern| url_covers(pattern, path))
    }

    /// The rule as many rules, each with one of everything.
    fn broken_down(&self) -> Vec<Rule> {
        let mut parts = Vec::new();
        for group in &self.api_groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let part = Rule {
                        verbs: vec![verb.clone()],
                        api_groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        ..Rule::default()
                    };
                    if self.resource_names.is_empty() {
                        parts.push(part);
                    } else {
                        parts.extend(
                            self.resource_names
                                .iter()
                                .map(|name| Rule { resource_names: vec![name.clone()], ..part.clone() }),
                        );
                    }
                }
            }
        }
        for url in &self.non_resource_urls {
            for verb in &self.verbs {
                parts.push(Rule {
                    verbs: vec![verb.clone()],
                    non_resource_urls: vec![url.clone()],
                    ..Rule::default()
                });
            }
        }
        parts
    }

    /// Whether everything that `part` grants is granted by this rule alone.
    fn covers(&self, part: &Rule) -> bool {
        let all =
            |mine: &[String], theirs: &[String]| has(mine, ALL) || theirs.iter().all(|item| has(mine, item));
        let names = self.resource_names.is_empty()
            || (!part.resource_names.is_empty() && all_in(&self.resource_names, &part.resource_names));
        all(&self.verbs, &part.verbs)
            && all(&self.api_groups, &part.api_groups)
            && part.resources.iter().all(|resource| resource_covered(&self.resources, resource))
            && part
                .non_resource_urls
                .iter()
                .all(|url| self.non_resource_urls.iter().any(|pattern| url_covers(pattern, url)))
            && names
    }
}

fn all_in(mine: &[String], theirs: &[String]) -> bool {
    theirs.iter().all(|item| has(mine, item))
}

/// `pods`, `pods/log`, `*` or `*/scale` against a resource and its subresource.
fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    if pattern == ALL {
        return true;
    }
    if subresource.is_empty() {
        return pattern == resource;
    }
    match pattern.split_once('/') {
        Some((of, part)) => part == subresource && (of == resource || of == ALL),
        None => false,
    }
}

fn resource_covered(mine: &[String], resource: &str) -> bool {
    has_or_all(mine, resource)
        || resource
            .split_once('/')
            .is_some_and(|(_, part)| mine.iter().any(|item| item.strip_prefix("*/") == Some(part)))
}

/// The rules that `wanted` grants and `owned` does not, in short form: one
/// rule for each resource and name with all its missing verbs.
pub fn uncovered(owned: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let mut missing: Vec<Rule> = Vec::new();
    for part in wanted.iter().flat_map(Rule::broken_down) {
        if owned.iter().any(|rule| rule.covers(&part)) {
            continue;
        }
        let joined = missing.iter_mut().find(|rule| {
            !part.api_groups.is_empty()
                && rule.api_groups == part.api_groups
                && rule.resources == part.resources
                && rule.resource_names == part.resource_names
        });
        match joined {
            Some(rule) => rule.verbs.extend(part.verbs),
            None => missing.push(part),
        }
    }
    missing
}

/// What is said to someone who grants more than they hold; nothing where they hold it all.
pub fn escalation(user: &str, groups: &[String], owned: &[Rule], wanted: &[Rule]) -> Option<String> {
    let missing = uncovered(owned, wanted);
    if missing.is_empty() {
        return None;
    }
    let lines: BTreeSet<String> = missing.iter().map(Rule::to_string).collect();
    Some(format!(
        "user {user:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        quoted(groups),
        lines.into_iter().collect::<Vec<_>>().join("\n")
    ))
}

/// A list as Go's `%q` writes it.
fn quoted(list: &[String]) -> String {
    let items: Vec<String> = list.iter().map(|item| format!("{item:?}")).collect();
    format!("[{}]", items.join(" "))
}

impl fmt::Display for Rule {
    /// `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ]
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| format!("{name}:{}", quoted(list)))
        .collect();
        write!(f, "{{{}}}", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn rule(groups: &[&str], resources: &[&str], names: &[&str], verbs: &[&str]) -> Rule {
        let own = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect();
        Rule {
            verbs: own(verbs),
            api_groups: own(groups),
            resources: own(resources),
            resource_names: own(names),
            non_resource_urls: Vec::new(),
        }
    }

    #[test]
    fn resources_match_by_group_part_and_name() {
        let cases = [
            // pattern, resource, subresource, name, granted
            (rule(&[""], &["pods"], &[], &["get"]), ("get", "", "pods", "", "a"), true),
            (rule(&[""], &["pods"], &[], &["get"]), ("get", "", "pods", "log", "a"), false),
            (rule(&[""], &["pods/log"], &[], &["get"]), ("get", "", "pods", "log", "a"), true),
            (rule(&[""], &["pods/log"], &[], &["get"]), ("get", "", "pods", "", "a"), false),
            (
                rule(&["apps"], &["*/scale"], &[], &["*"]),
                ("patch", "apps", "deployments", "scale", "a"),
                true,
            ),
            (rule(&["apps"], &["*/scale"], &[], &["*"]), ("patch", "apps", "deployments", "", "a"), false),
            (rule(&["*"], &["*"], &[], &["*"]), ("watch", "x.io", "things", "status", ""), true),
            (rule(&["apps"], &["*"], &[], &["*"]), ("watch", "", "pods", "", ""), false),
            (
                rule(&[""], &["secrets"], &["only"], &["get", "list"]),
                ("get", "", "secrets", "", "only"),
                true,
            ),
            (rule(&[""], &["secrets"], &["only"], &["get", "list"]), ("list", "", "secrets", "", ""), false),
            (rule(&[""], &["secrets"], &["only"], &["get"]), ("get", "", "secrets", "", "other"), false),
        ];
        for (rule, (verb, group, resource, part, name), granted) in cases {
            assert_eq!(rule.allows_resource(verb, group, resource, part, name), granted, "{rule} {verb}");
        }
    }

    #[test]
    fn paths_match_exactly_or_by_prefix() {
        let rule = Rule::read(&value!({"verbs": ["get"], "nonResourceURLs": ["/logs/*", "/metrics"]}));
        for (verb, path, granted) in [
            ("get", "/metrics", true),
            ("get", "/metrics/slis", false),
            ("get", "/logs/kubelet", true),
            ("get", "/logs", false),
            ("post", "/metrics", false),
        ] {
            assert_eq!(rule.allows_path(verb, path), granted, "{verb} {path}");
        }
        assert!(Rule::read(&value!({"verbs": ["*"], "nonResourceURLs": ["*"]})).allows_path("post", "/x"));
    }

    #[test]
    fn what_is_missing_is_told_short_and_sorted() {
        let owned = [rule(&[""], &["pods"], &[], &["get"]), rule(&["apps"], &["*"], &[], &["*"])];
        let wanted = [
            rule(&[""], &["secrets", "pods"], &[], &["get", "list"]),
            rule(&["apps"], &["deployments/scale"], &["web"], &["patch"]),
        ];
        assert_eq!(
            escalation("ann", &["dev".into()], &owned, &wanted).as_deref(),
            Some(
                "user \"ann\" (groups=[\"dev\"]) is attempting to grant RBAC permissions not currently held:\n\
                 {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"list\"]}\n\
                 {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}"
            )
        );
        assert_eq!(escalation("ann", &[], &owned, &owned), None);
    }

    #[test]
    fn a_named_right_does_not_cover_the_unnamed() {
        let named = rule(&[""], &["secrets"], &["a", "b"], &["get"]);
        let one = rule(&[""], &["secrets"], &["a"], &["get"]);
        let any = rule(&[""], &["secrets"], &[], &["get"]);
        assert!(uncovered(std::slice::from_ref(&named), std::slice::from_ref(&one)).is_empty());
        assert!(uncovered(std::slice::from_ref(&any), std::slice::from_ref(&named)).is_empty());
        assert_eq!(uncovered(&[named], std::slice::from_ref(&any)), [any]);
    }
}
