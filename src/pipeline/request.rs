//! [`RagRequest`]: what a caller asks of the pipeline.

use super::{Mode, RagConfig};
use crate::Result;
use crate::conditioner::Marks;
use crate::error::require;
use crate::generator::{GenerateRequest, Progress, setters_of_an_image};
use crate::image::Image;
use crate::reference::{Caption, Provenance, Reference, Source};

/// The longest prompt, in characters: a conditioner adds captions, and a generator takes
/// [`MAX_PROMPT_CHARS`](crate::generator::MAX_PROMPT_CHARS) in all.
const MAX_OWN_CHARS: usize = 8_000;

/// An image to make. `None` leaves a setting to the generator's own default.
///
/// ```
/// use imagerag::RagRequest;
///
/// let request = RagRequest::new("a watercolour of a quetzal").with_seed(7).with_size(1024, 768);
/// ```
///
/// With an image of the caller's own (personalisation), and with settings for this request alone:
/// ```
/// # use imagerag::Image;
/// use imagerag::RagRequest;
/// use imagerag::pipeline::RagConfig;
///
/// # let cat = Image::new(1, 1, [200, 120, 40])?;
/// let request = RagRequest::new("my cat as an astronaut, next to a quetzal")
///     .with_reference(cat, "my cat")
///     .with_negative_prompt("blurry")
///     .with_steps(30)
///     .with_guidance_scale(7.5)
///     .with_previews_every(5)
///     .with_config(RagConfig::default().with_max_rounds(2));
/// assert_eq!(request.references[0].1, "my cat");
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RagRequest {
    /// What the image should show.
    pub prompt: String,
    /// What it should not show.
    pub negative_prompt: Option<String>,
    /// The caller's own images, each with its caption (personalisation, appendix E.2). They count
    /// towards the conditioner's capacity, before retrieved references. Their numbers are 1, 2 and so
    /// on in the order in which they were added, whatever is retrieved later; the prompt may
    /// [name them](Self::with_reference) by these.
    pub references: Vec<(Image, String)>,
    /// An image of the caller's to begin with, in place of a draft.
    pub draft: Option<Image>,
    /// Seed of the draft and of every later image.
    pub seed: u64,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Number of denoising steps of one image, at least 1.
    pub steps: Option<usize>,
    /// Strength of the prompt (classifier-free guidance).
    pub guidance_scale: Option<f64>,
    /// Asks a stream for a preview with every n-th step; 0 asks for none.
    pub preview_every: usize,
    /// Settings of this request in place of the pipeline's.
    pub config: Option<RagConfig>,
}

impl RagRequest {
    /// A request for `prompt` with seed 0 and the generator's defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            negative_prompt: None,
            references: Vec::new(),
            draft: None,
            seed: 0,
            width: None,
            height: None,
            steps: None,
            guidance_scale: None,
            preview_every: 0,
            config: None,
        }
    }

    setters_of_an_image!();

    /// Adds one of the caller's own images; `caption` says what it shows, such as `my cat`.
    ///
    /// A prompt may name it by its number, as `<|image_1|>` or `<img><|image_1|></img>`, or by the
    /// [mark](crate::Generator::image_mark) of the generator, if that has brackets around the number. The
    /// generator is given the mark that it knows; models that judge are told the caption and the number;
    /// and retrieval goes by the caption. Images that the prompt does not name are listed before it, as
    /// retrieved ones are.
    /// A number that no image of the caller's has is refused before any part is asked. Only the prompt
    /// names images: marks in captions, whoever wrote them, are left out.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// use futures::executor::block_on;
    /// use imagerag::RagRequest;
    /// # use imagerag::conditioner::InPrompt;
    /// # use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm, solid};
    ///
    /// # let generator = FakeGenerator::new();
    /// # let pipeline = imagerag::RagPipeline::builder()
    /// #     .generator(generator.clone())
    /// #     .vlm(FakeVlm::new(["no", "a quetzal", "a quetzal"]))
    /// #     .retriever(FakeRetriever::new([("a quetzal", solid(8, 8, [0, 140, 70]))]))
    /// #     .conditioner(InPrompt::default())
    /// #     .build()?;
    /// # let cat = solid(8, 8, [200, 120, 40]);
    /// let request = RagRequest::new("<|image_1|> watches a quetzal").with_reference(cat, "my cat");
    /// block_on(pipeline.run(request))?;
    /// assert_eq!(
    ///     generator.requests()[1].prompt,
    ///     "According to these examples of a quetzal: <img><|image_2|></img>, \
    ///      generate <img><|image_1|></img> watches a quetzal"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_reference(mut self, image: Image, caption: impl Into<String>) -> Self {
        self.references.push((image, caption.into()));
        self
    }

    /// Begins with `image` instead of drawing a draft. With [`Mode::PlanEdit`] or [`Mode::EditDraft`], this
    /// picture is changed until it shows the prompt. With [`Mode::OnDemand`] it is judged, and other images
    /// are drawn for what it is missing; with [`Mode::RephraseOnly`] it is shown to the model that rephrases
    /// the prompt. [`Mode::AllConcepts`] has no draft and refuses one.
    ///
    /// The size of later images does not follow from it: set it with [`with_size`](Self::with_size), or
    /// have a generator that takes it from the first image that its prompt names (OmniGen with
    /// `use_input_image_size_as_output`).
    #[must_use]
    pub fn with_draft(mut self, image: Image) -> Self {
        self.draft = Some(image);
        self
    }

    /// Asks a stream for a preview with every `steps`-th step.
    #[must_use]
    pub const fn with_previews_every(mut self, steps: usize) -> Self {
        self.preview_every = steps;
        self
    }

    /// Has this request made with settings of its own, in place of all those of the pipeline. To
    /// change one of them, begin with the pipeline's:
    ///
    /// ```
    /// # fn retry(pipeline: &imagerag::RagPipeline) -> imagerag::RagRequest {
    /// use imagerag::RagRequest;
    ///
    /// let config = pipeline.config().clone().with_max_rounds(3);
    /// let request = RagRequest::new("a quetzal at dawn").with_config(config);
    /// # request
    /// # }
    /// ```
    #[must_use]
    pub fn with_config(mut self, config: RagConfig) -> Self {
        self.config = Some(config);
        self
    }

    /// Checks what can be checked without a pipeline: the numbers, the length of the prompt, and that the
    /// images that it names are there. The pipeline does so before any part is asked; call it yourself to
    /// find a mistake before models are loaded.
    ///
    /// ```
    /// use imagerag::RagRequest;
    ///
    /// let error = RagRequest::new("<|image_1|> as an astronaut").validate().unwrap_err();
    /// let expected = "images that the prompt names: expected none, because there are no images, \
    ///                 found <|image_1|>";
    /// assert_eq!(error.to_string(), expected);
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) that names the field: a prompt that is empty or
    /// longer than 8,000 characters, a mark of an image that is not there, a caption that says nothing, a
    /// setting out of the range of [`GenerateRequest::validate`] or, in a configuration of its own, of
    /// [`RagConfig::validate`], a draft with [`Mode::AllConcepts`].
    pub fn validate(&self) -> Result<()> {
        let chars = self.prompt.trim().chars().count();
        let (expected, found) =
            (format!("1 to {MAX_OWN_CHARS} characters"), format!("{chars} characters"));
        require((1..=MAX_OWN_CHARS).contains(&chars), "prompt", expected, found)?;
        self.validate_marks(&Marks::new([]))?;
        if let Some(config) = &self.config {
            config.validate()?;
            self.validate_draft(config)?;
        }
        self.generate(&self.prompt, Progress::default()).validate()
    }

    /// Checks that captions say something beside marks, and that the prompt's marks are of images that
    /// are there.
    pub(super) fn validate_marks(&self, marks: &Marks) -> Result<()> {
        for (n, (_, caption)) in self.references.iter().enumerate() {
            let what = format!("caption of the caller's image {}", n + 1);
            let found = if caption.trim().is_empty() { "nothing" } else { caption };
            let says_something = !marks.remove(caption).trim().is_empty();
            require(says_something, what, "what the image shows", found)?;
        }
        marks.numbers(&self.prompt, self.references.len()).map(drop)
    }

    /// Checks that a draft of the caller's is used.
    pub(super) fn validate_draft(&self, config: &RagConfig) -> Result<()> {
        let Some(draft) = &self.draft else { return Ok(()) };
        let expected = "none, as Mode::AllConcepts begins without one";
        let found = format!("one of {}x{} pixels", draft.width(), draft.height());
        require(config.mode != Mode::AllConcepts, "the caller's draft", expected, found)
    }

    /// One image for `prompt` with the settings of this request.
    pub(crate) fn generate(&self, prompt: &str, progress: Progress) -> GenerateRequest {
        let mut request = GenerateRequest::new(prompt);
        request.negative_prompt.clone_from(&self.negative_prompt);
        request.seed = self.seed;
        (request.width, request.height) = (self.width, self.height);
        (request.steps, request.guidance_scale) = (self.steps, self.guidance_scale);
        request.progress = progress.with_previews_every(self.preview_every);
        request
    }

    /// The caller's own images as references.
    pub(crate) fn own_references(&self) -> Vec<Reference> {
        self.references
            .iter()
            .enumerate()
            .map(|(n, (image, caption))| Reference {
                picture: image.clone().into(),
                caption: Caption::concept(caption),
                provenance: Provenance::new(Source::Caller(n), "caller", 1.0, n),
            })
            .collect()
    }
}

impl From<&str> for RagRequest {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl From<String> for RagRequest {
    fn from(prompt: String) -> Self {
        Self::new(prompt)
    }
}
