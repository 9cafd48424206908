//! Pictures to whether the tiny world's classifier sees the species that was asked for.

use std::fmt;
use std::sync::Arc;

use imagerag::evaluation::metric::{Fingerprint, Metric, Outcome, Score, Subject};
use imagerag::{Result, async_trait};

use super::vlm::JudgeVlm;

/// 1 where the classifier, which must choose one of the 24 species, chooses that of the class, else 0.
#[derive(Debug)]
pub(crate) struct Accuracy {
    pub(crate) judge: Arc<JudgeVlm>,
    pub(crate) weights: String,
}

#[async_trait]
impl Metric for Accuracy {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new("share of pictures for which a classifier of 24 species chooses the class")
            .with_model("the tiny world's judge")
            .with_weights(&self.weights)
    }

    async fn score(&self, subjects: &[Subject]) -> Result<Vec<Score>> {
        let score = |subject: &Subject| {
            let Some(class) = &subject.class else {
                return Ok(Outcome::NotApplicable("the prompt has no class".to_owned()).into());
            };
            let sight = self.judge.look(&subject.image)?;
            Ok(Score::value(f64::from(u8::from(sight.forced == class.name))))
        };
        subjects.iter().map(score).collect()
    }
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("accuracy")
    }
}
