extension Service {
    /// Every route that `respond` answers, for the transport's router; the rest is 404 or 405.
    public static let routes: [ServiceRoute] = [
        ServiceRoute("POST", "/v1/chat/completions"),
        ServiceRoute("POST", "/chat/completions"),
        ServiceRoute("POST", "/v1/completions"),
        ServiceRoute("POST", "/completions"),
        ServiceRoute("GET", "/v1/models"),
        ServiceRoute("GET", "/models"),
        ServiceRoute("GET", "/v1/models/{id}"),
        ServiceRoute("POST", "/v1/embeddings"),
        ServiceRoute("POST", "/embeddings"),
        ServiceRoute("POST", "/v1/score"),
        ServiceRoute("POST", "/v1/score/evaluation"),
        ServiceRoute("POST", "/v1/responses"),
        ServiceRoute("POST", "/v1/messages"),
        ServiceRoute("POST", "/v1/messages/count_tokens"),
        ServiceRoute("POST", "/tokenize"),
        ServiceRoute("POST", "/detokenize"),
        ServiceRoute("POST", "/apply-template"),
        ServiceRoute("POST", "/v1/load_lora_adapter"),
        ServiceRoute("POST", "/v1/unload_lora_adapter"),
        ServiceRoute("GET", "/lora-adapters"),
    ]
}
