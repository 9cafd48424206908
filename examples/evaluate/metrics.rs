//! Columns of a run file to metrics.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use imagerag::evaluation::metric::{
    ImageSimilarity, Judge, Metric, Rubric, TextSimilarity, VqaScore,
};

use crate::local;
use crate::metric_table::{MetricTable, NearDuplicates, RubricName};
use crate::run_file::RunFile;

/// Every metric of `file`, its models loaded.
pub(crate) fn metrics(file: &RunFile) -> Result<Vec<Arc<dyn Metric>>, Box<dyn Error>> {
    let metric = |(at, table): (usize, &MetricTable)| {
        metric(table, file).map_err(|error: Box<dyn Error>| {
            format!("metrics, number {}: {}", at + 1, imagerag::Chain::new(&*error)).into()
        })
    };
    file.metrics.iter().enumerate().map(metric).collect()
}

fn metric(table: &MetricTable, file: &RunFile) -> Result<Arc<dyn Metric>, Box<dyn Error>> {
    match table {
        MetricTable::TextSimilarity { name, model, formula, text, prefix, decimals } => {
            let model = file.place(model);
            let metric = TextSimilarity::new(name, local::embedder(&model, file)?)
                .with_formula(*formula)
                .with_text(*text)
                .with_prefix(prefix)
                .with_preprocessing(local::arithmetic(file))
                .with_weights(local::weights(&model)?);
            Ok(Arc::new(
                decimals.iter().fold(metric, |metric, decimals| metric.with_decimals(*decimals)),
            ))
        }
        MetricTable::ImageSimilarity {
            name,
            model,
            preprocessing,
            reduction,
            at_most,
            seed,
            near_duplicates,
            decimals,
        } => {
            let model = file.place(model);
            let embedder = local::image_embedder(&model, *preprocessing, file)?;
            let metric = ImageSimilarity::new(name, embedder)
                .with_reduction(*reduction)
                .with_preprocessing(format!(
                    "{}, {}",
                    preprocessing.name(),
                    local::arithmetic(file)
                ))
                .with_weights(local::weights(&model)?);
            let metric = match near_duplicates {
                NearDuplicates::From(cosine) => metric.with_near_duplicates(Some(*cosine))?,
                NearDuplicates::LeftOut(true) => metric,
                NearDuplicates::LeftOut(false) => metric.with_near_duplicates(None)?,
            };
            let metric =
                at_most.iter().fold(metric, |metric, most| metric.with_at_most(*most, *seed));
            Ok(Arc::new(
                decimals.iter().fold(metric, |metric, decimals| metric.with_decimals(*decimals)),
            ))
        }
        MetricTable::Judge { vlm, rubric, criteria, runs } => {
            let mut rubric = match criteria {
                Some(path) => own_rubric(&file.path(path))?,
                None => rubric.rubric(),
            };
            if let Some(runs) = runs {
                rubric = rubric.with_runs(*runs);
            }
            Ok(Arc::new(Judge::new(file.vlms[vlm].build()?, rubric)?))
        }
        MetricTable::VqaScore { vlm, replies } => {
            let vlm = file.vlms[vlm].build()?;
            Ok(match replies {
                Some(replies) => Arc::new(VqaScore::sampled(vlm, *replies)?),
                None => Arc::new(VqaScore::new(vlm)),
            })
        }
    }
}

impl RubricName {
    fn rubric(self) -> Rubric {
        match self {
            Self::GptScore => Rubric::gpt_score(),
            Self::Preservation => Rubric::preservation(),
            Self::KScore => Rubric::k_score(),
            Self::FactIp => Rubric::fact_ip(),
            Self::VieScore => Rubric::vie_score(),
            Self::Wise => Rubric::wise(),
        }
    }
}

fn own_rubric(path: &Path) -> Result<Rubric, Box<dyn Error>> {
    let failed = |error: &dyn std::fmt::Display| format!("criteria {}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    match is_json {
        true => serde_json::from_str(&text).map_err(|error| failed(&error).into()),
        false => toml::from_str(&text).map_err(|error| failed(&error).into()),
    }
}
