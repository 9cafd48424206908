//! Names as people write them to the paper's.

use std::collections::BTreeMap;

/// Usual spellings, without case and signs, and the paper's name.
const SPELLINGS: [(&str, &str); 33] = [
    ("pixart", "PixArt-Σ"),
    ("pixartsigma", "PixArt-Σ"),
    ("pixartσ", "PixArt-Σ"),
    ("grape", "GraPE-O"),
    ("graper", "GraPE-O"),
    ("iro", "ImageRAG-O"),
    ("irf", "ImageRAG-F"),
    ("irsd", "ImageRAG-SD"),
    ("imageragomnigen", "ImageRAG-O"),
    ("imageragflux", "ImageRAG-F"),
    ("imageragsdxl", "ImageRAG-SD"),
    ("omnigenimagerag", "ImageRAG-O"),
    ("fluximagerag", "ImageRAG-F"),
    ("sdxlimagerag", "ImageRAG-SD"),
    ("flux1schnell", "FLUX"),
    ("fluxschnell", "FLUX"),
    ("flux1", "FLUX"),
    ("stablediffusionxl", "SDXL"),
    ("omnigenv1", "OmniGen"),
    ("gptrerank", "GPT Re-rank"),
    ("bm25rerank", "BM25 Re-rank"),
    ("imagenet1k", "ImageNet"),
    ("inaturalist2017", "iNaturalist"),
    ("inaturalist2018", "iNaturalist"),
    ("inaturalist2021", "iNaturalist"),
    ("inat", "iNaturalist"),
    ("cub200", "CUB"),
    ("cub2002011", "CUB"),
    ("fgvcaircraft", "Aircraft"),
    ("stanforddogs", "Dogs"),
    ("stanfordcars", "Cars"),
    ("oxfordflowers102", "Flowers"),
    ("flowers102", "Flowers"),
];

/// Endings that say nothing: `CLIP similarity` is `CLIP`.
const ENDINGS: [&str; 3] = ["similarity", "vits16", "cosine"];

/// Whether our name is the paper's: what `given` says for the name as the table has it or for the name
/// alone, and otherwise the name alone.
pub(super) fn same(
    given: &BTreeMap<String, String>,
    [shown, alone]: [&str; 2],
    papers: &str,
) -> bool {
    match given.get(shown).or_else(|| given.get(alone)) {
        Some(name) => bare(name) == bare(papers),
        None => {
            let ours = bare(alone);
            let spelt = SPELLINGS.iter().find(|(spelling, _)| *spelling == ours);
            let spelt = spelt.map_or_else(|| ours.clone(), |(_, name)| bare(name));
            let papers = bare(papers);
            let ends = |ending: &&str| ours.strip_suffix(*ending) == Some(papers.as_str());
            spelt == papers || ENDINGS.iter().any(ends)
        }
    }
}

/// A name without case, spaces and signs.
fn bare(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_matched_and_nothing_else() {
        let none = BTreeMap::new();
        let pairs = [
            ("imagerag-sd", "ImageRAG-SD"),
            ("SDXL + ImageRAG", "ImageRAG-SD"),
            ("PixArt-Sigma", "PixArt-Σ"),
            ("PIXART Σ", "PixArt-Σ"),
            ("FGVC-Aircraft", "Aircraft"),
            ("DINO ViT-S/16", "DINO"),
        ];
        for (ours, papers) in pairs {
            assert!(same(&none, [ours; 2], papers), "{ours} is {papers}");
        }
        // CLIPScore is another formula, and DINOv2 another network.
        let others =
            [("CLIPScore", "CLIP"), ("DINOv2", "DINO"), ("CLIP-T", "CLIP"), ("SDXL", "LAION-SD")];
        for (ours, papers) in others {
            assert!(!same(&none, [ours; 2], papers), "{ours} is not {papers}");
        }
        assert!(SPELLINGS.iter().all(|(spelling, _)| bare(spelling) == *spelling));
    }
}
