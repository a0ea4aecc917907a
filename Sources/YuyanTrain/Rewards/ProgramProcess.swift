import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A program that runs beside the training, with pipes to its three streams.
///
/// It leads a process group of its own, which is killed as a whole; it has a temporary folder to work
/// in, few environment variables, no signal blocked or ignored, none of our files, and a limit of
/// address space that its children inherit. A child that leaves the group (`setsid`) escapes the kill.
final class ProgramProcess {
    private let child: pid_t
    private let input: Int32
    private let output: Int32
    private let errors: Int32
    /// The end of what it wrote to its standard error.
    private(set) var complaint: [UInt8] = []
    private var takesInput = true
    private var complains = true
    /// How it ended, once somebody has noticed.
    private(set) var ending: Ending?

    enum Ending: Equatable, CustomStringConvertible {
        case exit(Int32)
        case signal(Int32)

        var description: String {
            switch self {
            case .exit(let code): "ended with code \(code)"
            case .signal(let number): "was ended by signal \(number)"
            }
        }
    }

    /// Bytes of standard error that are kept.
    private static let mostComplaint = 2000
    private static let kept = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"]

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - command: The program's path, which holds a slash, and its arguments.
    ///   - folder: Where it works.
    ///   - memory: Bytes of address space that it and each of its children may have.
    /// - Throws: `RewardFault` with the system's reason.
    init(_ command: [String], folder: String, memory: Int) throws {
        var pipes: [Int32] = []
        func failed(_ what: String, _ code: Int32) -> RewardFault {
            for end in pipes { close(end) }
            return RewardFault("\(what): \(String(cString: strerror(code)))")
        }
        for _ in 0..<3 {
            var ends: [Int32] = [0, 0]
            guard pipe(&ends) == 0 else { throw failed("no pipe", errno) }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            pipes += ends
        }
        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
            var attributes: posix_spawnattr_t?
        #else
            var actions = posix_spawn_file_actions_t()
            var attributes = posix_spawnattr_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let given = [pipes[0], pipes[3], pipes[5]]
        for (stream, end) in given.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, end, Int32(stream))
        }
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        var flags = Int32(
            POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP)
        #if canImport(Darwin)
            flags |= Int32(POSIX_SPAWN_CLOEXEC_DEFAULT)
        #else
            // What is open without FD_CLOEXEC, such as a test runner's own pipes.
            for end in Self.openFiles() where end > 2 {
                posix_spawn_file_actions_addclose(&actions, end)
            }
        #endif
        posix_spawnattr_setflags(&attributes, Int16(flags))
        // The limits are set by the shell that becomes the program: no moment passes without them.
        let script =
            "cd \"$TMPDIR\" && ulimit -c 0 && ulimit -v \"$0\" || exit 125; exec \"$@\""
        let line = ["/bin/sh", "-c", script, "\(max(1, memory >> 10))"] + command
        var words: [UnsafeMutablePointer<CChar>?] = line.map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = Self.kept.compactMap { name in
            getenv(name).map { strdup(name + "=" + String(cString: $0)) }
        }
        variables += [strdup("TMPDIR=" + folder), nil]
        defer { for word in words + variables { free(word) } }
        var started = pid_t()
        let code = posix_spawn(&started, "/bin/sh", &actions, &attributes, &words, &variables)
        guard code == 0 else { throw failed("/bin/sh does not start", code) }
        for end in given { close(end) }
        (child, input, output, errors) = (started, pipes[1], pipes[2], pipes[4])
        for end in [input, output, errors] {
            _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK)
        }
    }

    deinit {
        Self.end(child, isReaped: ending != nil)
        for end in [input, output, errors] { close(end) }
    }

    /// The numbers of all open files, where the system tells.
    private static func openFiles() -> [Int32] {
        guard let folder = opendir("/proc/self/fd") else { return [] }
        defer { closedir(folder) }
        var found: [Int32] = []
        while let entry = readdir(folder) {
            withUnsafePointer(to: &entry.pointee.d_name) { place in
                place.withMemoryRebound(to: CChar.self, capacity: 256) {
                    if let number = Int32(String(cString: $0)), number != dirfd(folder) {
                        found.append(number)
                    }
                }
            }
        }
        return found
    }

    /// Kills the whole group; the leader's number is nobody else's until it is waited for.
    private static func end(_ child: pid_t, isReaped: Bool) {
        guard !isReaped else { return }
        kill(-child, SIGKILL)
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
    }

    /// Notices whether the program has ended; if so, what is left of its group ends too.
    func checkEnding() {
        guard ending == nil else { return }
        var information = siginfo_t()
        let options = Int32(WEXITED) | Int32(WNOHANG) | Int32(WNOWAIT)
        guard waitid(P_PID, id_t(child), &information, options) == 0, information.si_signo != 0
        else { return }
        kill(-child, SIGKILL)
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        let number = status & 0x7F
        ending = number == 0 ? .exit(status >> 8 & 0xFF) : .signal(number)
    }

    /// What a round of waiting brought.
    struct Round {
        /// Bytes that were written to the program.
        var written = 0
        /// What it answered.
        var answer: [UInt8] = []
        /// Whether it will answer nothing more.
        var isClosed = false
    }

    /// Waits until something can be written or read, then does it once.
    ///
    /// - Parameter patience: The longest wait, in milliseconds.
    func exchange(_ pending: ArraySlice<UInt8>, patience: Int32) -> Round {
        var round = Round()
        var polls = [
            pollfd(fd: output, events: Int16(POLLIN), revents: 0),
            // A stream that is closed would be ready for ever; poll passes over negative ones.
            pollfd(fd: complains ? errors : -1, events: Int16(POLLIN), revents: 0),
        ]
        if !pending.isEmpty, takesInput {
            polls.append(pollfd(fd: input, events: Int16(POLLOUT), revents: 0))
        }
        guard poll(&polls, nfds_t(polls.count), patience) > 0 else { return round }
        if polls[1].revents != 0 { readComplaint() }
        if polls[0].revents != 0 {
            let (bytes, isClosed) = Self.read(output)
            round.answer = bytes
            round.isClosed = isClosed
        }
        if polls.count > 2, polls[2].revents != 0 { round.written = write(pending) }
        return round
    }

    /// Reads what the program has said to its standard error so far.
    func readComplaint() {
        // Bounded, so that a program that never stops complaining does not stop us.
        for _ in 0..<64 {
            let (bytes, isClosed) = Self.read(errors)
            if isClosed { complains = false }
            guard !bytes.isEmpty else { return }
            complaint += bytes
            if complaint.count > Self.mostComplaint {
                complaint.removeFirst(complaint.count - Self.mostComplaint)
            }
        }
    }

    private static func read(_ descriptor: Int32) -> (bytes: [UInt8], isClosed: Bool) {
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, initialized in
            #if canImport(Glibc)
                count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            #elseif canImport(Musl)
                count = Musl.read(descriptor, buffer.baseAddress, buffer.count)
            #elseif canImport(Darwin)
                count = Darwin.read(descriptor, buffer.baseAddress, buffer.count)
            #endif
            initialized = max(0, count)
        }
        let isOpen = count > 0 || count < 0 && (errno == EAGAIN || errno == EINTR)
        return (bytes, !isOpen)
    }

    /// Writes without the signal that a closed pipe sends; a closed pipe takes nothing.
    private func write(_ bytes: ArraySlice<UInt8>) -> Int {
        var pipeSignal = sigset_t()
        sigemptyset(&pipeSignal)
        sigaddset(&pipeSignal, SIGPIPE)
        var old = sigset_t()
        pthread_sigmask(SIG_BLOCK, &pipeSignal, &old)
        defer { pthread_sigmask(SIG_SETMASK, &old, nil) }
        var before = sigset_t()
        sigpending(&before)
        let count = bytes.withUnsafeBytes { buffer in
            #if canImport(Glibc)
                Glibc.write(input, buffer.baseAddress, buffer.count)
            #elseif canImport(Musl)
                Musl.write(input, buffer.baseAddress, buffer.count)
            #elseif canImport(Darwin)
                Darwin.write(input, buffer.baseAddress, buffer.count)
            #endif
        }
        let isBroken = count < 0 && errno == EPIPE
        if isBroken { takesInput = false }
        if isBroken, sigismember(&before, SIGPIPE) == 0 {
            var now = sigset_t()
            sigpending(&now)
            var number: Int32 = 0
            if sigismember(&now, SIGPIPE) == 1 { sigwait(&pipeSignal, &number) }
        }
        return max(0, count)
    }
}

/// A new folder that is removed with everything in it when this object goes away.
final class WorkFolder: Sendable {
    let path: String

    /// - Throws: `RewardFault` if none can be made.
    init() throws {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array((parent + "/yuyan-reward-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else {
            throw RewardFault("no folder in \(parent): \(String(cString: strerror(errno)))")
        }
        path = String(
            decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { removeFolder(path) }
}
