#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The machine as the operating system describes it; nil is what it does not say.
struct Machine {
    /// Processors that are switched on.
    let processors = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    /// Processors that this process may use, by affinity and by the container's quota.
    let usableProcessors: Double
    /// The processor's name.
    let processorName: String?
    /// Its vector extensions, among those that kernels care about.
    let features: [String]
    /// Bytes of memory.
    let memory = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    /// Bytes that programs can still get.
    let availableMemory: Int?
    /// How the kernel gives out huge pages without being asked: always, madvise or never.
    let hugePages: String?
    /// Runnable tasks, mean of the last minute.
    let load: Double?

    init() {
        let information = systemText("/proc/cpuinfo")
        processorName = Self.value("model name", in: information)
        let flags = Set(
            (Self.value("flags", in: information) ?? Self.value("Features", in: information) ?? "")
                .split(separator: " ").map(String.init))
        features = Self.interesting.filter(flags.contains)
        availableMemory = Self.value("MemAvailable", in: systemText("/proc/meminfo")).flatMap {
            Int($0.prefix { $0.isNumber }).map { $0 << 10 }
        }
        // The choice in force stands in brackets: "always [madvise] never".
        hugePages = systemText("/sys/kernel/mm/transparent_hugepage/enabled")
            .split(separator: "[").dropFirst().first?.split(separator: "]").first.map(String.init)
        load = Double(
            systemText("/proc/loadavg").split(separator: " ").first.map(String.init) ?? "")
        usableProcessors = min(Self.affinity ?? Double(processors), Self.quota ?? .infinity)
    }

    private static let interesting = [
        "sse4_2", "avx", "f16c", "fma", "avx2", "avx512f", "avx512bw", "avx512dq", "avx512vl",
        "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16", "asimd",
        "asimdhp", "asimddp", "i8mm", "bf16", "sve",
    ]

    private static func value(_ key: String, in text: String) -> String? {
        for line in text.split(separator: "\n") where line.hasPrefix(key) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            return String(line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" })
        }
        return nil
    }

    /// The most memory that this process has held, in bytes.
    ///
    /// On Linux from the address space's own high-water mark: `getrusage` still counts the process
    /// that started this one.
    static var peakResidentBytes: Int {
        let mark = value("VmHWM", in: systemText("/proc/self/status"))?.split(separator: " ").first
        if let kibibytes = mark.flatMap({ Int($0) }) { return kibibytes * 1024 }
        var usage = rusage()
        #if canImport(Glibc)
            getrusage(0, &usage)
        #else
            getrusage(RUSAGE_SELF, &usage)
        #endif
        #if canImport(Darwin)
            return usage.ru_maxrss
        #else
            return usage.ru_maxrss * 1024
        #endif
    }

    /// Processors in this process's mask, as the kernel lists them: "0-3,8".
    private static var affinity: Double? {
        guard let list = value("Cpus_allowed_list", in: systemText("/proc/self/status")) else {
            return nil
        }
        let count = list.split(separator: ",").reduce(0) { count, part in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, last >= first else { return count }
            return count + last - first + 1
        }
        return count > 0 ? Double(count) : nil
    }

    /// Processors that a control group's quota is worth: "200000 100000" is two.
    private static var quota: Double? {
        let parts = systemText("/sys/fs/cgroup/cpu.max").split(whereSeparator: \.isWhitespace)
            .compactMap { Double(String($0)) }
        guard parts.count == 2, parts[1] > 0 else { return nil }
        return parts[0] / parts[1]
    }
}

/// The text of a small file of the operating system, or nothing if there is none.
private func systemText(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    // These files have no size that could be asked for, and none is long.
    while bytes.count < 1 << 20 {
        let piece = [UInt8](unsafeUninitializedCapacity: 1 << 14) { buffer, count in
            count = max(0, read(descriptor, buffer.baseAddress, buffer.count))
        }
        if piece.isEmpty { break }
        bytes += piece
    }
    return String(decoding: bytes, as: UTF8.self)
}
