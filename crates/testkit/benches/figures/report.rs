//! The table of figures.

use std::path::Path;

use serde_json::{Value, json};

#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    value: f64,
    unit: &'static str,
    /// What SPECIFICATION.md promises.
    wanted: Option<f64>,
    /// What Kubernetes v1.37.2 took on a machine of this kind.
    kubernetes: Option<f64>,
}

impl Report {
    pub fn add(
        &mut self,
        name: &'static str,
        value: f64,
        unit: &'static str,
        wanted: impl Into<Option<f64>>,
        kubernetes: impl Into<Option<f64>>,
    ) {
        let row = Row { name, value, unit, wanted: wanted.into(), kubernetes: kubernetes.into() };
        eprintln!("{name}: {} {unit}", number(value));
        self.rows.push(row);
    }

    pub fn print(&self) {
        println!(
            "{:<52} {:>10} {:<6} {:>10} {:>6} {:>12} {:>8}",
            "figure", "measured", "unit", "wanted", "held", "kubernetes", "ratio"
        );
        for row in &self.rows {
            let optional = |value: Option<f64>| value.map_or("-".into(), number);
            let held = row.wanted.map_or("-", |wanted| if row.value <= wanted { "yes" } else { "NO" });
            let ratio = row.kubernetes.map_or("-".into(), |theirs| format!("{:.1}x", theirs / row.value));
            println!(
                "{:<52} {:>10} {:<6} {:>10} {:>6} {:>12} {:>8}",
                row.name,
                number(row.value),
                row.unit,
                optional(row.wanted),
                held,
                optional(row.kubernetes),
                ratio
            );
        }
    }

    pub fn write(&self, file: &Path) {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name, "measured": row.value, "unit": row.unit,
                    "wanted": row.wanted, "kubernetes": row.kubernetes,
                })
            })
            .collect();
        if let Some(directory) = file.parent() {
            let _ = std::fs::create_dir_all(directory);
        }
        let text = serde_json::to_string_pretty(&rows).expect("a JSON value is always written");
        std::fs::write(file, text + "\n").expect("the report can be written");
        println!("written to {}", file.display());
    }
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// The value below which the fraction `at` of the samples lies.
pub fn percentile(samples: &mut [f64], at: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let place = (samples.len() as f64 * at).ceil() as usize;
    samples[place.clamp(1, samples.len()) - 1]
}
