//! What the tensors of the network are called: by diffusers, and by OmniGen's authors.

/// The names of one layout, without what stands behind the last point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) layers: &'static str,
    pub(super) norm: &'static str,
    pub(super) embed_tokens: &'static str,
    /// Below a layer: the projections of queries, keys and values, or all three as one.
    pub(super) qkv: &'static [&'static str],
    /// Below a layer: what follows attention.
    pub(super) to_out: &'static str,
    /// Of the noise.
    pub(super) output_image_proj: &'static str,
    /// Of references.
    pub(super) input_image_proj: &'static str,
    pub(super) pos_embed: &'static str,
    pub(super) time_token: [&'static str; 2],
    pub(super) t_embedder: [&'static str; 2],
    pub(super) norm_out: &'static str,
    pub(super) proj_out: &'static str,
}

impl Names {
    /// `OmniGenTransformer2DModel`'s.
    pub(super) const DIFFUSERS: Self = Self {
        layers: "layers",
        norm: "norm",
        embed_tokens: "embed_tokens",
        qkv: &["self_attn.to_q", "self_attn.to_k", "self_attn.to_v"],
        to_out: "self_attn.to_out.0",
        output_image_proj: "patch_embedding.output_image_proj",
        input_image_proj: "patch_embedding.input_image_proj",
        pos_embed: "patch_embedding.pos_embed",
        time_token: ["time_token.linear_1", "time_token.linear_2"],
        t_embedder: ["t_embedder.linear_1", "t_embedder.linear_2"],
        norm_out: "norm_out.linear",
        proj_out: "proj_out",
    };

    /// Those of `Shitao/OmniGen-v1`. diffusers, `scripts/convert_omnigen_to_diffusers.py`.
    pub(super) const AUTHORS: Self = Self {
        layers: "llm.layers",
        norm: "llm.norm",
        embed_tokens: "llm.embed_tokens",
        qkv: &["self_attn.qkv_proj"],
        to_out: "self_attn.o_proj",
        output_image_proj: "x_embedder.proj",
        input_image_proj: "input_x_embedder.proj",
        pos_embed: "pos_embed",
        time_token: ["time_token.mlp.0", "time_token.mlp.2"],
        t_embedder: ["t_embedder.mlp.0", "t_embedder.mlp.2"],
        norm_out: "final_layer.adaLN_modulation.1",
        proj_out: "final_layer.linear",
    };
}
