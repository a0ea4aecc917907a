#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Writes to the two streams of a command: results to stdout, everything else to stderr.
enum Terminal {
    static var outputIsTerminal: Bool { isatty(1) == 1 }
    static var inputIsTerminal: Bool { isatty(0) == 1 }
    static var errorIsTerminal: Bool { isatty(2) == 1 }

    /// Writes at once, so that a reader sees tokens as they come.
    static func write(_ text: String) { write(Array(text.utf8), descriptor: 1) }

    static func write(_ bytes: [UInt8]) { write(bytes, descriptor: 1) }

    /// Writes to stderr without ending the line.
    static func status(_ text: String) { write(Array(text.utf8), descriptor: 2) }

    static func report(_ line: String) { write(Array((line + "\n").utf8), descriptor: 2) }

    private static func write(_ all: [UInt8], descriptor: Int32) {
        var bytes = all[...]
        while !bytes.isEmpty {
            #if canImport(Darwin)
                let written = bytes.withUnsafeBytes {
                    Darwin.write(descriptor, $0.baseAddress, $0.count)
                }
            #elseif canImport(Musl)
                let written = bytes.withUnsafeBytes {
                    Musl.write(descriptor, $0.baseAddress, $0.count)
                }
            #else
                let written = bytes.withUnsafeBytes {
                    Glibc.write(descriptor, $0.baseAddress, $0.count)
                }
            #endif
            // Ctrl-C in chat interrupts a write without ending it.
            if written < 0, errno == EINTR { continue }
            guard written > 0 else {
                // A script must not take a truncated answer for a whole one.
                if descriptor == 1 {
                    report("error: standard output: \(String(cString: strerror(errno)))")
                    exit(1)
                }
                return
            }
            bytes = bytes.dropFirst(written)
        }
    }
}
