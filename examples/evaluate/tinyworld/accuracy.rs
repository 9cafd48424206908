//! Pictures to whether the tiny world's classifier sees the species that was asked for.

use std::fmt;
use std::sync::Arc;

use imagerag::evaluation::metric::{Fingerprint, Metric, Outcome, Score, Subject};
use imagerag::{Result, async_trait};

use super::vlm::JudgeVlm;

/// 1 where the classifier names the species of the class, 0 where it names another or none.
#[derive(Debug)]
pub(crate) struct Accuracy {
    pub(crate) judge: Arc<JudgeVlm>,
    pub(crate) weights: String,
}

#[async_trait]
impl Metric for Accuracy {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new("share of pictures in which the classifier names the class")
            .with_model("the tiny world's judge")
            .with_weights(&self.weights)
    }

    async fn score(&self, subjects: &[Subject]) -> Result<Vec<Score>> {
        let score = |subject: &Subject| {
            let Some(class) = &subject.class else {
                return Ok(Outcome::NotApplicable("the prompt has no class".to_owned()).into());
            };
            let sight = self.judge.look(&subject.image)?;
            Ok(Score::value(f64::from(u8::from(sight.strict == class.name))))
        };
        subjects.iter().map(score).collect()
    }
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("accuracy")
    }
}
