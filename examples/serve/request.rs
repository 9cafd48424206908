//! The fields of a request to what should be drawn.

use std::ops::RangeInclusive;
use std::str::FromStr;

use imagerag::generator::GenerateRequest;
use imagerag::{Image, RagRequest};
use serde_json::Value;

use super::error::{ApiError, ApiResult};
use super::fields::{Fields, kind, quoted};
use super::picture::{self, Format};
use super::served::Served;

/// The most images of one request, and the most pictures that one may come with: those of OpenAI's API.
const MAX_IMAGES: i128 = 10;
const MAX_PICTURES: usize = 16;
/// The most pixels of an image: 3840x2160, the largest of OpenAI's API.
const MAX_PIXELS: u64 = 8_294_400;
/// The most partial images, as in OpenAI's API.
const MAX_PARTIAL: i128 = 3;
/// The steps of an image, as the library allows them.
const STEPS: RangeInclusive<i128> = 1..=10_000;
/// What asks for nothing that this server could do, or could do otherwise.
const HARMLESS: [&str; 7] = [
    "input_fidelity",
    "moderation",
    "quality",
    "safety_identifier",
    "style",
    "user",
    "stream_options",
];

/// What draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    /// The whole loop.
    Loop,
    /// The generator alone.
    Draft,
}

/// Images to draw.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) model: Model,
    pub(crate) prompt: String,
    pub(crate) negative_prompt: Option<String>,
    /// How many images, 1 to 10.
    pub(crate) n: usize,
    /// Width and height in pixels; the generator's own where there is none.
    pub(crate) size: Option<(u32, u32)>,
    /// The seed of the first image; the next ones have the next seeds.
    pub(crate) seed: u64,
    pub(crate) steps: Option<usize>,
    pub(crate) guidance_scale: Option<f64>,
    pub(crate) format: Format,
    /// Whether the reply has addresses in place of images.
    pub(crate) by_url: bool,
    /// How many partial images are streamed at most; `None` where nothing is streamed.
    pub(crate) stream: Option<usize>,
    /// The client's pictures, each with what it shows.
    pub(crate) references: Vec<(Image, String)>,
    /// Whether it came to `/images/edits`.
    pub(crate) is_edit: bool,
    /// The names of fields that have no meaning here.
    pub(crate) ignored: Vec<String>,
    /// The names by which the size, the steps and the guidance scale came.
    sent: [Option<&'static str>; 3],
}

/// The files of the pictures of a request, and what they show.
#[derive(Debug, Default)]
pub(crate) struct Pictures {
    files: Vec<Vec<u8>>,
    captions: Vec<String>,
}

impl Job {
    /// Reads `fields`; the model is one that `named` knows.
    pub(crate) fn new(
        mut fields: Fields,
        is_edit: bool,
        served: &Served,
        named: impl FnOnce(Option<String>) -> ApiResult<Model>,
    ) -> ApiResult<(Self, Pictures)> {
        let fields = &mut fields;
        let model = named(fields.text("model")?)?;
        let pictures = if is_edit { Pictures::new(fields)? } else { Pictures::default() };
        for name in ["mask", "mask_image"] {
            if fields.take(name).is_some() || fields.files.iter().any(|(file, _)| file == name) {
                let message = format!("{name}: this server draws whole images and takes no mask");
                return Err(ApiError::unsupported(name, message));
            }
        }
        let prompt = fields.text("prompt")?;
        let prompt = prompt.ok_or_else(|| ApiError::missing("prompt", "what to draw"))?;
        let by_url = match fields.text("response_format")?.as_deref() {
            None | Some("b64_json") => false,
            Some("url") => true,
            Some(other) => {
                return Err(ApiError::value("response_format", "b64_json or url", quoted(other)));
            }
        };
        match fields.text("background")?.as_deref() {
            None | Some("auto" | "opaque") => {}
            Some("transparent") => {
                let message = "background: expected auto or opaque, found transparent: images have no transparency";
                return Err(ApiError::unsupported("background", message));
            }
            Some(other) => {
                return Err(ApiError::value("background", "auto or opaque", quoted(other)));
            }
        }
        let compression = fields.count("output_compression", 0..=100)?;
        let format = Format::new(fields.text("output_format")?.as_deref(), compression)?;
        let n = fields.count("n", 1..=MAX_IMAGES)?.unwrap_or(1);
        let partial = fields.count("partial_images", 0..=MAX_PARTIAL)?.unwrap_or(0);
        let stream = fields.flag("stream")?.then_some(partial);
        if stream.is_some() && n > 1 {
            return Err(ApiError::value("n", "1 where the reply is a stream", n));
        }
        if stream.is_some() && by_url {
            return Err(ApiError::value("response_format", "b64_json in a stream", "url"));
        }
        let (size_name, size) = size(fields)?.unzip();
        let size = size.flatten();
        let seed = match fields.whole("seed", "a whole number of at least 0, or -1 for any")? {
            None | Some(-1) => random()?,
            Some(seed) => u64::try_from(seed).map_err(|_| {
                ApiError::value("seed", "0 to 18446744073709551615, or -1 for any", seed)
            })?,
        };
        let count = |fields: &mut Fields, name: &str| fields.count(name, STEPS);
        let (steps_name, steps) = fields.one_of(["num_inference_steps", "steps"], count)?.unzip();
        let number =
            |fields: &mut Fields, name: &str| fields.number(name, "a number of at least 0");
        let (guidance_name, guidance_scale) =
            fields.one_of(["guidance_scale", "cfg_scale"], number)?.unzip();
        let negative_prompt = fields.text("negative_prompt")?;
        for name in HARMLESS {
            fields.take(name);
        }
        let ignored = fields.left_over();
        let job = Self {
            model,
            prompt,
            negative_prompt,
            n,
            size,
            seed,
            steps: steps.or(served.steps),
            guidance_scale: guidance_scale.or(served.guidance_scale),
            format,
            by_url,
            stream,
            references: Vec::new(),
            is_edit,
            ignored,
            sent: [size_name, steps_name, guidance_name],
        };
        Ok((job, pictures))
    }

    /// Decodes `pictures`, which are the client's own references, and checks what needs them.
    pub(crate) async fn with_pictures(mut self, pictures: Pictures) -> ApiResult<Self> {
        let Pictures { files, captions } = pictures;
        let images = picture::decode("image", files).await?;
        self.references = images.into_iter().zip(captions).collect();
        let checked = match self.model {
            Model::Loop => self.rag_request(0).validate(),
            Model::Draft => self.generate_request(0).validate(),
        };
        checked.map_err(|error| self.in_error(ApiError::of(&error, None)))?;
        Ok(self)
    }

    /// The error with the name of the field that the client sent.
    pub(crate) fn in_error(&self, error: ApiError) -> ApiError {
        ["size", "num_inference_steps", "guidance_scale"]
            .into_iter()
            .zip(self.sent)
            .fold(error, |error, (name, sent)| error.renamed(name, sent.unwrap_or(name)))
    }

    /// Image `n` of the job, from 0, for the loop.
    pub(crate) fn rag_request(&self, n: usize) -> RagRequest {
        let mut request = RagRequest::new(&*self.prompt).with_seed(self.seed_of(n));
        request.negative_prompt.clone_from(&self.negative_prompt);
        request.references.clone_from(&self.references);
        if let Some((width, height)) = self.size {
            request = request.with_size(width, height);
        }
        (request.steps, request.guidance_scale) = (self.steps, self.guidance_scale);
        request
    }

    /// Image `n` of the job, from 0, for the generator alone.
    pub(crate) fn generate_request(&self, n: usize) -> GenerateRequest {
        let mut request = GenerateRequest::new(&*self.prompt).with_seed(self.seed_of(n));
        request.negative_prompt.clone_from(&self.negative_prompt);
        if let Some((width, height)) = self.size {
            request = request.with_size(width, height);
        }
        (request.steps, request.guidance_scale) = (self.steps, self.guidance_scale);
        request
    }

    /// The seed of image `n`, from 0.
    pub(crate) const fn seed_of(&self, n: usize) -> u64 {
        self.seed.wrapping_add(n as u64)
    }
}

impl Pictures {
    /// The pictures of an edit: the files of a form, and data URLs in `image`, `url` and `images`.
    fn new(fields: &mut Fields) -> ApiResult<Self> {
        let files = std::mem::take(&mut fields.files).into_iter();
        let (pictures, others): (Vec<_>, Vec<_>) =
            files.partition(|(name, _)| name == "image" || name == "images");
        fields.files = others;
        let mut files: Vec<Vec<u8>> = pictures.into_iter().map(|(_, bytes)| bytes.into()).collect();
        for name in ["image", "url", "images"] {
            for one in list(fields.take(name)) {
                files.push(file(name, &one)?);
            }
        }
        if files.is_empty() {
            return Err(ApiError::missing("image", "at least one picture"));
        }
        if files.len() > MAX_PICTURES {
            let expected = format!("at most {MAX_PICTURES} pictures");
            return Err(ApiError::value("image", &expected, files.len()));
        }
        let mut captions = Vec::new();
        for caption in list(fields.take("captions")) {
            match caption {
                Value::String(caption) => captions.push(caption),
                other => return Err(ApiError::value("captions", "texts", kind(&other))),
            }
        }
        if captions.is_empty() {
            captions = match files.len() {
                1 => vec!["the given picture".to_owned()],
                many => (1..=many).map(|n| format!("given picture {n}")).collect(),
            };
        }
        if captions.len() != files.len() {
            let expected = format!("one for each of {} pictures", files.len());
            return Err(ApiError::value("captions", &expected, captions.len()));
        }
        Ok(Self { files, captions })
    }
}

/// The values of a field that may be one or several.
fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(list)) => list,
        Some(one) => vec![one],
    }
}

/// The picture file in `"data:…"`, `{"image_url": "data:…"}` or `{"image_url": {"url": "data:…"}}`.
pub(crate) fn file(name: &str, value: &Value) -> ApiResult<Vec<u8>> {
    let address = match value {
        Value::String(address) => Some(address),
        Value::Object(object) if object.contains_key("file_id") => {
            let message =
                format!("{name}: this server keeps no files: send image_url with a data URL");
            return Err(ApiError::unsupported(name, message));
        }
        Value::Object(object) => match object.get("image_url").or_else(|| object.get("url")) {
            Some(Value::String(address)) => Some(address),
            Some(Value::Object(inner)) => match inner.get("url") {
                Some(Value::String(address)) => Some(address),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    match address {
        Some(address) => picture::from_url(name, address),
        None => {
            Err(ApiError::value(name, "a data URL, or {\"image_url\": \"data:…\"}", kind(value)))
        }
    }
}

/// Width and height in pixels, or any.
type Size = Option<(u32, u32)>;

/// `size` as `WIDTHxHEIGHT`, or `width` and `height`, with the name that it came by; `None` is any.
fn size(fields: &mut Fields) -> ApiResult<Option<(&'static str, Size)>> {
    const EXPECTED: &str = "auto or WIDTHxHEIGHT, such as 1024x768";
    let text = match fields.text("size")? {
        Some(size) if size.trim().eq_ignore_ascii_case("auto") => Some(None),
        Some(size) => {
            let side = |text: &str| u32::from_str(text.trim()).ok().filter(|side| *side > 0);
            let sides = size.split_once(['x', 'X', '×']);
            let sides = sides.and_then(|(width, height)| side(width).zip(side(height)));
            Some(Some(sides.ok_or_else(|| ApiError::value("size", EXPECTED, quoted(&size)))?))
        }
        None => None,
    };
    let mut side = |name| Ok(fields.count(name, 1..=16_384)?.map(|side| side as u32));
    let sides = match (side("width")?, side("height")?) {
        (Some(width), Some(height)) => Some((width, height)),
        (None, None) => None,
        _ => return Err(ApiError::value("size", "width and height", "one of them")),
    };
    let size = match (text, sides) {
        (Some(Some(one)), Some(other)) if one != other => {
            let expected = format!("the size of width and height, {}x{}", other.0, other.1);
            return Err(ApiError::value("size", &expected, format!("{}x{}", one.0, one.1)));
        }
        (Some(None) | None, Some(sides)) => Some(("width", Some(sides))),
        (size, _) => size.map(|size| ("size", size)),
    };
    match size {
        Some((_, Some((width, height)))) if u64::from(width) * u64::from(height) > MAX_PIXELS => {
            let expected = format!("at most {MAX_PIXELS} pixels");
            Err(ApiError::value("size", &expected, format!("{width}x{height}")))
        }
        size => Ok(size),
    }
}

/// A seed that nobody has chosen, of 32 bits, so that every client's numbers hold it.
fn random() -> ApiResult<u64> {
    let seed = getrandom::u32().map_err(|error| ApiError::internal(format!("no seed: {error}")))?;
    Ok(u64::from(seed))
}
