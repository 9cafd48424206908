//! Pictures as clients send them to images, and images to what clients are sent.

use base64::prelude::{BASE64_STANDARD, Engine};
use base64::{alphabet, engine};
use image::codecs::webp::WebPEncoder;
use imagerag::{Error, Image};

use super::error::{ApiError, ApiResult};
use super::fields::quoted;

/// The most pixels of all pictures of one request, so that a few bytes cannot ask for all the memory:
/// four photos of 12 megapixels.
const MAX_PIXELS: u64 = 50_000_000;
/// The quality of JPEG where a request names none. OpenAI's default of `output_compression` is 100.
const JPEG_QUALITY: u8 = 100;
/// Base64 as people write it: with padding or without.
const LENIENT: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// The same in the alphabet for addresses.
const LENIENT_URL: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::URL_SAFE,
    engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The file format of a reply's images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Png,
    /// Of a quality in 1 to 100.
    Jpeg(u8),
    /// Without loss.
    WebP,
}

impl Format {
    pub(crate) fn new(name: Option<&str>, compression: Option<usize>) -> ApiResult<Self> {
        let quality = compression.map_or(JPEG_QUALITY, |quality| quality.clamp(1, 100) as u8);
        match name {
            None | Some("png") => Ok(Self::Png),
            Some("jpeg" | "jpg") => Ok(Self::Jpeg(quality)),
            Some("webp") => Ok(Self::WebP),
            Some(other) => {
                Err(ApiError::value("output_format", "png, jpeg or webp", quoted(other)))
            }
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg(_) => "jpeg",
            Self::WebP => "webp",
        }
    }

    /// The bytes of a file.
    pub(crate) fn encode(self, image: &Image) -> imagerag::Result<Vec<u8>> {
        match self {
            Self::Png => image.encode_png(),
            Self::Jpeg(quality) => image.encode_jpeg(quality),
            Self::WebP => {
                let mut bytes = Vec::new();
                let (width, height) = (image.width(), image.height());
                WebPEncoder::new_lossless(&mut bytes)
                    .encode(image.pixels(), width, height, image::ExtendedColorType::Rgb8)
                    .map_err(|error| Error::backend("WebP encoder", error))?;
                Ok(bytes)
            }
        }
    }
}

/// The images in the files of a request, `name`d as errors call the field.
pub(crate) async fn decode(name: &'static str, files: Vec<Vec<u8>>) -> ApiResult<Vec<Image>> {
    blocking(move || {
        let mut left = MAX_PIXELS;
        let decode = |(n, file): (usize, Vec<u8>)| {
            let image = Image::decode_within(&file, left).map_err(|error| match error {
                Error::InvalidInput { expected, found, .. } => {
                    let found = format!("{found} (picture {})", n + 1);
                    ApiError::value(name, &expected, found)
                }
                other => ApiError::of(&other, None),
            })?;
            left -= u64::from(image.width()) * u64::from(image.height());
            Ok(image)
        };
        files.into_iter().enumerate().map(decode).collect()
    })
    .await?
}

/// The bytes behind `address`: a data URL, or base64 by itself. Nothing is fetched.
pub(crate) fn from_url(name: &str, address: &str) -> ApiResult<Vec<u8>> {
    let expected = "a picture as a data URL with base64";
    let address = address.trim();
    let scheme = address.get(..5).unwrap_or_default().to_ascii_lowercase();
    if scheme.starts_with("http") || scheme.starts_with("file:") {
        let message =
            format!("{name}: expected {expected}, found an address: this server fetches none");
        return Err(ApiError::unsupported(name, message));
    }
    let text = match (scheme.as_str(), address.split_once(',')) {
        ("data:", Some((head, data))) if head.to_ascii_lowercase().ends_with(";base64") => data,
        ("data:", _) => return Err(ApiError::value(name, expected, "another data URL")),
        _ => address,
    };
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = LENIENT.decode(&text).or_else(|_| LENIENT_URL.decode(&text));
    bytes.map_err(|error| ApiError::value(name, expected, format!("no base64: {error}")))
}

/// Whether `text` is the data URL of a picture: `data:image/…,`, or base64 of a type that is not told.
pub(crate) fn is_data_url(text: &str) -> bool {
    let Some((head, _)) = text.trim_start().split_once(',') else { return false };
    let head = head.to_ascii_lowercase();
    head.strip_prefix("data:").is_some_and(|kind| {
        kind.starts_with("image/") || matches!(kind, ";base64" | "application/octet-stream;base64")
    })
}

/// Bytes as JSON carries them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Has `work` done where it holds nothing up.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> ApiResult<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ApiError::internal(format!("a thread of the server failed: {error}")))
}
