//! The default questions. Those from the paper are word for word those of its appendix C, with straight
//! quotation marks.

use super::Questions;

impl Default for Questions {
    fn default() -> Self {
        Self {
            decision: "Does this image match the prompt \"{prompt}\"? Consider both content and \
                       style aspects. Only answer yes or no."
                .into(),
            decision_over_reference: "Does the second image match the instruction \"{prompt}\" \
                                      applied over the first one? Consider both content and style \
                                      aspects. Only answer yes or no."
                .into(),
            decision_over_references: "Does the last image match the instruction \"{prompt}\" \
                                       applied over the first {count} images? Consider both content \
                                       and style aspects. Only answer yes or no."
                .into(),
            missing_concepts: MISSING_CONCEPTS.into(),
            captions: CAPTIONS.into(),
            all_concepts: ALL_CONCEPTS.into(),
            rephrase: REPHRASE.into(),
            edits: EDITS.into(),
            own_image: "{caption} (image {number})".into(),
            verification: "Does this image show \"{concept}\"? Only answer yes or no.".into(),
            rerank: RERANK.into(),
            description: DESCRIPTION.into(),
            yes: vec!["yes".into()],
            no: vec!["no".into()],
            none: Vec::new(),
            refusals: Vec::new(),
        }
    }
}

const MISSING_CONCEPTS: &str = "What are the differences between this image and the \
required prompt? In your answer only provide missing concepts in terms of content and style, each \
in a separate line. For example, if the prompt is \"An oil painting of a sheep and a car\" and the \
image is a painting of a car but not an oil painting, the missing concepts will be:
oil painting style
a sheep";

const CAPTIONS: &str = "For each concept you suggested above, please suggest an image \
caption describing an image that explains this concept only. The captions should be stand-alone \
description of the images, assuming no knowledge of the given images and prompt, that I can use to \
lookup images with automatically. In your answer only provide the image captions, each in a new \
line with nothing else other than the caption.";

const ALL_CONCEPTS: &str = "Which visual concepts must an image generation model know to draw the \
prompt \"{prompt}\"? Name the objects that should appear and the style, the rarest first. For \
example, for the prompt \"An oil painting of a sheep and a car\" they are:
a sheep
a car
oil painting style
In your answer only provide the concepts, each in a separate line.";

const REPHRASE: &str = "Please rephrase the following prompt to make it easier and clearer for the \
text-to-image generation model that generated the above image for this prompt. The goal is to \
generate an image that matches the given text prompt. If the prompt is already clear, return it as \
it is. Simplify and shorten long descriptions of known objects/entities but DO NOT change the \
original meaning of the text prompt. If the prompt contains rare words, change those words to a \
description of their meaning. In your answer only provide the prompt and nothing else. The prompt \
to be rephrased: \"{prompt}\".";

const EDITS: &str = "This image was generated for the prompt \"{prompt}\". Compare it with the prompt, \
object by object: are they all there, as many, in the right places, with the right attributes? Then \
list the edits that would make the image match. Each is one short instruction to an image editing \
model, which sees the image but not the prompt, and changes one thing only. For example, if the prompt \
is \"A dog in a red hat beside two cats\" and the image is of a dog without a hat beside one cat, the \
edits will be:
Put a red hat on the dog.
Add a second cat beside the first one.
In your answer only provide the edits, at most {count}, each in a separate line, in the order in which \
they should be made. If the image already matches the prompt, only answer none.";

const RERANK: &str = "Which of these {count} images is the most similar to the description \
\"{caption}\"? The first image has the index 0, the last one the index {last}. In your answer only \
provide the indices of all images, the most similar one first, with a comma between them.";

const DESCRIPTION: &str = "Please describe this image in one sentence that I can use to \
lookup the image with automatically: name what it shows as specifically as you can, and its style. \
In your answer only provide the sentence.";
