//! What a run leaves behind: the report, the figures as JSON, and pictures.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};

use crate::{gateway::Measured, options::Scenario};

pub struct Results {
    report: String,
    head: String,
    date: String,
    data: Map<String, Value>,
    pictures: Vec<(String, String)>,
}

impl Results {
    pub fn new(head: String, date: String) -> Self {
        Self { report: head.clone(), head, date, data: Map::new(), pictures: Vec::new() }
    }

    /// Takes what was measured; gives it back as Markdown.
    pub fn add(&mut self, scenario: Scenario, measured: Measured, others: f64) -> String {
        let text: String = measured.sections.iter().map(|section| section.markdown()).collect();
        self.report.push_str(&text);
        let name = format!("{scenario:?}").to_lowercase();
        self.data.insert(name, json!({ "others_percent": others, "figures": measured.data }));
        self.pictures.extend(measured.pictures);
        text
    }

    /// Writes `path` and, beside it, the same name with other endings.
    pub fn write(self, path: &Path) -> anyhow::Result<()> {
        let machine: Vec<&str> = self.head.lines().filter_map(|l| l.strip_prefix("- ")).collect();
        let json = json!({ "date": self.date, "machine": machine, "scenarios": self.data });
        fs::write(path.with_extension("json"), serde_json::to_string_pretty(&json)?)?;
        let mut report = self.report;
        for (name, picture) in self.pictures {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let file = format!("{stem}-{name}.svg");
            fs::write(path.with_file_name(&file), picture)?;
            report.push_str(&format!("\n![{name}]({file})\n"));
        }
        Ok(fs::write(path, report)?)
    }
}
