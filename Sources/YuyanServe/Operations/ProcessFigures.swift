#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Memory and time of this process, under the names that Prometheus' own clients use.
struct ProcessFigures {
    var cpuSeconds = 0.0
    /// Nil where the system does not tell.
    var residentBytes: Int?
    var openFiles: Int?

    /// The figures now.
    static var current: ProcessFigures {
        var result = ProcessFigures()
        var usage = rusage()
        #if canImport(Glibc)
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        #else
            getrusage(Int32(RUSAGE_SELF), &usage)
        #endif
        func seconds(_ time: timeval) -> Double {
            Double(time.tv_sec) + Double(time.tv_usec) / 1e6
        }
        result.cpuSeconds = seconds(usage.ru_utime) + seconds(usage.ru_stime)
        if let file = fopen("/proc/self/statm", "r") {
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 256)
            if fgets(&line, Int32(line.count), file) != nil {
                let text = String(
                    decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                let fields = text.split(separator: " ")
                if fields.count > 1, let pages = Int(fields[1]) {
                    result.residentBytes = pages * Int(sysconf(Int32(_SC_PAGESIZE)))
                }
            }
        }
        if let folder = opendir("/proc/self/fd") {
            defer { closedir(folder) }
            var count = 0
            while readdir(folder) != nil { count += 1 }
            // Its own two dots and the folder itself.
            result.openFiles = max(0, count - 3)
        }
        return result
    }

    func write(to out: inout Exposition) {
        out.write(
            .counter, "process_cpu_seconds_total", "Processor time of this process.", cpuSeconds)
        if let residentBytes {
            out.write(
                .gauge, "process_resident_memory_bytes", "Memory of this process.", residentBytes)
        }
        if let openFiles { out.write(.gauge, "process_open_fds", "Open files.", openFiles) }
    }
}
