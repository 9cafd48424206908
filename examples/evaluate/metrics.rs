//! Columns of a run file to metrics.

use std::error::Error;
use std::sync::Arc;

use imagerag::evaluation::metric::{ImageSimilarity, Metric, TextSimilarity};

use crate::local;
use crate::run_file::{MetricTable, RunFile};

/// Every metric of `file`, its models loaded.
pub(crate) fn metrics(file: &RunFile) -> Result<Vec<Arc<dyn Metric>>, Box<dyn Error>> {
    file.metrics.iter().map(|table| metric(table, file)).collect()
}

fn metric(table: &MetricTable, file: &RunFile) -> Result<Arc<dyn Metric>, Box<dyn Error>> {
    match table {
        MetricTable::TextSimilarity { name, model, formula, text, prefix, decimals } => {
            let model = file.place(model);
            let metric = TextSimilarity::new(name, local::embedder(&model, file)?)
                .with_formula(*formula)
                .with_text(*text)
                .with_prefix(prefix)
                .with_weights(local::weights(&model)?);
            Ok(Arc::new(decimals.into_iter().fold(metric, |metric, decimals| metric.with_decimals(*decimals))))
        }
        MetricTable::ImageSimilarity { name, model, preprocessing, reduction, at_most, seed, decimals } => {
            let model = file.place(model);
            let embedder = local::image_embedder(&model, preprocessing, file)?;
            let metric = ImageSimilarity::new(name, embedder)
                .with_reduction(*reduction)
                .with_preprocessing(preprocessing)
                .with_weights(local::weights(&model)?);
            let metric = at_most.iter().fold(metric, |metric, most| metric.with_at_most(*most, *seed));
            Ok(Arc::new(decimals.into_iter().fold(metric, |metric, decimals| metric.with_decimals(*decimals))))
        }
    }
}
