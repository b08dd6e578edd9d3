//! Amounts of resources in whole numbers, as the decision compares them.
//!
//! CPU counts in thousandths of a core, all else in its own unit (bytes,
//! devices), rounded up as kube-scheduler's `framework.Resource` does.

use std::sync::Arc;

use api::requests::Resources;
use apimachinery::quantity::Quantity;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

/// What a container counts for in scores when it requests no CPU (in
/// thousandths of a core) or no memory (in bytes).
pub const NO_CPU_REQUEST: i64 = 100;
pub const NO_MEMORY_REQUEST: i64 = 200 * 1024 * 1024;

/// So much of each resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Thousandths of a core.
    pub milli_cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub ephemeral_storage: i64,
    /// Every other resource (`hugepages-2Mi`, `nvidia.com/gpu`), in order of name.
    pub others: Vec<(Arc<str>, i64)>,
}

impl Amounts {
    pub fn of(resources: &Resources) -> Self {
        Self::collect(resources.iter().map(|(name, amount)| (name.as_str(), *amount)))
    }

    /// Reads API quantities; what is none counts as zero, since validation keeps it out.
    pub fn read<'a>(texts: impl IntoIterator<Item = (&'a String, &'a Text)>) -> Self {
        let read = |text: &Text| Quantity::parse(&text.0).unwrap_or(Quantity::ZERO);
        Self::collect(texts.into_iter().map(|(name, text)| (name.as_str(), read(text))))
    }

    /// `amounts` come in order of name.
    fn collect<'a>(amounts: impl Iterator<Item = (&'a str, Quantity)>) -> Self {
        let mut all = Self::default();
        for (name, amount) in amounts {
            match name {
                "cpu" => all.milli_cpu = amount.milli_value(),
                "memory" => all.memory = amount.value(),
                "ephemeral-storage" => all.ephemeral_storage = amount.value(),
                // A node's count of pods is no resource that pods request.
                "pods" => {}
                name => all.others.push((Arc::from(name), amount.value())),
            }
        }
        all
    }

    /// The amount of one of [`Amounts::others`]; 0 where absent.
    pub fn other(&self, name: &str) -> i64 {
        self.others.iter().find(|(other, _)| &**other == name).map_or(0, |(_, amount)| *amount)
    }

    pub fn add(&mut self, more: &Amounts) {
        self.change(more, 1);
    }

    pub fn subtract(&mut self, less: &Amounts) {
        self.change(less, -1);
    }

    fn change(&mut self, by: &Amounts, sign: i64) {
        self.milli_cpu += sign * by.milli_cpu;
        self.memory += sign * by.memory;
        self.ephemeral_storage += sign * by.ephemeral_storage;
        for (name, amount) in &by.others {
            match self.others.iter_mut().find(|(other, _)| other == name) {
                Some((_, present)) => *present += sign * amount,
                None => {
                    self.others.push((name.clone(), sign * amount));
                    self.others.sort();
                }
            }
        }
        self.others.retain(|(_, amount)| *amount != 0);
    }

    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// Whether any resource is less than in `before`.
    pub fn is_less_anywhere(&self, before: &Amounts) -> bool {
        self.milli_cpu < before.milli_cpu
            || self.memory < before.memory
            || self.ephemeral_storage < before.ephemeral_storage
            || before.others.iter().any(|(name, amount)| self.other(name) < *amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(texts: &[(&str, &str)]) -> Amounts {
        let texts: std::collections::BTreeMap<String, Text> =
            texts.iter().map(|(name, text)| ((*name).into(), Text((*text).into()))).collect();
        Amounts::read(&texts)
    }

    #[test]
    fn quantities_become_whole_numbers() {
        let read = amounts(&[
            ("cpu", "1500m"),
            ("memory", "1Gi"),
            ("ephemeral-storage", "1k"),
            ("x/gpu", "2"),
            ("pods", "9"),
        ]);
        assert_eq!((read.milli_cpu, read.memory, read.ephemeral_storage), (1500, 1 << 30, 1000));
        assert_eq!(read.others, [(Arc::from("x/gpu"), 2)]);
    }

    #[test]
    fn adding_and_subtracting_leave_nothing_behind() {
        let mut sum = amounts(&[("cpu", "1")]);
        let more = amounts(&[("cpu", "1"), ("x/gpu", "2"), ("a/b", "1")]);
        sum.add(&more);
        assert_eq!((sum.milli_cpu, sum.other("x/gpu"), sum.other("a/b")), (2000, 2, 1));
        assert!(amounts(&[("cpu", "1")]).is_less_anywhere(&sum));
        sum.subtract(&more);
        assert_eq!(sum, amounts(&[("cpu", "1")]));
    }
}
