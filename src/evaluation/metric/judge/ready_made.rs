//! Rubrics of published benchmarks. The words are this crate's own; formulas and scales are the source's.

use super::{Combine, Criterion, Rubric, Scale};

/// The levels of DreamBench++, from 0 to 4.
const LEVELS: &str = "\
0 (very poor): nothing of it holds.
1 (poor): little holds, and the most important part does not.
2 (fair): some holds, with clear mistakes or gaps.
3 (good): most holds, with small mistakes.
4 (excellent): all of it holds.";

impl Rubric {
    /// GPTScore: prompt following after DreamBench++ (Peng et al. 2025), which the paper reports in table 1.
    /// A whole number from 0 to 4 divided by 4, at temperature 1; the paper of DreamBench++ takes the mean
    /// of three runs, see [`with_runs`](Self::with_runs).
    pub fn gpt_score() -> Self {
        let description = format!(
            "how well the image follows the text. Consider relevance (the image is about what the text \
             is about), accuracy (objects, attributes, actions and numbers are as the text gives them), \
             completeness (nothing that the text asks for is missing) and context (place, setting and \
             relations fit the text). How beautiful the image is does not count.\n{LEVELS}"
        );
        let task =
            "You rate how well a generated image follows the text that it was generated from.";
        let criteria = [Criterion::new("score", description)];
        let rubric = Self::new("GPTScore", task, criteria);
        Self { scale: Scale::whole(0, 4), temperature: 1.0, ..rubric }
    }

    /// Concept preservation after DreamBench++: how much the picture's subject is that of one real image. A
    /// whole number from 0 to 4 divided by 4, at temperature 1. It is strict, since only a subject that is
    /// all but identical gets 4, and so not comparable with [`gpt_score`](Self::gpt_score).
    pub fn preservation() -> Self {
        let description = format!(
            "how much the subject of the generated image is the one that the real image shows. Consider \
             shape (outline and parts), colour (hues and where they are), texture (surface and pattern) \
             and, where there is a face, its features. Background, pose and style do not count.\n{LEVELS}"
        );
        let task = "You rate how well a generated image keeps the subject of a real image.";
        let rubric =
            Self::new("GPTScore preservation", task, [Criterion::new("score", description)]);
        let (scale, temperature) = (Scale::whole(0, 4), 1.0);
        Self { scale, temperature, references: 1, shows_prompt: false, ..rubric }
    }

    /// K-Score of KnowGen (Gen-Searcher): 0.1 faithfulness + 0.4 visual correctness + 0.4 text accuracy +
    /// 0.1 aesthetics, each 0, 0.5 or 1, at temperature 0 with one real image. The benchmark's number is the
    /// mean of the means of its two groups, science and knowledge, and pop culture and news.
    pub fn k_score() -> Self {
        let criteria = [
            Criterion::new("faithfulness", "the image shows what the text asks for").with_weight(0.1),
            Criterion::new(
                "visual_correctness",
                "people, things and places look as they really do, as far as the real image and what \
                 you know tell",
            )
            .with_weight(0.4),
            Criterion::new(
                "text_accuracy",
                "writing in the image says what the text asks for, without mistakes; 0.5 where the text \
                 asks for no writing",
            )
            .with_weight(0.4)
            .with_not_applicable(0.5),
            Criterion::new("aesthetics", "the image is well composed and free of faults").with_weight(0.1),
        ];
        let task = "You rate an image that was generated from a text about things of the real world. \
                    0 is wrong or missing, 0.5 is partly right, 1 is right.";
        let scale = Scale { min: 0.0, max: 1.0, step: Some(0.5) };
        Self { scale, references: 1, ..Self::new("K-Score", task, criteria) }
    }

    /// The overall score of FactIP (Unify-Agent), in [0, 100]: 0.05 clarity + 0.10 content + 0.10 aesthetics
    /// + 0.75 identity, each from 0 to 10, times 10, with two real images.
    pub fn fact_ip() -> Self {
        let criteria = [
            Criterion::new("clarity", "the image is sharp and free of artefacts").with_weight(0.05),
            Criterion::new("content", "the image shows what the text asks for").with_weight(0.10),
            Criterion::new("aesthetics", "composition, colours and light are pleasing")
                .with_weight(0.10),
            Criterion::new(
                "identity",
                "the subject is the one of the real images: its face or form, colours and marks",
            )
            .with_weight(0.75),
        ];
        let task = "You rate an image that was generated to show a well-known subject.";
        let scale = Scale { min: 0.0, max: 10.0, step: None };
        Self { scale, best: 100.0, references: 2, ..Self::new("FactIP", task, criteria) }
    }

    /// VIEScore, in [0, 10]: the square root of semantic consistency times perceptual quality, each from 0
    /// to 10.
    pub fn vie_score() -> Self {
        let criteria = [
            Criterion::new("semantic_consistency", "the image shows all that the text asks for"),
            Criterion::new("perceptual_quality", "the image looks natural and free of artefacts"),
        ];
        let task = "You rate an image that was generated from a text.";
        let scale = Scale { min: 0.0, max: 10.0, step: None };
        let combine = Combine::GeometricMean;
        Self { scale, combine, best: 10.0, ..Self::new("VIEScore", task, criteria) }
    }

    /// The WiScore of WISE, in [0, 1]: 0.7 consistency + 0.2 realism + 0.1 aesthetics, each 0, 1 or 2,
    /// divided by 2.
    pub fn wise() -> Self {
        let criteria = [
            Criterion::new(
                "consistency",
                "the image shows what the text means, which may have to be inferred",
            )
            .with_weight(0.7),
            Criterion::new("realism", "materials, light and proportions are plausible")
                .with_weight(0.2),
            Criterion::new("aesthetics", "composition and colours are pleasing").with_weight(0.1),
        ];
        let task = "You rate an image that was generated from a text that takes knowledge of the world. \
                    0 is rejected, 1 is acceptable, 2 is excellent.";
        Self { scale: Scale::whole(0, 2), ..Self::new("WiScore", task, criteria) }
    }
}
