#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Real models that are too large for the repository; tests that need one skip without it.
package enum Models {
    /// SmolLM2-135M-Instruct, Q4_1, in `${YUYAN_HOME:-~/.cache/yuyan}`, or `nil` if absent.
    package static var smolLM2: String? { path("SmolLM2-135M-Instruct.Q4_1.gguf") }

    /// Qwen2.5-Coder-Instruct, Q4_K_M, of this size (`0.5b`, `1.5b`), or `nil` if absent.
    package static func qwenCoder(_ size: String) -> String? {
        path("qwen2.5-coder-\(size)-instruct-q4_k_m.gguf")
    }

    /// Another file or folder of the cache, or `nil` if absent.
    package static func folder(_ name: String) -> String? { path(name) }

    /// Whether the tests of large models are asked for; then a missing model is a failure.
    package static var testsLargeModels: Bool { getenv("YUYAN_MODEL_TESTS") != nil }

    fileprivate static func path(_ name: String) -> String? {
        func variable(_ name: String) -> String? {
            getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        guard let home = variable("YUYAN_HOME") ?? variable("HOME").map({ $0 + "/.cache/yuyan" })
        else { return nil }
        let path = home + "/" + name
        return access(path, R_OK) == 0 ? path : nil
    }
}

/// Real data sets that `scripts/fetch-data` brings; tests that need one skip without it.
package enum DataSets {
    /// A file or folder in `${YUYAN_HOME:-~/.cache/yuyan}/data`, or `nil` if absent.
    package static func path(_ name: String) -> String? { Models.path("data/" + name) }
}
