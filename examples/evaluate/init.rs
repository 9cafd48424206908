//! `evaluate init`: the name of one of the paper's experiments to a run file that is ready to fill in.

use std::error::Error;

use clap::Args;

use crate::command::tell;

/// Prints a run file for one of the paper's experiments, ready to fill in; without a name, lists them.
#[derive(Args)]
pub(crate) struct Init {
    /// Which one, such as paper-table-2.
    name: Option<String>,
}

/// Name, what it is, and the run file.
pub(crate) type Recipe = (&'static str, &'static str, &'static str);

macro_rules! recipes {
    ($($name:literal: $what:literal,)*) => {
        /// Every experiment of the paper, in its order.
        pub(crate) const RECIPES: &[Recipe] =
            &[$(($name, $what, include_str!(concat!("recipes/", $name, ".toml")))),*];
    };
}

recipes! {
    "paper-table-1": "GPTScore on ImageNet, iNaturalist and CUB; seven systems",
    "paper-table-2": "CLIP, SigLIP and DINO on the same; eight systems",
    "paper-table-3": "ablations with OmniGen on ImageNet and CUB; figure 15",
    "paper-table-4": "re-ranking and other retrieval on ImageNet and CUB",
    "paper-table-5": "CLIP-T and CLIP-I on Dogs, Flowers and Cars",
    "paper-table-6": "retrieval from LAION or from the set itself: ImageNet and iNaturalist",
    "paper-table-7": "the same on CUB and Aircraft",
    "paper-table-8": "ablations with SDXL on ImageNet and CUB",
    "paper-figure-16": "the size of the retrieval set, on ImageNet and Aircraft",
    "paper-figures-17-19": "diversity: one prompt, several seeds",
    "paper-figure-4": "pictures for the user study",
    "paper-e5": "robustness of vision-language models: what `evaluate robustness` needs",
}

pub(crate) fn init(options: &Init) -> Result<(), Box<dyn Error>> {
    let Some(name) = &options.name else {
        for (name, what, _) in RECIPES {
            tell!("{name:20} {what}");
        }
        tell!("");
        tell!("evaluate init paper-table-2 > run.toml");
        return Ok(());
    };
    let found = RECIPES.iter().find(|(known, _, _)| known == name);
    let (_, _, text) = found.ok_or_else(|| {
        let names: Vec<_> = RECIPES.iter().map(|(name, _, _)| *name).collect();
        format!("recipe: expected one of {}, found {name}", names.join(", "))
    })?;
    print!("{text}");
    Ok(())
}
