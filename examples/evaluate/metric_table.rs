//! `[[metrics]]` of a run file to what it says.

use std::path::PathBuf;

use imagerag::evaluation::metric::{ComparedText, Reduction, TextFormula};
use serde::Deserialize;

/// A column.
#[derive(Clone, Deserialize)]
#[serde(try_from = "Fields")]
pub(crate) enum MetricTable {
    /// Cosine of picture and text.
    TextSimilarity {
        name: String,
        /// A checkpoint of CLIP or SigLIP.
        model: String,
        formula: TextFormula,
        text: ComparedText,
        prefix: String,
        decimals: Option<usize>,
    },
    /// Cosine of picture and real images.
    ImageSimilarity {
        name: String,
        /// A checkpoint of CLIP, SigLIP, DINO or DINOv2.
        model: String,
        preprocessing: Preprocessing,
        reduction: Reduction,
        /// At most so many real images of a class, chosen by `seed`.
        at_most: Option<usize>,
        seed: u64,
        /// The cosine from which a real image counts as a copy of a reference; `false` keeps all that have
        /// other pixels.
        near_duplicates: NearDuplicates,
        decimals: Option<usize>,
    },
    /// A vision-language model that gives marks: DreamBench++'s prompt following by default.
    Judge {
        /// A name of `[vlms]`.
        vlm: String,
        rubric: RubricName,
        /// A TOML or JSON file of criteria of one's own, in place of `rubric`.
        criteria: Option<PathBuf>,
        /// How often it judges each picture.
        runs: Option<usize>,
    },
    /// The probability of "Yes" to whether the picture shows the text.
    VqaScore {
        /// A name of `[vlms]`. Its service must tell log-probabilities, or `replies` be given.
        vlm: String,
        /// The share of "yes" among so many replies, which is another number.
        replies: Option<usize>,
    },
}

/// Which real images are left out of a comparison as copies of references.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(crate) enum NearDuplicates {
    /// Those with a cosine of at least this.
    From(f64),
    /// As usual, or none.
    LeftOut(bool),
}

impl Default for NearDuplicates {
    fn default() -> Self {
        Self::LeftOut(true)
    }
}

/// Rubrics that are ready made.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RubricName {
    #[default]
    GptScore,
    Preservation,
    KScore,
    FactIp,
    VieScore,
    Wise,
}

/// The fields of all kinds. They are read first, so that one that is not known is named with its own line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    kind: Kind,
    name: Option<String>,
    model: Option<String>,
    formula: Option<TextFormula>,
    text: Option<ComparedText>,
    prefix: Option<String>,
    decimals: Option<usize>,
    preprocessing: Option<Preprocessing>,
    reduction: Option<Reduction>,
    at_most: Option<usize>,
    seed: Option<u64>,
    near_duplicates: Option<NearDuplicates>,
    vlm: Option<String>,
    rubric: Option<RubricName>,
    criteria: Option<PathBuf>,
    runs: Option<usize>,
    replies: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    TextSimilarity,
    ImageSimilarity,
    Judge,
    VqaScore,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::TextSimilarity => "text_similarity",
            Self::ImageSimilarity => "image_similarity",
            Self::Judge => "judge",
            Self::VqaScore => "vqa_score",
        }
    }
}

impl Fields {
    /// That each field that is given is one of the kind.
    fn check(&self) -> Result<(), String> {
        use Kind::{ImageSimilarity, Judge, TextSimilarity, VqaScore};
        let similarity = [TextSimilarity, ImageSimilarity];
        let fields: [(&str, bool, &[Kind]); 16] = [
            ("name", self.name.is_some(), &similarity),
            ("model", self.model.is_some(), &similarity),
            ("formula", self.formula.is_some(), &[TextSimilarity]),
            ("text", self.text.is_some(), &[TextSimilarity]),
            ("prefix", self.prefix.is_some(), &[TextSimilarity]),
            ("decimals", self.decimals.is_some(), &similarity),
            ("preprocessing", self.preprocessing.is_some(), &[ImageSimilarity]),
            ("reduction", self.reduction.is_some(), &[ImageSimilarity]),
            ("at_most", self.at_most.is_some(), &[ImageSimilarity]),
            ("seed", self.seed.is_some(), &[ImageSimilarity]),
            ("near_duplicates", self.near_duplicates.is_some(), &[ImageSimilarity]),
            ("vlm", self.vlm.is_some(), &[Judge, VqaScore]),
            ("rubric", self.rubric.is_some(), &[Judge]),
            ("criteria", self.criteria.is_some(), &[Judge]),
            ("runs", self.runs.is_some(), &[Judge]),
            ("replies", self.replies.is_some(), &[VqaScore]),
        ];
        let name = self.kind.name();
        for (field, is_given, kinds) in fields {
            if is_given && !kinds.contains(&self.kind) {
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
                let kinds = kinds.join(" and ");
                return Err(format!("metrics.{field}: a field of {kinds}, and not of {name}"));
            }
        }
        for (field, number) in
            [("at_most", self.at_most), ("runs", self.runs), ("replies", self.replies)]
        {
            if number == Some(0) {
                return Err(format!("metrics.{field} of a {name}: expected at least 1, found 0"));
            }
        }
        if self.rubric.is_some() && self.criteria.is_some() {
            return Err("metrics.criteria: expected it or rubric, found both".to_owned());
        }
        Ok(())
    }
}

impl TryFrom<Fields> for MetricTable {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        fields.check()?;
        let kind = fields.kind.name();
        let needed = |name: &str, value: Option<String>| {
            value.ok_or_else(|| format!("metrics.{name}: {kind} needs it"))
        };
        Ok(match fields.kind {
            Kind::TextSimilarity => Self::TextSimilarity {
                name: needed("name", fields.name)?,
                model: needed("model", fields.model)?,
                formula: fields.formula.unwrap_or_default(),
                text: fields.text.unwrap_or_default(),
                prefix: fields.prefix.unwrap_or_default(),
                decimals: fields.decimals,
            },
            Kind::ImageSimilarity => Self::ImageSimilarity {
                name: needed("name", fields.name)?,
                model: needed("model", fields.model)?,
                preprocessing: fields.preprocessing.unwrap_or_default(),
                reduction: fields.reduction.unwrap_or_default(),
                at_most: fields.at_most,
                seed: fields.seed.unwrap_or_default(),
                near_duplicates: fields.near_duplicates.unwrap_or_default(),
                decimals: fields.decimals,
            },
            Kind::Judge => Self::Judge {
                vlm: needed("vlm", fields.vlm)?,
                rubric: fields.rubric.unwrap_or_default(),
                criteria: fields.criteria,
                runs: fields.runs,
            },
            Kind::VqaScore => {
                Self::VqaScore { vlm: needed("vlm", fields.vlm)?, replies: fields.replies }
            }
        })
    }
}

/// How DINO prepares pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Preprocessing {
    /// As the checkpoint's file says.
    #[default]
    File,
    /// As DreamBooth and DreamBench++ do.
    Official,
}

impl Preprocessing {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Official => "official",
        }
    }
}
