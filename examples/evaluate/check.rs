//! What a run file says to whether it can be done: names that are there, numbers in their range, files and keys
//! that exist.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use imagerag::critic::Query;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::local;
use crate::metric_table::MetricTable;
use crate::run_file::{RunFile, SystemTable};

/// What is wrong, and where: the keys and numbers that lead there, such as `systems`, `2`, `width`.
pub(crate) struct Fault {
    at: Vec<String>,
    why: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Fault {
    /// The line of `text`, which is TOML.
    pub(crate) fn line(&self, text: &str) -> Option<usize> {
        let root = DeTable::parse(text).ok()?;
        let (first, rest) = self.at.split_first()?;
        let (mut span, mut value) = entry(root.get_ref(), first)?;
        for step in rest {
            let (at, next) = match value.get_ref() {
                DeValue::Table(table) => match entry(table, step) {
                    Some(found) => found,
                    None => break,
                },
                DeValue::Array(array) => {
                    let one = array.get(step.parse::<usize>().ok()?)?;
                    (one.span(), one.clone())
                }
                _ => break,
            };
            (span, value) = (at, next);
        }
        Some(text[..span.start].matches('\n').count() + 1)
    }
}

/// Where the key `name` of `table` stands, and its value.
fn entry<'a>(
    table: &DeTable<'a>,
    name: &str,
) -> Option<(std::ops::Range<usize>, Spanned<DeValue<'a>>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    Some((key.span(), value.clone()))
}

/// The fault `why` at `steps`.
fn fault<T>(steps: &[&str], why: String) -> Result<T, Fault> {
    Err(Fault { at: steps.iter().map(|&step| step.to_owned()).collect(), why })
}

fn require(is_valid: bool, steps: &[&str], why: impl FnOnce() -> String) -> Result<(), Fault> {
    if is_valid { Ok(()) } else { fault(steps, why()) }
}

impl RunFile {
    /// That every name that is used is there, and every number in its range.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        self.check_top()?;
        self.check_datasets()?;
        self.check_parts()?;
        for (at, system) in self.systems.iter().enumerate() {
            self.check_system(&at.to_string(), system)?;
        }
        self.check_rows()
    }

    fn check_top(&self) -> Result<(), Fault> {
        if let Some(seeds) = &self.seeds {
            require(self.per_class.is_none(), &["per_class"], || {
                "per_class: expected it or seeds, found both".to_owned()
            })?;
            let is_set =
                !seeds.is_empty() && seeds.iter().collect::<HashSet<_>>().len() == seeds.len();
            require(is_set, &["seeds"], || {
                format!("seeds: expected at least one, and each once, found {seeds:?}")
            })?;
        }
        require(self.per_class != Some(0), &["per_class"], || at_least_1("per_class", 0))?;
        require(self.concurrency > 0, &["concurrency"], || at_least_1("concurrency", 0))?;
        for (name, result) in local::check(&self.device, &self.dtype) {
            if let Err(error) = result {
                return fault(&[name], error);
            }
        }
        Ok(())
    }

    fn check_datasets(&self) -> Result<(), Fault> {
        for (at, set) in self.datasets.iter().enumerate() {
            let (at, name) = (at.to_string(), &set.name);
            if set.first.is_some() && set.sample.is_some() {
                let why = format!("sample of data set {name}: expected it or first, found both");
                return fault(&["datasets", &at, "sample"], why);
            }
            let places = set.prompt.as_deref().map_or(1, |prompt| prompt.matches("{}").count());
            require(places == 1, &["datasets", &at, "prompt"], || {
                format!("prompt of data set {name}: expected one {{}} for the name, found {places}")
            })?;
        }
        Ok(())
    }

    fn check_parts(&self) -> Result<(), Fault> {
        if let Some(name) = self.services.keys().find(|name| self.models.contains_key(*name)) {
            let why = format!("services.{name}: expected another name than a model's");
            return fault(&["services", name], why);
        }
        #[cfg(feature = "tch")]
        for (name, model) in &self.models {
            let checked = model.check(false).and_then(|()| model.check_values());
            if let Err(error) = checked {
                let (field, why) = local::field(&error);
                return fault(&["models", name, &field], format!("models.{name}.{field}: {why}"));
            }
        }
        for (name, service) in &self.services {
            require(service.capacity > 0, &["services", name, "capacity"], || {
                at_least_1(&format!("services.{name}.capacity"), 0)
            })?;
        }
        let services = self.services.iter().map(|(name, one)| ("services", name, one.timeout));
        let vlms = self.vlms.iter().map(|(name, one)| ("vlms", name, one.timeout));
        for (table, name, timeout) in services.chain(vlms) {
            let seconds = timeout.unwrap_or(1.0);
            let is_valid = seconds > 0.0 && seconds <= LONGEST;
            require(is_valid, &[table, name, "timeout"], || {
                format!("{table}.{name}.timeout: expected seconds above 0, found {seconds}")
            })?;
        }
        for (name, gallery) in &self.galleries {
            let what = format!("embedder of galleries.{name}");
            let steps = ["galleries", name, "embedder"];
            known(&steps, &what, &gallery.embedder, self.embedders.keys().collect())?;
        }
        for (at, metric) in self.metrics.iter().enumerate() {
            if let MetricTable::Judge { vlm, .. } | MetricTable::VqaScore { vlm, .. } = metric {
                let steps = ["metrics", &at.to_string(), "vlm"];
                known(&steps, "vlm of a metric", vlm, self.vlms.keys().collect())?;
            }
        }
        Ok(())
    }

    fn check_system(&self, at: &str, system: &SystemTable) -> Result<(), Fault> {
        let of = |what: &str| format!("{what} of system {}", system.name);
        let sets: Vec<&String> = self.datasets.iter().map(|dataset| &dataset.name).collect();
        let systems: Vec<&String> = self.systems.iter().map(|system| &system.name).collect();
        let generators = self.models.keys().chain(self.services.keys()).collect();
        known(&["systems", at, "model"], &of("model"), &system.model, generators)?;
        for (what, name, all) in [
            ("vlm", &system.vlm, self.vlms.keys().collect()),
            ("gallery", &system.gallery, self.galleries.keys().collect()),
            ("fused_with", &system.fused_with, self.galleries.keys().collect()),
            ("base", &system.base, systems),
        ] {
            if let Some(name) = name {
                known(&["systems", at, what], &of(what), name, all)?;
            }
        }
        require(
            system.on.as_ref().is_none_or(|on| !on.is_empty()),
            &["systems", at, "on"],
            || format!("{}: expected at least one data set, found none", of("on")),
        )?;
        for set in system.on.iter().flatten() {
            known(&["systems", at, "on"], &of("data sets"), set, sets.clone())?;
        }
        require(
            system.width.is_some() == system.height.is_some(),
            &["systems", at, "width"],
            || format!("{}: expected width and height, found one", of("width")),
        )?;
        for (field, number) in [
            ("width", system.width.map(|pixels| pixels as usize)),
            ("height", system.height.map(|pixels| pixels as usize)),
            ("steps", system.steps),
            ("candidates", Some(system.candidates)),
        ] {
            require(number != Some(0), &["systems", at, field], || at_least_1(&of(field), 0))?;
        }
        let scale = system.guidance_scale.unwrap_or(1.0);
        require(scale.is_finite(), &["systems", at, "guidance_scale"], || {
            format!("{}: expected a finite number, found {scale}", of("guidance_scale"))
        })?;
        let needs = [system.gallery.is_some(), system.rerank.is_some(), system.verify];
        let has_none = system.vlm.is_none() && system.config.query != Query::Prompt;
        require(!has_none || !needs.contains(&true), &["systems", at], || {
            format!("system {}: a pipeline needs a vlm, found none", system.name)
        })?;
        require(system.rerank.is_none() || system.vlm.is_some(), &["systems", at, "rerank"], || {
            format!("{}: expected a vlm too, found none", of("rerank"))
        })
    }

    /// That a system is one row, and no base of its own.
    fn check_rows(&self) -> Result<(), Fault> {
        let mut rows = HashSet::new();
        for (at, system) in self.systems.iter().enumerate() {
            let is_on =
                |set: &str| system.on.as_ref().is_none_or(|on| on.iter().any(|one| one == set));
            for set in self.datasets.iter().filter(|set| is_on(&set.name)) {
                require(
                    rows.insert((&system.name, &set.name)),
                    &["systems", &at.to_string()],
                    || {
                        let (system, set) = (&system.name, &set.name);
                        format!(
                            "name of system {system}: expected each once, found it on {set} again"
                        )
                    },
                )?;
            }
        }
        for (at, system) in self.systems.iter().enumerate() {
            let (mut above, mut next) = (vec![system.name.as_str()], system.base.as_deref());
            while let Some(base) = next {
                above.push(base);
                require(base != system.name, &["systems", &at.to_string(), "base"], || {
                    let found = above.join(" over ");
                    format!("base of system {}: expected no circle, found {found}", system.name)
                })?;
                if above.len() > self.systems.len() + 1 {
                    break; // A circle further below is told of one of its own.
                }
                let below = self.systems.iter().find(|other| other.name == base);
                next = below.and_then(|below| below.base.as_deref());
            }
        }
        Ok(())
    }

    /// That what the file names is there, before anything is drawn: models, galleries, keys, prices. Returns
    /// what somebody should know.
    ///
    /// # Errors
    /// The field and what it lacks.
    pub(crate) fn check_setup(&self) -> Result<Vec<String>, String> {
        #[cfg(feature = "tch")]
        for (name, model) in &self.models {
            for (field, place) in model.places() {
                let found = crate::place::check(&self.place(place));
                found.map_err(|error| format!("models.{name}.{field}: {error}"))?;
            }
        }
        #[cfg(feature = "tch")]
        for (name, embedder) in self.embedders.iter().filter(|(_, one)| one.api.is_none()) {
            let found = crate::place::check(&self.place(&embedder.model));
            found.map_err(|error| format!("embedders.{name}.model: {error}"))?;
        }
        for (name, gallery) in &self.galleries {
            let folder = self.path(&gallery.folder);
            if gallery.images.is_none() && !folder.exists() {
                let folder = folder.display();
                return Err(format!(
                    "galleries.{name}.folder: expected a gallery, found no {folder}"
                ));
            }
        }
        let mut parts = BTreeSet::new();
        for (name, vlm) in &self.vlms {
            let built = vlm.build().map_err(|error| format!("vlms.{name}: {error}"))?;
            parts.insert(built.to_string());
        }
        for (name, service) in &self.services {
            let built = service.build().map_err(|error| format!("services.{name}: {error}"))?;
            parts.insert(built.0.to_string());
        }
        self.check_prices(&parts)
    }

    /// That prices are those of `parts`, and all of them where money is bounded.
    fn check_prices(&self, parts: &BTreeSet<String>) -> Result<Vec<String>, String> {
        let all = || parts.iter().cloned().collect::<Vec<_>>().join(", ");
        let unknown: Vec<_> =
            self.prices.keys().filter(|name| !parts.contains(*name)).cloned().collect();
        let free: Vec<_> =
            parts.iter().filter(|part| !self.prices.contains_key(*part)).cloned().collect();
        let mut notes = Vec::new();
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            notes.push(format!(
                "prices: nothing is called {unknown}; what can have a price is {}",
                all()
            ));
        }
        let bounded = self.budget.money.is_some();
        if !free.is_empty() && (bounded || !self.prices.is_empty()) {
            let free = free.join(", ");
            notes.push(format!("no price is given for {free}: it counts as free"));
        }
        if bounded && !free.is_empty() {
            let needs = "budget.money: expected a price for everything that may cost something (0 where it is free)";
            return Err(format!("{needs}, found this: {}", notes.join("; ")));
        }
        Ok(notes)
    }
}

/// Seconds of the longest time-out: a day.
const LONGEST: f64 = 86_400.0;

fn at_least_1(what: &str, found: usize) -> String {
    format!("{what}: expected at least 1, found {found}")
}

fn known(steps: &[&str], what: &str, name: &String, all: Vec<&String>) -> Result<(), Fault> {
    if all.contains(&name) {
        return Ok(());
    }
    let all: Vec<_> = all.into_iter().map(String::as_str).collect();
    let all = if all.is_empty() { "a name (there is none)".to_owned() } else { all.join(", ") };
    fault(steps, format!("{what}: expected one of {all}, found {name}"))
}
