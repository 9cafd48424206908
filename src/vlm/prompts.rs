//! Every sentence that is sent to a VLM. Those of the paper are word for word those of its
//! appendix C, with straight quotation marks.

/// Decision (appendix C): does the draft match the prompt?
pub(crate) fn decision(prompt: &str) -> String {
    format!(
        "Does this image match the prompt \"{prompt}\"? Consider both content and style aspects. \
         Only answer yes or no."
    )
}

/// Decision where the prompt is an instruction about the caller's own images, which come first
/// (appendix E.2). The paper prints no words for it.
pub(crate) fn decision_over_references(prompt: &str, references: usize) -> String {
    let (image, others) = match references {
        1 => ("second image", "the first one".to_owned()),
        n => ("last image", format!("the first {n} images")),
    };
    format!(
        "Does the {image} match the instruction \"{prompt}\" applied over {others}? Consider both \
         content and style aspects. Only answer yes or no."
    )
}

/// Missing concepts identification (appendix C), asked after a decision of "no".
pub(crate) const MISSING_CONCEPTS: &str = "What are the differences between this image and the \
required prompt? In your answer only provide missing concepts in terms of content and style, each \
in a separate line. For example, if the prompt is \"An oil painting of a sheep and a car\" and the \
image is a painting of a car but not an oil painting, the missing concepts will be:
oil painting style
a sheep";

/// Caption generation (appendix C), asked after the concepts.
pub(crate) const CAPTIONS: &str = "For each concept you suggested above, please suggest an image \
caption describing an image that explains this concept only. The captions should be stand-alone \
description of the images, assuming no knowledge of the given images and prompt, that I can use to \
lookup images with automatically. In your answer only provide the image captions, each in a new \
line with nothing else other than the caption.";

/// Every concept that a prompt needs, asked without an image. The paper's release has such a mode;
/// the paper prints no words for it.
pub(crate) fn all_concepts(prompt: &str) -> String {
    format!(
        "Which visual concepts must an image generation model know to draw the prompt \
         \"{prompt}\"? Name the objects that should appear and the style, the rarest first. For \
         example, for the prompt \"An oil painting of a sheep and a car\" they are:\n\
         a sheep\na car\noil painting style\n\
         In your answer only provide the concepts, each in a separate line."
    )
}

/// Rephrase request (appendix C): the ablation without references, asked about a draft.
pub(crate) fn rephrase(prompt: &str) -> String {
    format!(
        "Please rephrase the following prompt to make it easier and clearer for the text-to-image \
         generation model that generated the above image for this prompt. The goal is to generate \
         an image that matches the given text prompt. If the prompt is already clear, return it as \
         it is. Simplify and shorten long descriptions of known objects/entities but DO NOT change \
         the original meaning of the text prompt. If the prompt contains rare words, change those \
         words to a description of their meaning. In your answer only provide the prompt and \
         nothing else. The prompt to be rephrased: \"{prompt}\"."
    )
}

/// Verification of a reference before it is used: the paper's limitations ask for it, it prints no
/// words.
pub(crate) fn verification(concept: &str) -> String {
    format!("Does this image show \"{concept}\"? Only answer yes or no.")
}

/// Re-ranking by a VLM that sees the candidates (table 4). The paper prints no words for it; these
/// ask for all of `candidates`, at least 2, in place of the best few.
pub(crate) fn rerank(caption: &str, candidates: usize) -> String {
    format!(
        "Which of these {candidates} images is the most similar to the description \"{caption}\"? \
         The first image has the index 0, the last one the index {}. In your answer only provide \
         the indices of all images, the most similar one first, with a comma between them.",
        candidates - 1
    )
}

/// The caption of an image, for retrieval by its words (table 4, BM25). The paper prints no words
/// for it.
pub(crate) const DESCRIPTION: &str = "Please describe this image in one sentence that I can use to \
lookup the image with automatically: name what it shows as specifically as you can, and its style. \
In your answer only provide the sentence.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_words_are_kept() {
        assert_eq!(
            decision("a cat"),
            "Does this image match the prompt \"a cat\"? Consider both content and style aspects. \
             Only answer yes or no."
        );
        assert!(MISSING_CONCEPTS.starts_with("What are the differences between this image and the required prompt? In your answer only provide missing concepts in terms of content and style, each in a separate line. For example,"));
        assert!(
            MISSING_CONCEPTS
                .ends_with("the missing concepts will be:\noil painting style\na sheep")
        );
        assert!(CAPTIONS.starts_with("For each concept you suggested above, please suggest an image caption describing an image that explains this concept only. The captions should be stand-alone description of the images,"));
        assert!(rephrase("a cat").ends_with("The prompt to be rephrased: \"a cat\"."));
    }

    #[test]
    fn names_the_draft_by_its_place_after_the_callers_images() {
        assert!(decision_over_references("p", 1).starts_with("Does the second image match"));
        assert!(decision_over_references("p", 2).contains(
            "the last image match the instruction \"p\" applied over the first 2 images?"
        ));
    }
}
