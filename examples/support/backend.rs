//! What the command line says of the backend to a generator, and the conditioner that fits it.

use std::error::Error;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use imagerag::conditioner::{InPrompt, IpAdapter, OminiControl, PromptTemplate};
use imagerag::generator::{Flux, OmniGen, PixArtSigma, Sdxl};
use imagerag::models::{DType, Device, SchedulerKind};
use imagerag::{Conditioner, Generator};
use serde::{Deserialize, Serialize};

use crate::delta::delta;
use crate::place::place;

/// What draws, and how it gets references: options of the command line, or a table of a run file with
/// the same names, `_` for `-`.
#[derive(Args, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backend {
    /// sdxl with IP-Adapter-plus, flux with OminiControl, omnigen, or pixart, which takes no references.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    backend: Kind,
    /// The checkpoint: a folder in diffusers' layout, for omnigen also in that of its authors, or the
    /// name of a repository.
    #[arg(long, value_name = "DIR_OR_REPO")]
    model: String,
    /// sdxl: the adapter's file, such as ip-adapter-plus_sdxl_vit-h.safetensors.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_adapter: Option<String>,
    /// sdxl: the adapter's image encoder: a folder, or a folder of a repository.
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    image_encoder: Option<String>,
    /// flux: OminiControl's file, such as omini/subject_512.safetensors.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    lora: Option<String>,
    /// flux: rows and columns of 16 pixels that the reference is moved by; the file's own by default,
    /// where its name is known.
    #[arg(long, value_name = "R,C", value_parser = delta, allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    position_delta: Option<(i32, i32)>,
    /// flux: width and height that the reference is resized to, in pixels; 512 by default.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    condition_size: Option<u32>,
    /// sdxl, flux: strength of the references; 0 means none. 0.5 by default for sdxl, 1 for flux.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<f64>,
    /// omnigen: strength of the references, at least 0; 1.6 by default.
    #[arg(long, value_name = "G", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    image_guidance: Option<f64>,
    /// omnigen: the longest side of a reference, in pixels; 1,024 by default. Larger ones are made
    /// smaller.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_input_image_size: Option<u32>,
    /// omnigen: gives the image the size of the image that its prompt names first, such as a draft that is
    /// edited.
    #[arg(long)]
    #[serde(default)]
    use_input_image_size_as_output: bool,
    /// References for one image; 1 by default for sdxl and flux, 3 for omnigen.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<usize>,
    /// Leaves the prompt as it is where there are references.
    #[arg(long)]
    #[serde(default)]
    plain_prompt: bool,
    /// sdxl, pixart: euler, ddim, dpm++ or lcm; the checkpoint's own by default.
    #[arg(long)]
    #[serde(default, with = "named", skip_serializing_if = "Option::is_none")]
    scheduler: Option<SchedulerKind>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Sdxl,
    Flux,
    Omnigen,
    Pixart,
}

impl Kind {
    /// The name on the command line.
    const fn name(self) -> &'static str {
        match self {
            Self::Sdxl => "sdxl",
            Self::Flux => "flux",
            Self::Omnigen => "omnigen",
            Self::Pixart => "pixart",
        }
    }
}

/// A generator, and a conditioner that fits it where it takes references.
type Parts = (Arc<dyn Generator>, Option<Arc<dyn Conditioner>>);

impl Backend {
    /// The same with `map` applied to each name of a file, folder or repository.
    #[allow(dead_code, reason = "run files alone have folders of their own")]
    pub(crate) fn with_places(mut self, map: impl Fn(&str) -> String) -> Self {
        self.model = map(&self.model);
        for place in [&mut self.ip_adapter, &mut self.image_encoder, &mut self.lora] {
            *place = place.as_deref().map(&map);
        }
        self
    }

    /// Refuses what the backend cannot do, before anything is loaded. `pictured` is whether it is to draw
    /// with images.
    pub(crate) fn check(&self, pictured: bool) -> Result<(), String> {
        use Kind::{Flux, Omnigen, Pixart, Sdxl};
        let backend = self.backend.name();
        if pictured && self.backend == Pixart {
            return Err("--backend pixart: PixArt-Σ draws from the prompt alone and takes no references. \
                        Choose omnigen, sdxl or flux, or --mode rephrase_only without --reference, which \
                        needs none; the example `pixart` draws a prompt as it is"
                .to_owned());
        }
        let options: [(&str, bool, &[Kind]); 12] = [
            ("--ip-adapter", self.ip_adapter.is_some(), &[Sdxl]),
            ("--image-encoder", self.image_encoder.is_some(), &[Sdxl]),
            ("--lora", self.lora.is_some(), &[Flux]),
            ("--position-delta", self.position_delta.is_some(), &[Flux]),
            ("--condition-size", self.condition_size.is_some(), &[Flux]),
            ("--scale", self.scale.is_some(), &[Sdxl, Flux]),
            ("--image-guidance", self.image_guidance.is_some(), &[Omnigen]),
            ("--max-input-image-size", self.max_input_image_size.is_some(), &[Omnigen]),
            ("--use-input-image-size-as-output", self.use_input_image_size_as_output, &[Omnigen]),
            ("--capacity", self.capacity.is_some(), &[Sdxl, Flux, Omnigen]),
            ("--plain-prompt", self.plain_prompt, &[Sdxl, Flux, Omnigen]),
            ("--scheduler", self.scheduler.is_some(), &[Sdxl, Pixart]),
        ];
        for (option, given, kinds) in options {
            if given && !kinds.contains(&self.backend) {
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
                let kinds = kinds.join(" and ");
                return Err(format!("{option}: an option of {kinds}, and not of {backend}"));
            }
        }
        Ok(())
    }

    /// The files, folders and repositories that it names, by their fields.
    #[allow(dead_code, reason = "run files alone look before they load")]
    pub(crate) fn places(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let others = [
            ("ip_adapter", &self.ip_adapter),
            ("image_encoder", &self.image_encoder),
            ("lora", &self.lora),
        ];
        let others =
            others.into_iter().filter_map(|(field, place)| Some((field, place.as_deref()?)));
        std::iter::once(("model", self.model.as_str())).chain(others)
    }

    /// Refuses what is missing, and numbers with which nothing can be drawn, before anything is loaded.
    #[allow(dead_code, reason = "run files alone look before they load")]
    pub(crate) fn check_values(&self) -> Result<(), String> {
        match self.backend {
            Kind::Sdxl => {
                needed("--ip-adapter", &self.ip_adapter)?;
                needed("--image-encoder", &self.image_encoder)?;
            }
            Kind::Flux => drop(needed("--lora", &self.lora)?),
            Kind::Omnigen | Kind::Pixart => {}
        }
        for (option, scale) in [("--scale", self.scale), ("--image-guidance", self.image_guidance)]
        {
            if let Some(scale) = scale.filter(|scale| !(scale.is_finite() && *scale >= 0.0)) {
                return Err(format!("{option}: expected a number from 0 on, found {scale}"));
            }
        }
        let pixels = |pixels: Option<u32>| pixels.map(|pixels| pixels as usize);
        for (option, number) in [
            ("--capacity", self.capacity),
            ("--condition-size", pixels(self.condition_size)),
            ("--max-input-image-size", pixels(self.max_input_image_size)),
        ] {
            if number == Some(0) {
                return Err(format!("{option}: expected at least 1, found 0"));
            }
        }
        Ok(())
    }

    /// Loads both.
    pub(crate) fn load(&self, device: Device, dtype: DType) -> Result<Parts, Box<dyn Error>> {
        let template = match self.plain_prompt {
            true => PromptTemplate::Plain,
            false => PromptTemplate::Examples,
        };
        match self.backend {
            Kind::Sdxl => self.sdxl(template, device, dtype),
            Kind::Flux => self.flux(template, device, dtype),
            Kind::Omnigen => self.omnigen(template, device, dtype),
            Kind::Pixart => self.pixart(device, dtype),
        }
    }

    fn sdxl(
        &self,
        template: PromptTemplate,
        device: Device,
        dtype: DType,
    ) -> Result<Parts, Box<dyn Error>> {
        let adapter = place(needed("--ip-adapter", &self.ip_adapter)?)?;
        let encoder = place(needed("--image-encoder", &self.image_encoder)?)?;
        let conditioner = IpAdapter::load(&adapter, encoder, device, dtype)?
            .with_scale(self.scale.unwrap_or(0.5))
            .with_capacity(self.capacity.unwrap_or(1))
            .with_template(template)?;
        let mut generator =
            Sdxl::builder(place(&self.model)?).device(device).dtype(dtype).ip_adapter(&adapter);
        if let Some(scheduler) = self.scheduler {
            generator = generator.scheduler(scheduler);
        }
        Ok((Arc::new(generator.load()?), Some(Arc::new(conditioner))))
    }

    fn flux(
        &self,
        template: PromptTemplate,
        device: Device,
        dtype: DType,
    ) -> Result<Parts, Box<dyn Error>> {
        let lora = place(needed("--lora", &self.lora)?)?;
        let mut conditioner = OminiControl::builder(&lora)
            .condition_size(self.condition_size.unwrap_or(512))
            .strength(self.scale.unwrap_or(1.0))
            .capacity(self.capacity.unwrap_or(1))
            .template(template);
        if let Some((rows, columns)) = self.position_delta {
            conditioner = conditioner.position_delta(rows, columns);
        }
        let generator = Flux::builder(place(&self.model)?)
            .device(device)
            .dtype(dtype)
            .omini_control(&lora)
            .load()?;
        let conditioner = conditioner.pixels_per_token(generator.size_multiple()).build()?;
        Ok((Arc::new(generator), Some(Arc::new(conditioner))))
    }

    fn omnigen(
        &self,
        template: PromptTemplate,
        device: Device,
        dtype: DType,
    ) -> Result<Parts, Box<dyn Error>> {
        let conditioner = self.capacity.map_or(Ok(InPrompt::default()), InPrompt::new)?;
        let conditioner = conditioner.with_template(template)?;
        let mut generator = OmniGen::builder(place(&self.model)?)
            .device(device)
            .dtype(dtype)
            .use_input_image_size_as_output(self.use_input_image_size_as_output);
        if let Some(scale) = self.image_guidance {
            generator = generator.image_guidance_scale(scale);
        }
        if let Some(pixels) = self.max_input_image_size {
            generator = generator.max_input_image_size(pixels);
        }
        Ok((Arc::new(generator.load()?), Some(Arc::new(conditioner))))
    }

    fn pixart(&self, device: Device, dtype: DType) -> Result<Parts, Box<dyn Error>> {
        let mut generator = PixArtSigma::builder(place(&self.model)?).device(device).dtype(dtype);
        if let Some(scheduler) = self.scheduler {
            generator = generator.scheduler(scheduler);
        }
        Ok((Arc::new(generator.load()?), None))
    }
}

/// What has a name, by its name.
mod named {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let name = String::deserialize(deserializer)?;
        name.parse().map(Some).map_err(de::Error::custom)
    }
}

/// The value of the option `name`, which this backend cannot do without.
fn needed<'a>(name: &str, value: &'a Option<String>) -> Result<&'a str, String> {
    value.as_deref().ok_or_else(|| format!("{name}: this backend needs it"))
}
