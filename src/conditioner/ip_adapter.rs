//! [`IpAdapter`]: encodes references into the image tokens of SDXL with IP-Adapter-plus.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use tch::{Kind, Tensor};

use super::{
    ConditionRequest, Conditioned, Conditioner, Conditioning, ConditioningKind, ImageTokens,
    PromptTemplate, Strength,
};
use crate::models::clip::VisionModel;
use crate::models::common::preprocess::{Family, Preprocessor};
use crate::models::common::worker::Worker;
use crate::models::ip_adapter::{Resampler, ResamplerDims, space};
use crate::models::{DType, Device};
use crate::reference::images;
use crate::{Error, Image, Result};

/// Encodes references with the adapter's image encoder and resampler. Each becomes a few tokens
/// (16 in the released files); the tokens of several references are concatenated.
///
/// The encoder sees the center crop: references that are not square lose their edges.
///
/// The generator reads the same file, so that it knows the tokens:
/// ```no_run
/// use imagerag::conditioner::IpAdapter;
/// use imagerag::generator::Sdxl;
/// use imagerag::models::{DType, Device};
///
/// let (file, device) = ("ip-adapter-plus_sdxl_vit-h.safetensors", Device::Cuda(0));
/// let adapter = IpAdapter::load(file, "image_encoder", device, DType::F16)?
///     .with_scale(0.5)
///     .with_capacity(3);
/// let sdxl = Sdxl::builder("stable-diffusion-xl-base-1.0")
///     .device(device)
///     .dtype(DType::F16)
///     .ip_adapter(file)
///     .load()?;
/// # let builder = imagerag::RagPipeline::builder();
/// let builder = builder.generator(sdxl).conditioner(adapter);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Debug)]
pub struct IpAdapter {
    worker: Worker<Encoder>,
    space: String,
    name: String,
    dims: ResamplerDims,
    capacity: usize,
    template: PromptTemplate,
    strength: Strength,
}

impl IpAdapter {
    /// The adapter in `file`, such as `ip-adapter-plus_sdxl_vit-h.safetensors`, with the image
    /// encoder in the folder `image_encoder`. By default it takes one reference per image, as in
    /// the paper, with weight 1 in every block and step, and the paper's prompt template.
    ///
    /// # Errors
    /// [`Error::InvalidFile`] when a file is broken or no IP-Adapter-plus, [`Error::Incompatible`]
    /// when adapter and encoder do not belong together, [`Error::Unavailable`] without the device.
    pub fn load(
        file: impl AsRef<Path>,
        image_encoder: impl AsRef<Path>,
        device: Device,
        dtype: DType,
    ) -> Result<Self> {
        let (file, folder) = (file.as_ref().to_owned(), image_encoder.as_ref().to_owned());
        let dims = Resampler::dims_of(&file)?;
        let (space, loaded) = (space(&file, dims.output_dim), file.clone());
        let load = move |device| Encoder::open(&loaded, &folder, device, dtype.kind());
        Ok(Self {
            worker: Worker::spawn("IP-Adapter image encoder", device, load)?,
            name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            space,
            dims,
            capacity: 1,
            template: PromptTemplate::default(),
            strength: Strength::default(),
        })
    }

    /// Another weight of the references, the same everywhere: 0 means none, 1 as trained. The paper
    /// uses 0.5.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.strength.scale = scale;
        self
    }

    /// How strongly, in which blocks and during which steps the references act.
    #[must_use]
    pub fn with_strength(mut self, strength: Strength) -> Self {
        self.strength = strength;
        self
    }

    /// Up to `references` in one image, at least 1: 0 counts as 1.
    #[must_use]
    pub const fn with_capacity(mut self, references: usize) -> Self {
        self.capacity = if references == 0 { 1 } else { references };
        self
    }

    /// Another way to put captions into the prompt.
    ///
    /// # Errors
    /// As [`PromptTemplate::validate`].
    pub fn with_template(mut self, template: PromptTemplate) -> Result<Self> {
        template.validate()?;
        self.template = template;
        Ok(self)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Conditioner for IpAdapter {
    fn produces(&self) -> ConditioningKind {
        ConditioningKind::Tokens { space: self.space.clone() }
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned> {
        // 1. what is asked for
        let references = &request.references;
        request.validate(self)?;
        self.strength.validate()?;

        // 2. references to tokens, on the encoder's thread
        let images = images(references).await?;
        let count = images.len();
        let (data, negative) = self
            .worker
            .run(move |encoder, cancel| {
                let negative = encoder.negative()?.repeat(count);
                cancel.check()?;
                Ok((encoder.encode(&images)?, negative))
            })
            .await?;
        let tokens = count * usize::try_from(self.dims.queries).unwrap_or(0);
        let dim = usize::try_from(self.dims.output_dim).unwrap_or(0);
        let mut tokens = ImageTokens::new(self.space.as_str(), tokens, dim, data, negative)?;
        tokens.strength = self.strength.clone();

        // 3. captions into the prompt; the images take their own way
        Ok(Conditioned {
            prompt: self.template.apply(&request.prompt, references, &[]),
            conditioning: Conditioning::Tokens(tokens),
        })
    }
}

impl fmt::Display for IpAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, capacity, template, strength, .. } = self;
        write!(f, "IpAdapter({name}")?;
        if f.alternate() {
            write!(f, ", {capacity} references, {strength:?}, {template:?}")?;
        }
        f.write_str(")")
    }
}

/// Pictures to tokens; lives on the worker's thread.
struct Encoder {
    preprocessor: Preprocessor,
    vision: VisionModel,
    resampler: Resampler,
    /// Tokens of the image of zeros, once they were asked for.
    negative: Option<Vec<f32>>,
}

impl Encoder {
    fn open(file: &Path, folder: &Path, device: tch::Device, kind: Kind) -> Result<Self> {
        let vision = VisionModel::open(folder, device, kind)?;
        let expected = Resampler::dims_of(file)?.embedding_dim;
        if vision.width() != expected {
            return Err(Error::Incompatible {
                left: format!("adapter {}", file.display()),
                right: format!("image encoder {}", folder.display()),
                expected: format!("image states of width {expected}"),
                found: format!("width {}", vision.width()),
            });
        }
        Ok(Self {
            preprocessor: Preprocessor::open(folder, vision.image_size(), Family::Clip)?,
            resampler: Resampler::open(file, device, kind)?,
            vision,
            negative: None,
        })
    }

    /// Tokens of `images`, one after the other.
    fn encode(&self, images: &[Image]) -> Result<Vec<f32>> {
        self.tokens(&self.preprocessor.forward(images))
    }

    /// What the unconditional branch of guidance reads for one reference: the tokens of a tensor of
    /// zeros, which after normalisation is not a black picture. The same for all, so kept.
    fn negative(&mut self) -> Result<Vec<f32>> {
        if let Some(negative) = &self.negative {
            return Ok(negative.clone());
        }
        let side = self.vision.image_size();
        let zeros = Tensor::zeros([1, 3, side, side], (Kind::Float, tch::Device::Cpu));
        Ok(self.negative.insert(self.tokens(&zeros)?).clone())
    }

    fn tokens(&self, pixels: &Tensor) -> Result<Vec<f32>> {
        let tokens = self.resampler.forward(&self.vision.penultimate(pixels)?); // [n, queries, dim]
        let tokens = tokens.to_device(tch::Device::Cpu).to_kind(Kind::Float).flatten(0, 2);
        Vec::try_from(tokens).map_err(|error| Error::backend("reading image tokens", error))
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::models::common::golden::{assert_close, dtype, fixture, place, recorded};
    use crate::reference::{Caption, Provenance, Reference, Source};

    fn adapter() -> Result<IpAdapter> {
        let file = fixture("ip_adapter/sdxl.safetensors");
        IpAdapter::load(file, fixture("ip_adapter/image_encoder"), place(), dtype())
    }

    fn references() -> Vec<Reference> {
        let reference = |n| Reference {
            picture: Image::open(fixture(&format!("ip_adapter/reference_{n}.png"))).unwrap().into(),
            caption: Caption::concept(["a red panda", "a tapir"][n]),
            provenance: Provenance::new(Source::Caller(n), "test", 1.0, n),
        };
        vec![reference(0), reference(1)]
    }

    fn tokens(conditioned: Conditioned) -> ImageTokens {
        match conditioned.conditioning {
            Conditioning::Tokens(tokens) => tokens,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tokens_of_pictures_equal_diffusers() {
        let adapter = adapter().unwrap().with_capacity(2).with_scale(0.5);
        let conditioned =
            block_on(adapter.condition(&ConditionRequest::new("a zoo", references()))).unwrap();
        let prompt = "According to these examples of a red panda, a tapir, generate a zoo";
        assert_eq!(conditioned.prompt, prompt);
        assert_eq!(conditioned.conditioning.kind(), adapter.produces());
        let found = tokens(conditioned);
        assert_eq!((found.tokens, found.dim, found.strength.scale), (6, 20, 0.5));
        assert_eq!(found.space, "ip-adapter-plus sdxl 20");
        let golden = fixture("ip_adapter/sdxl_golden.safetensors");
        for (name, values) in [("tokens", &found.data), ("negative", &found.negative)] {
            let expected = recorded(&golden, &format!("pictures.{name}")); // [tokens, dim]
            assert_close(name, &Tensor::from_slice(values).view([6, 20]), &expected, 1e-4);
        }
    }

    #[test]
    fn one_reference_gives_the_first_of_two() {
        let adapter =
            adapter().unwrap().with_capacity(2).with_template(PromptTemplate::Plain).unwrap();
        let references = references();
        let both = tokens(
            block_on(adapter.condition(&ConditionRequest::new("a zoo", references.clone())))
                .unwrap(),
        );
        let one =
            block_on(adapter.condition(&ConditionRequest::new("a zoo", &references[..1]))).unwrap();
        assert_eq!(one.prompt, "a zoo");
        let one = tokens(one);
        assert_eq!(one.negative[..], both.negative[..60]);
        let [one, both] = [&one.data[..], &both.data[..60]].map(Tensor::from_slice);
        assert_close("tokens", &one, &both, 1e-5);
    }

    #[test]
    fn too_many_references_and_bad_strengths_are_refused() {
        let error =
            block_on(adapter().unwrap().condition(&ConditionRequest::new("a zoo", references())))
                .unwrap_err();
        let error = error.to_string();
        assert_eq!(error, "references for IpAdapter(sdxl): expected 1 to 1, found 2");
        let adapter = adapter().unwrap().with_scale(f64::NAN);
        let error =
            block_on(adapter.condition(&ConditionRequest::new("a zoo", &references()[..1])))
                .unwrap_err();
        assert!(error.to_string().contains("scale"), "{error}");
    }

    #[test]
    fn files_that_are_no_adapter_or_of_another_encoder_are_refused() {
        let (cpu, f32) = (Device::Cpu, DType::F32);
        let encoder = fixture("ip_adapter/image_encoder");
        let error = IpAdapter::load(encoder.join("model.safetensors"), &encoder, cpu, f32);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("image_proj.latents"), "{error}");
        let error = IpAdapter::load(fixture("ip_adapter/none.safetensors"), &encoder, cpu, f32);
        assert!(matches!(error.unwrap_err(), Error::Io { .. }));
        let other = fixture("clip/image_encoder");
        let error = IpAdapter::load(fixture("ip_adapter/sdxl.safetensors"), other, cpu, f32);
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Incompatible { .. }), "{error}");
        assert!(error.to_string().contains("expected image states of width 16"), "{error}");
    }
}
