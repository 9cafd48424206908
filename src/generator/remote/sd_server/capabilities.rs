//! [`Capabilities`]: what a server says that it can do, read once.

use serde_json::Value;

use crate::net::reply::Service;
use crate::net::stream::Body;
use crate::{Error, Result};

/// What the server's reply should be, in errors.
pub(super) const EXPECTED: &str = "the capabilities of an sd-server";

/// What a server can do. What it does not tell of is not refused.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Capabilities {
    /// Whether this version of the server takes them: not whether its model looks at them.
    pub(super) ip_adapter_image: bool,
    pub(super) ref_images: bool,
    /// Least and largest width and height, in pixels.
    pub(super) width: (Option<u32>, Option<u32>),
    pub(super) height: (Option<u32>, Option<u32>),
    pub(super) samplers: Option<Vec<String>>,
    pub(super) schedulers: Option<Vec<String>>,
    /// Name and path of each.
    pub(super) loras: Option<Vec<(String, String)>>,
    /// Whether the server was started without classifier-free guidance (`--cfg-scale 1`), as it is
    /// for models whose guidance is distilled.
    pub(super) is_distilled: bool,
}

impl Capabilities {
    /// # Errors
    /// [`Error::InvalidReply`] of what is no object, [`Error::Unavailable`] where the model draws
    /// no images.
    pub(super) fn read(body: &Body, service: &Service) -> Result<Self> {
        let Body::Whole(body @ Value::Object(_)) = body else {
            return Err(service.invalid_reply(EXPECTED, "another value"));
        };
        let modes = names(&body["supported_modes"]);
        if modes
            .as_ref()
            .is_some_and(|modes| !modes.is_empty() && !modes.iter().any(|one| one == MODE))
        {
            let reason =
                format!("its model draws {} and no images", modes.unwrap_or_default().join(", "));
            return Err(Error::unavailable(&service.name, reason));
        }
        // Older servers have the fields of the one mode that they know at the top.
        let of_mode = |by_mode: &str, top: &str| match &body[by_mode][MODE] {
            Value::Null => body[top].clone(),
            known => known.clone(),
        };
        let features = of_mode("features_by_mode", "features");
        let takes = |name: &str| features[name].as_bool().unwrap_or(!features.is_object());
        let limit =
            |name: &str| body["limits"][name].as_u64().and_then(|limit| limit.try_into().ok());
        let defaults = of_mode("defaults_by_mode", "defaults");
        let cfg = defaults["sample_params"]["guidance"]["txt_cfg"].as_f64();
        let lora = |one: &Value| {
            let path = one["path"].as_str()?;
            Some((one["name"].as_str().unwrap_or(path).to_owned(), path.to_owned()))
        };
        Ok(Self {
            ip_adapter_image: takes("ip_adapter_image"),
            ref_images: takes("ref_images"),
            width: (limit("min_width"), limit("max_width")),
            height: (limit("min_height"), limit("max_height")),
            samplers: names(&body["samplers"]),
            schedulers: names(&body["schedulers"]),
            loras: body["loras"].as_array().map(|all| all.iter().filter_map(lora).collect()),
            is_distilled: cfg.is_some_and(|cfg| cfg <= 1.0),
        })
    }
}

/// The mode that draws images.
const MODE: &str = "img_gen";

fn names(list: &Value) -> Option<Vec<String>> {
    let names = list.as_array()?.iter().filter_map(Value::as_str);
    Some(names.map(str::to_owned).collect())
}
