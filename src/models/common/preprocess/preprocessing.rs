//! [`Preprocessing`]: whose settings turn pictures into an image encoder's input.

use crate::named::named;

/// Whose settings turn pictures into the input of an image encoder. Written `file` or `official`.
///
/// The two may give different numbers: the settings in `facebook/dino-vits16` squeeze a picture to
/// 224 x 224 pixels with bilinear filtering and scale it to [-1, 1], while DINO's authors resize its
/// shorter side to 256 pixels, cut out the middle, and normalise with ImageNet's statistics. So name the
/// choice beside every number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preprocessing {
    /// The checkpoint's own: `preprocessor_config.json`, or `image_processor` in
    /// `processor_config.json`, read as transformers' image processors over Pillow read it. What a file
    /// leaves out is the default of the class that it names.
    #[default]
    File,
    /// What the authors' programs do to a picture, whatever the files say. All resize with Pillow's
    /// bicubic filter.
    ///
    /// - DINO and DINOv2: shorter side 256, the middle 224 x 224, ImageNet's mean and standard deviation
    ///   (`eval_linear.py` of DINO, `make_classification_eval_transform` of DINOv2).
    /// - CLIP: shorter side and middle are the checkpoint's `image_size`, with OpenAI's statistics
    ///   (`_transform` in `clip.py`).
    /// - SigLIP: both sides are the checkpoint's `image_size`, mean and standard deviation 0.5
    ///   (OpenCLIP's settings for these weights; the authors' program is made for TPUs).
    ///
    /// The middle is torchvision's `CenterCrop`, which rounds a margin of half a pixel to the even number,
    /// where transformers rounds it down.
    Official,
}

named!(Preprocessing, "preprocessing", { File: "file", Official: "official" });
