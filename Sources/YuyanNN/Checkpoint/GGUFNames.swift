/// Translates a Hugging Face tensor name to GGUF's (ggml's naming of llama-like models).
///
/// Names without a translation are returned as they are, so that an error shows them.
package func ggufName(of name: String) -> String {
    let (stem, suffix) = split(name)
    if let fixed = fixedNames[stem] { return fixed + suffix }
    let parts = stem.split(separator: ".", maxSplits: 3)
    guard parts.count == 4, parts[0] == "model", parts[1] == "layers",
        let part = layerNames[String(parts[3])]
    else { return name }
    return "blk.\(parts[2]).\(part)\(suffix)"
}

private func split(_ name: String) -> (stem: String, suffix: String) {
    for suffix in [".weight", ".bias"] where name.hasSuffix(suffix) {
        return (String(name.dropLast(suffix.count)), suffix)
    }
    return (name, "")
}

private let fixedNames = [
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.rope_freqs": "rope_freqs",
]

private let layerNames = [
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
]
