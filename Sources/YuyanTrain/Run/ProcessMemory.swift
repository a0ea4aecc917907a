#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Memory of this process and of the machine, in bytes; nil where the system does not tell.
package enum ProcessMemory {
    /// Held now.
    package static var resident: Int? { value("VmRSS", in: "/proc/self/status") }
    /// Held at most so far.
    package static var peak: Int? { value("VmHWM", in: "/proc/self/status") }
    /// What programs can still get.
    package static var available: Int? { value("MemAvailable", in: "/proc/meminfo") }

    /// Lets `peak` begin anew from what is held now; without effect where the system cannot do that.
    package static func forgetPeak() {
        guard let file = fopen("/proc/self/clear_refs", "w") else { return }
        // Linux resets the high-water mark at this number: proc(5).
        fputs("5", file)
        fclose(file)
    }

    /// What this process could hold in all: what it holds of its own by now, and what is left. Pages of
    /// mapped files count as left already.
    package static var reachable: Int? {
        guard let available else { return nil }
        return available + (value("RssAnon", in: "/proc/self/status") ?? 0)
    }

    private static func value(_ key: String, in path: String) -> Int? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 512)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = String(
                decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            guard text.hasPrefix(key + ":") else { continue }
            return Int(text.dropFirst(key.count + 1).filter(\.isNumber)).map { $0 << 10 }
        }
        return nil
    }
}
