//! [`ImagesProfile`]: a base URL and a model's name to the fields that a server takes.

use crate::named::named;

/// Which fields a server of OpenAI's images API takes beside prompt, model and references.
///
/// | profile | seed, steps, guidance, negative prompt | size | previews |
/// |---|---|---|---|
/// | `OpenAi` | none | what the model draws | partial images |
/// | `SelfHosted` | fields of the body | any | none |
/// | `SdServer` | arguments within the prompt | any | none |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImagesProfile {
    /// OpenAI itself, Azure, and gateways to them. Nothing repeats an image there: no seed is sent.
    OpenAi,
    /// Servers of open models, such as vLLM-Omni, SGLang-Diffusion, oMLX and mlx-vlm. The fields are `seed`,
    /// `num_inference_steps`, `guidance_scale` and `negative_prompt`.
    SelfHosted,
    /// The compatible interface of stable-diffusion.cpp's `sd-server`, which takes everything else as
    /// `<sd_cpp_extra_args>` within the prompt.
    SdServer,
}

named!(ImagesProfile, "profile", { OpenAi: "openai", SelfHosted: "self_hosted", SdServer: "sd_server" });

/// Hosts of OpenAI and Azure: the last parts of their names.
const HOSTED: [&str; 4] =
    ["api.openai.com", "openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com"];
/// How the names of OpenAI's own image models begin, wherever they are served.
const MODELS: [&str; 3] = ["gpt-image", "chatgpt-image", "dall-e"];
/// What `sd-server` calls every model of its own, in `/v1/models`.
const SD_SERVER: &str = "sd-cpp-local";

impl ImagesProfile {
    /// The one that is probably meant for `model` at `host`.
    pub(super) fn of(host: &str, model: &str) -> Self {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is_hosted = HOSTED.iter().any(|end| {
            host.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        });
        let name = bare(model);
        if is_hosted || MODELS.iter().any(|start| name.starts_with(start)) {
            Self::OpenAi
        } else if name == SD_SERVER {
            Self::SdServer
        } else {
            Self::SelfHosted
        }
    }
}

/// The name of a model in small letters, without what gateways put before it: `openai/gpt-image-2`.
pub(super) fn bare(model: &str) -> String {
    model.rsplit('/').next().unwrap_or(model).trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_known_by_host_or_model() {
        use ImagesProfile::{OpenAi, SdServer, SelfHosted};
        for (host, model, expected) in [
            ("api.openai.com", "anything", OpenAi),
            ("eu.api.openai.com", "gpt-image-2", OpenAi),
            ("my-resource.openai.azure.com", "my-deployment", OpenAi),
            ("my-resource.services.ai.azure.com", "my-deployment", OpenAi),
            ("localhost", "openai/gpt-image-2", OpenAi),
            ("gateway.example", "GPT-Image-1.5", OpenAi),
            ("gateway.example", "azure/dall-e-3", OpenAi),
            ("notapi.openai.com.example", "qwen", SelfHosted),
            ("xapi.openai.com", "qwen", SelfHosted),
            ("localhost", "Qwen/Qwen-Image-Edit-2511", SelfHosted),
            ("127.0.0.1", "sd-cpp-local", SdServer),
        ] {
            assert_eq!(ImagesProfile::of(host, model), expected, "{model} at {host}");
        }
    }
}
