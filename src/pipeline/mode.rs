//! [`Mode`]: the ways from a prompt through the parts to an image.

/// What happens with the draft, and when references are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Mode {
    /// A draft is drawn, the critic says what it is missing, references are retrieved for that, and an
    /// image is drawn anew with them: the paper's method.
    #[default]
    OnDemand,
    /// References are retrieved at once, for every concept of the prompt, and no draft is drawn
    /// (`generation` in the paper's release). Where none is useful, the prompt is drawn without references.
    AllConcepts,
    /// A draft is drawn, a VLM that sees it rephrases the prompt, and an image is drawn from that. Nothing
    /// is judged or retrieved (the paper's ablation "rephrased prompt").
    RephraseOnly,
    /// A draft is drawn and references are retrieved for what it is missing, as with
    /// [`OnDemand`](Self::OnDemand), but then the generator edits the draft instead of drawing anew. It
    /// is given the image that was judged, with the references, so that its composition is kept. Later
    /// rounds edit the image of the round before. The paper has no such mode.
    ///
    /// The conditioner must produce images, of which the draft is one: the caller's own have the
    /// numbers 1 to m, the draft m + 1, and retrieved references those from m + 2. In the prompt the
    /// draft comes first, see
    /// [`InPrompt::with_edit_template`](crate::conditioner::InPrompt::with_edit_template).
    ///
    /// The draft and at least one retrieved reference need a place each, so that the conditioner's
    /// [capacity](crate::Conditioner::capacity) must be at least m + 2. A pipeline whose conditioner has a
    /// capacity of 1 is not built, and a request with too many images of the caller's is refused before
    /// the draft is drawn.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// use futures::executor::block_on;
    /// use imagerag::RagPipeline;
    /// use imagerag::conditioner::InPrompt;
    /// use imagerag::pipeline::{Mode, RagConfig};
    /// use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm, solid};
    ///
    /// let generator = FakeGenerator::new();
    /// let pipeline = RagPipeline::builder()
    ///     .generator(generator.clone())
    ///     .vlm(FakeVlm::new(["no", "a quetzal", "a quetzal on a branch"]))
    ///     .retriever(FakeRetriever::new([("a quetzal", solid(8, 8, [0, 140, 70]))]))
    ///     .conditioner(InPrompt::new(3)?)
    ///     .config(RagConfig::default().with_mode(Mode::EditDraft))
    ///     .build()?;
    /// block_on(pipeline.run("a forest at dawn"))?;
    /// assert_eq!(
    ///     generator.requests()[1].prompt,
    ///     "Edit this image: <img><|image_1|></img> so that it shows a forest at dawn, \
    ///      as in these examples: a quetzal on a branch: <img><|image_2|></img>"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    EditDraft,
    /// A draft is drawn, a VLM lists single edits that mend it, and an
    /// [editor](super::RagPipelineBuilder::editor) makes one after the other, each of the image that the
    /// edit before made. Nothing is retrieved (GraPE, arXiv 2412.06089, a baseline of the paper). It
    /// serves where a generator knows every concept, but puts them together wrongly.
    ///
    /// After each edit ([`RagConfig::judge_each_edit`](super::RagConfig::judge_each_edit)) and at the end the critic says whether the
    /// image matches, and is not asked what is missing. [`RagConfig::max_rounds`](super::RagConfig::max_rounds) bounds the plans, [`RagConfig::max_edits`](super::RagConfig::max_edits) the edits. No
    /// retriever and no conditioner are needed, except for references of the caller's own, which the
    /// draft is drawn with. A plan that cannot be read, or is declined, ends the request with the best
    /// image, whatever [`Fallback`](super::Fallback) says.
    ///
    /// Edits are asked for in the size of the request. A request without one leaves the size to the
    /// editor, which may draw another one than that of the draft; the
    /// [editor's documentation](super::RagPipelineBuilder::editor) says how to keep it, and which other
    /// settings of a request reach both generators.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// use futures::executor::block_on;
    /// use imagerag::RagPipeline;
    /// use imagerag::pipeline::{Mode, RagConfig, StopReason};
    /// use imagerag::testing::{FakeGenerator, FakeVlm};
    ///
    /// let generator = FakeGenerator::new();
    /// let plan = "1. Make the car red.\n2. Add a tree to the left.\n3. Remove the dog.";
    /// let pipeline = RagPipeline::builder()
    ///     .generator(generator.clone())
    ///     .vlm(FakeVlm::new([plan, "no", "yes"])) // The plan, and what the critic says of each edit.
    ///     .config(RagConfig::default().with_mode(Mode::PlanEdit))
    ///     .build()?;
    /// let outcome = block_on(pipeline.run("a red car beside a tree"))?;
    /// assert_eq!(outcome.stop, StopReason::Matched { round: 1 });
    /// let prompts: Vec<_> = generator.requests().into_iter().map(|request| request.prompt).collect();
    /// assert_eq!(prompts, [
    ///     "a red car beside a tree",
    ///     "<img><|image_1|></img> Make the car red.",
    ///     "<img><|image_1|></img> Add a tree to the left.",
    /// ]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    PlanEdit,
}
