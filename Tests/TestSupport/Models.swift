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

    private static func path(_ name: String) -> String? {
        func variable(_ name: String) -> String? {
            getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        guard let home = variable("YUYAN_HOME") ?? variable("HOME").map({ $0 + "/.cache/yuyan" })
        else { return nil }
        let path = home + "/" + name
        return access(path, R_OK) == 0 ? path : nil
    }
}
